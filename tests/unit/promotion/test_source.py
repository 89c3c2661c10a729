"""Whether an environment has applied a release, by its records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from fakes import FakeTarget, environment

from meshwright.promotion import source
from meshwright.promotion.source import Applied
from meshwright.records import Result
from meshwright.records.history import History
from meshwright.records.model import joined

MINE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CHECK = {"group": "ingress", "check": "x", "state": "ok", "fatal": False, "detail": ""}
START = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def run(hour: int, release: str = MINE, result: str = "ok", steps: str = "istio resources", checks: int = 1) -> Any:
    """The entries of a record that began at this hour and took six minutes."""
    at = START + dt.timedelta(hours=hour)
    rows = [{"host": "@local", "step": step, "state": "unchanged", "seconds": 1} for step in steps.split()]
    name = f"{at:%Y%m%d-%H%M%S}-000000"
    end = (at + dt.timedelta(minutes=6)).isoformat()
    return [
        {"id": name, "entry": "started", "at": at.isoformat(), "release": release, "deploy": "site"},
        {"id": name, "entry": "ended", "at": end, "result": result, "steps": rows, "checks": [CHECK] * checks},
    ]


def applied(host: FakeTarget, *runs: Any, cut: int = 0, not_asked: str = "") -> Applied:
    records = joined([entry for each in runs for entry in each], lambda _holder: Result.UNKNOWN)
    found = History(tuple(records), not_asked, tuple(map(str, range(cut))))
    return source.applied(host.project, environment("dev"), [host], found, MINE)


def test_since_the_first_of_its_applies(host: FakeTarget) -> None:
    found = applied(host, run(0, OTHER), run(1), run(2), run(3, "", steps="rollback"))
    assert not found.refused
    assert found.since == START + dt.timedelta(hours=1, minutes=6)
    assert found.until is None
    assert found.lasted(START + dt.timedelta(hours=3)) == dt.timedelta(hours=1, minutes=54)


def test_until_another_release_came(host: FakeTarget) -> None:
    found = applied(host, run(1), run(4, OTHER), run(9, OTHER))
    assert found.until == START + dt.timedelta(hours=4)
    assert found.lasted(START + dt.timedelta(days=9)) == dt.timedelta(hours=2, minutes=54)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "dev never applied sha256:aaaaaaaaaaaa, as far as is known"),
        ([run(1, OTHER)], "dev never applied"),
        ([run(1, result="failed")], "dev never applied"),
        ([run(1, steps="resources")], "dev never applied"),
        ([run(1, checks=0)], "no checks were made when dev applied"),
    ],
)
def test_what_is_no_apply_of_it(host: FakeTarget, runs: Sequence[Any], said: str) -> None:
    found = applied(host, *runs)
    assert found.refused.startswith(said)
    assert found.hint == "`meshwright apply dev` first"


def test_a_cut_line_and_a_silent_cluster_are_said(host: FakeTarget) -> None:
    found = applied(host, cut=2, not_asked="no answer")
    assert found.refused.endswith("; 2 lines of its records could not be read; its cluster was not asked: no answer")
