from __future__ import annotations

import pytest

from meshwright.wording import counted, listed


@pytest.mark.parametrize(
    ("names", "said"),
    [((), ""), (("b", "a"), "a, b"), ("fedcba", "a, b, c, d, e and 1 more"), ("abcde", "a, b, c, d, e")],
)
def test_the_first_five_names(names: tuple[str, ...], said: str) -> None:
    assert listed(names) == said


def test_counts() -> None:
    assert [counted(count, "pod") for count in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]
    assert counted(2, "proxy") == "2 proxies"
