"""`meshwright certs transition --below DAYS`: what a schedule runs begins nothing before its time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import certmesh
import pytest
from fakes import FakeTarget

from meshwright.errors import Exit
from meshwright.windows import gate

BELOW = ("certs", "transition", "lab", "--to", "extend", "--yes", "--below")
WINDOWS = "windows: {timezone: UTC, allow: {nights: {weekly: mon-sun 22:00-04:00}}, cutoff: 1h}\n"


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch, run: Any) -> certmesh.World:
    """A mesh whose root has its ten years before it."""
    return certmesh.made(monkeypatch)


def test_before_its_time_nothing_is_begun(run: Any, mesh: Any) -> None:
    ran = run(*BELOW, "900")
    assert (ran.code, ran.out) == (
        Exit.OK,
        "nothing is begun: the root has 3649 days left; its change begins below 900\n",
    )
    document = run(*BELOW, "900", "--json").document
    assert (document["ok"], document["waits"]) == (True, "the root has 3649 days left; its change begins below 900")
    assert document["summary"]["change"] == 0


def test_it_waits_for_a_window(run: Any, mesh: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    file = host.project.root / "group_data" / "lab.yaml"
    file.write_text(file.read_text() + WINDOWS)
    real = gate.now()
    for hour, closed in ((12, True), (3, True), (23, False)):
        monkeypatch.setattr(gate, "now", lambda hour=hour: real.replace(hour=hour, minute=30))
        waits = run(*BELOW, "3655", "--plan", "--json").document.get("waits") or ""
        assert waits.startswith("it is due, but lab is closed for changes; the next opening is ") is closed
    assert "22:00 UTC to" in gate.waiting(_env(host), real.replace(hour=12))


def test_what_would_come_too_late_is_refused(run: Any, mesh: Any) -> None:
    ran = run(*BELOW, "730")
    assert ran.code == Exit.BAD_INPUT
    assert "a change below 730 days is too late: in the last 730 of a root's 3651 days istiod signs it anew" in ran.err


def test_it_needs_a_root_to_change_to(run: Any, mesh: Any) -> None:
    ran = run("certs", "transition", "lab", "--below", "900")
    assert (ran.code, "--below goes with --to" in ran.err) == (Exit.USAGE, True)


def test_an_environment_without_windows_waits_for_none(host: FakeTarget, run: Any) -> None:
    assert gate.waiting(_env(host), dt.datetime.now(dt.UTC)) == ""


def _env(host: FakeTarget) -> Any:
    from meshwright.environment import load

    return load(host.project, "lab").env
