from __future__ import annotations

import pytest

from meshwright.errors import BadInput
from meshwright.logs import choice
from meshwright.logs.line import Access, Line


@pytest.mark.parametrize(("text", "ms"), [("500ms", 500), ("2s", 2000), ("1.5m", 90_000), ("1h", 3_600_000)])
def test_durations(text, ms):
    assert choice.milliseconds(text) == ms


@pytest.mark.parametrize("text", ["", "5", "soon", "-1s", "1 s", "1e3s"])
def test_a_duration_needs_its_unit(text):
    with pytest.raises(BadInput, match="is not a duration"):
        choice.milliseconds(text)


def of(**said):
    return Line(0, "a/b", "", Access(**{"method": "GET", "code": 200, "path": "/", **said}))


@pytest.mark.parametrize(("only", "line", "taken"), [
    (choice.Filter(), of(), True),
    (choice.Filter(), Line(0, "a/b", "agent", None), True),
    (choice.Filter(errors=True), Line(0, "a/b", "agent", None), False),
    (choice.Filter(errors=True), of(), False),
    (choice.Filter(errors=True), of(code=503), True),
    (choice.Filter(path="/api"), of(path="/api/v1"), True),
    (choice.Filter(path="/api"), of(path="/"), False),
    (choice.Filter(slow=500), of(ms=499), False),
    (choice.Filter(slow=500), of(ms=500), True),
    (choice.Filter(slow=500), of(), False),
    (choice.Filter(errors=True, slow=500), of(code=503, ms=1), False),
])  # fmt: skip
def test_each_filter_narrows(only, line, taken):
    assert only.takes(line) is taken
