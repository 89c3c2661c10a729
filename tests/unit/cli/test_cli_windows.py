"""`meshwright windows`, and the windows of an environment in the commands that change something."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fakes import FakeTarget
from fakesteps import fill, world

from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.windows import gate

WINDOWS = """
windows:
  timezone: Europe/Berlin
  allow:
    nights: {weekly: 'mon-thu 22:00-04:00'}
  cutoff: 30m
"""
NEVER_NOW = "windows: {timezone: Europe/Berlin, allow: {far: {cron: '0 0 %s %s *', duration: 1h}}}\n"


def given(host: FakeTarget, monkeypatch: pytest.MonkeyPatch, values: str, at: str = "2026-11-23T23:00") -> None:
    file = host.project.root / "group_data" / "lab.yaml"
    file.write_text(file.read_text() + values)
    monkeypatch.setattr(gate, "now", lambda: dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC))


def test_an_open_environment(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    given(host, monkeypatch, WINDOWS)
    ran = run("windows", "lab", "--limit", "3")
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert ran.out.splitlines() == [
        "lab is open for changes until Tue 2026-11-24 04:00 CET, for 4 hours (nights)",
        "it is Tue 2026-11-24 00:00 CET, Mon 2026-11-23 23:00 UTC",
        "",
        "opens                     closes                    lasts    opens (UTC)       closes (UTC)      windows",
        "Tue 2026-11-24 00:00 CET  Tue 2026-11-24 04:00 CET  4 hours  2026-11-23 23:00  2026-11-24 03:00  nights",
        "Tue 2026-11-24 22:00 CET  Wed 2026-11-25 04:00 CET  6 hours  2026-11-24 21:00  2026-11-25 03:00  nights",
        "Wed 2026-11-25 22:00 CET  Thu 2026-11-26 04:00 CET  6 hours  2026-11-25 21:00  2026-11-26 03:00  nights",
    ]


def test_a_closed_environment_over_a_clock_change(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    given(host, monkeypatch, WINDOWS.replace("mon-thu", "sat,sun"), "2026-10-24T12:00")
    ran = run("windows", "lab", "--limit", "2")
    assert ran.out.splitlines()[0] == "lab is closed for changes: no window is open"
    assert [[cell.strip() for cell in line.split("  ")[:3]] for line in ran.out.splitlines()[4:]] == [
        ["Sat 2026-10-24 22:00 CEST", "Sun 2026-10-25 04:00 CET", "7 hours"],
        ["Sun 2026-10-25 22:00 CET", "Mon 2026-10-26 04:00 CET", "6 hours"],
    ]


def test_in_the_cutoff_it_says_so(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    given(host, monkeypatch, WINDOWS, "2026-11-24T02:45")
    assert "but nothing is begun in the last 30 minutes of an opening" in run("windows", "lab").out


def test_as_json(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    given(host, monkeypatch, WINDOWS)
    document = run("windows", "lab", "--json").document
    assert document["ok"] is True
    assert document["summary"] == {"checked": 1, "shown": 5}
    assert (document["timezone"], document["cutoff_seconds"]) == ("Europe/Berlin", 1800)
    assert (document["open"], document["until"], document["closed_by"]) == (True, "2026-11-24T03:00:00Z", None)
    assert document["openings"][:2] == [
        {
            "begun": True,
            "start": "2026-11-23T23:00:00Z",
            "end": "2026-11-24T03:00:00Z",
            "start_local": "2026-11-24T00:00:00+01:00",
            "end_local": "2026-11-24T04:00:00+01:00",
            "begin_until": "2026-11-24T02:30:00Z",
            "seconds": 4 * 3600,
            "windows": ["nights"],
        },
        {
            "begun": False,
            "start": "2026-11-24T21:00:00Z",
            "end": "2026-11-25T03:00:00Z",
            "start_local": "2026-11-24T22:00:00+01:00",
            "end_local": "2026-11-25T04:00:00+01:00",
            "begin_until": "2026-11-25T02:30:00Z",
            "seconds": 6 * 3600,
            "windows": ["nights"],
        },
    ]


def test_an_environment_without_windows(run: Any) -> None:
    assert run("windows", "lab").out == "lab has no windows: it may be changed at any time\n"
    document = run("windows", "lab", "--json").document
    assert (document["open"], document["until"], document["openings"]) == (True, None, [])


def test_what_is_always_open(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    given(host, monkeypatch, "windows: {timezone: UTC}\n")
    ran = run("windows", "lab")
    assert ran.out.splitlines()[0] == "lab is open for changes"
    assert ran.out.splitlines()[-1].split("  ")[0] == "Mon 2026-11-23 23:00 UTC"


# Commands that change something, with the real child


@pytest.fixture
def closed(project: Project) -> Project:
    fill(project, "make('a'), checking()", destroy="make('gone')")
    file = project.root / "group_data" / "lab.yaml"
    # A window about half a year away, whenever this runs.
    then = dt.datetime.now() + dt.timedelta(days=180)
    file.write_text(file.read_text() + NEVER_NOW % (min(then.day, 28), then.month))
    return project


def test_an_apply_is_refused_before_anybody_is_asked(meshwright: Any, closed: Project) -> None:
    ran = meshwright("apply", "lab")
    assert ran.code == Exit.REFUSED
    assert "Plan: 1 to add" in ran.out
    assert "error: lab is closed for changes: no window is open" in ran.err
    assert "hint: The next opening is " in ran.err
    assert world(closed) == []


def test_a_plan_and_a_check_are_not_refused(meshwright: Any, closed: Project) -> None:
    assert meshwright("plan", "lab").code == Exit.OK
    assert meshwright("apply", "lab", "--plan").code == Exit.OK


def test_an_override_is_passed_on_and_recorded(meshwright: Any, closed: Project) -> None:
    ran = meshwright("apply", "lab", "--yes", "--override", "--reason", "ticket 4711")
    assert (ran.code, world(closed)) == (Exit.OK, ["a"])
    [record] = meshwright("history", "lab", "--json").document["records"]
    assert (record["override"], record["reason"]) == (True, "ticket 4711")
    assert record["window"] == "closed: no window is open; overridden"
    assert "window   closed: no window is open; overridden" in meshwright("history", "lab", record["id"]).out


def test_an_override_without_a_reason_is_a_usage_error(meshwright: Any, closed: Project) -> None:
    for words in (("apply", "lab", "--yes"), ("destroy", "lab", "--confirm", "lab")):
        ran = meshwright(*words, "--override")
        assert ran.code == Exit.USAGE
        assert "error: an override needs a reason" in ran.err
    assert world(closed) == []


def test_a_destroy_is_refused_too(meshwright: Any, closed: Project) -> None:
    ran = meshwright("destroy", "lab", "--confirm", "lab")
    assert (ran.code, world(closed)) == (Exit.REFUSED, [])
    assert "closed for changes" in ran.err
