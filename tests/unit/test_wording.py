from __future__ import annotations

import datetime as dt

import pytest

from meshwright.wording import counted, listed, some, utc


@pytest.mark.parametrize(
    ("names", "said"),
    [((), ""), (("b", "a"), "a, b"), ("fedcba", "a, b, c, d, e and 1 more"), ("abcde", "a, b, c, d, e")],
)
def test_the_first_five_names(names: tuple[str, ...], said: str) -> None:
    assert listed(names) == said


def test_the_first_of_some_words_in_their_order() -> None:
    assert [some(words, 1) for words in ([], ["b"], ["b", "a", "c"])] == ["", "b", "b and 2 more"]
    assert some("cba", 2, "; ") == "c; b and 1 more"


def test_times_in_utc() -> None:
    at = dt.datetime(2026, 11, 22, 17, 13, 1, 500, tzinfo=dt.UTC)
    said = [utc(at, precision) for precision in ("seconds", "milliseconds", "microseconds")]
    assert said == ["2026-11-22T17:13:01Z", "2026-11-22T17:13:01.000Z", "2026-11-22T17:13:01.000500Z"]


def test_counts() -> None:
    assert [counted(count, "pod") for count in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]
    assert counted(2, "proxy") == "2 proxies"
