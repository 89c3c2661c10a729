"""In which order clusters are changed, which are begun, and what the whole ends with."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright import fanout
from meshwright.environment.rollout import Rollout
from meshwright.errors import Exit, Refused

NAMES = ("prod/a", "prod/b", "prod/c", "prod/d")


class Work:
    """Ends as it is told to, and remembers in which order it was asked and how many were at work at once."""

    def __init__(self, failing: Sequence[str] = (), code: Exit = Exit.ERROR) -> None:
        self.failing, self.code = failing, code
        self.begun: list[str] = []
        self.most = self.now = 0
        self._lock = threading.Lock()

    def __call__(self, name: str) -> Exit:
        with self._lock:
            self.begun.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
        # Long enough for the others to begin, if they may.
        threading.Event().wait(0.02)
        with self._lock:
            self.now -= 1
        return self.code if name in self.failing else Exit.OK


def rolled(work: Work, **rules: int) -> dict[str, Exit]:
    return fanout.roll(NAMES, Rollout(**rules), work, threading.Event())


def test_one_after_the_other_in_order() -> None:
    work = Work()
    assert rolled(work) == dict.fromkeys(NAMES, Exit.OK)
    assert work.begun == list(NAMES)
    assert work.most == 1


@pytest.mark.parametrize("rules", [{}, {"at_once": 4, "failure_budget": 3}])
def test_where_the_first_fails_no_other_is_begun(rules: dict[str, int]) -> None:
    work = Work(["prod/a"])
    assert rolled(work, **rules) == {"prod/a": Exit.ERROR}


def test_the_first_is_alone_and_the_rest_at_once() -> None:
    work = Work()
    assert list(rolled(work, at_once=3)) == list(NAMES)
    assert work.begun[0] == "prod/a"
    assert 1 < work.most <= 3


@pytest.mark.parametrize(("budget", "begun"), [(0, 2), (1, 3), (2, 4), (1000, 4)])
def test_a_budget_is_how_many_of_the_rest_may_fail(budget: int, begun: int) -> None:
    ended = rolled(Work(["prod/b", "prod/c", "prod/d"]), failure_budget=budget)
    assert list(ended) == list(NAMES[:begun])


def test_ctrl_c_stops_those_that_are_at_work() -> None:
    stop = threading.Event()
    stopped = []

    def work(name: str) -> Exit:
        if name == "prod/b":
            raise KeyboardInterrupt
        if name == "prod/c":
            stopped.append(stop.wait(30))
        return Exit.OK

    with pytest.raises(KeyboardInterrupt):
        fanout.roll(NAMES, Rollout(at_once=2), work, stop)
    assert stopped == [True]


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_never_more_than_the_budget_and_those_already_at_work_fail(fails: list[bool], once: int, budget: int) -> None:
    names = [f"e/{number}" for number in range(len(fails))]

    def work(name: str) -> Exit:
        return Exit.ERROR if fails[names.index(name)] else Exit.OK

    ended = fanout.roll(names, Rollout(at_once=once, failure_budget=budget), work, threading.Event())
    failed = sum(each is Exit.ERROR for each in ended.values())
    if fails[0]:
        assert list(ended) == names[:1]
    else:
        assert failed <= budget + once
        # What was not begun was given up, and not forgotten.
        assert len(ended) == len(names) or failed > budget
    assert list(ended) == names[: len(ended)]


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({"a": 0, "b": 0}, Exit.OK),
        ({"a": 0, "b": 1}, Exit.PARTIAL),
        ({"a": 0}, Exit.PARTIAL),
        ({"a": 4}, Exit.PARTIAL),
        ({"a": 4, "b": 4}, Exit.UNVERIFIED),
        ({"a": 3, "b": 3}, Exit.REFUSED),
        ({"a": 3, "b": 4}, Exit.ERROR),
    ],
)
def test_what_a_change_ends_with(ended: dict[str, int], code: Exit) -> None:
    assert fanout.code(["a", "b"], {name: Exit(one) for name, one in ended.items()}) is code


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 2], 2), ([2, 1], 1), ([1, 3], 3), ([3, 65], 65), ([], 0)],
)
def test_what_a_look_ends_with(codes: list[int], code: int) -> None:
    assert fanout.worst(codes) == code


def test_every_code_has_a_rank() -> None:
    for code in set(Exit) - {Exit.PARTIAL}:
        assert fanout.worst([0, code]) is code


def test_two_names_of_one_cluster_are_refused() -> None:
    fanout.distinct({"prod/a": "1", "prod/b": "2", "prod/c": None, "prod/d": None})
    with pytest.raises(Refused) as caught:
        fanout.distinct({"prod/a": "1", "prod/b": None, "prod/c": "1"})
    assert str(caught.value) == (
        "prod/a and prod/c are one cluster: both have the uid 1. Look where the contexts of both lead, and correct "
        "group_data/prod.yaml"
    )


def test_one_digest_covers_the_plans_of_all() -> None:
    both = fanout.approval({"prod/a": "x", "prod/b": "y"})
    assert both == fanout.approval({"prod/b": "y", "prod/a": "x"})
    assert both != fanout.approval({"prod/a": "y", "prod/b": "x"})
    assert both.startswith("sha256:")
