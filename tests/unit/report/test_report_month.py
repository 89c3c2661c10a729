"""The calendar of windows."""

from __future__ import annotations

import datetime as dt

from reported import NOW, WINDOWS

from meshwright.environment.maintenance import Windows
from meshwright.report import month
from meshwright.report.month import Month
from meshwright.windows.calendar import Calendar


def of(now: dt.datetime, **windows: object) -> Month:
    return month.of(Calendar.of(Windows.model_validate(windows or WINDOWS)), now)


def test_five_weeks_from_this_one() -> None:
    found = of(NOW)
    days = [day for week in found.weeks for day in week]
    assert [len(week) for week in found.weeks] == [7] * 5
    assert (days[0].date, days[-1].date) == (dt.date(2026, 11, 23), dt.date(2026, 12, 27))
    assert [day.date for day in days if day.today] == [dt.date(2026, 11, 24)]
    assert [day.past for day in days[:3]] == [True, False, False]
    assert days[0].open == ("22:00–24:00",), "what was open earlier in this week is shown too"
    assert days[1].open == ("00:00–04:00", "22:00–24:00")
    assert [day.open for day in days[5:7]] == [(), ("06:00–14:00",)]
    assert not any(day.open for day in days if day.date >= dt.date(2026, 12, 18)), "a blackout"
    assert found.state == "closed for changes: no window is open"
    assert len(found.openings) == 5
    assert found.openings[0] == ("Tue 2026-11-24 22:00 CET", "Wed 2026-11-25 04:00 CET", "6 hours", "nights")


def test_days_are_those_of_the_time_zone() -> None:
    found = of(dt.datetime(2026, 11, 24, 23, 30, tzinfo=dt.UTC))
    assert [day.date for week in found.weeks for day in week if day.today] == [dt.date(2026, 11, 25)]
    assert found.state == "open for changes until Wed 2026-11-25 04:00 CET"


def test_a_day_on_which_the_clocks_change_is_a_whole_day() -> None:
    found = of(
        dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC),
        timezone="Europe/Berlin", allow={"w": {"weekly": "sat-mon 00:00-24:00"}},
    )  # fmt: skip
    sunday = next(day for week in found.weeks for day in week if day.date == dt.date(2026, 10, 25))
    assert sunday.open == ("all day",)


def test_without_an_end() -> None:
    found = of(NOW, timezone="UTC")
    assert found.state == "open for changes"
    assert found.openings == (("Tue 2026-11-24 09:30 UTC", "-", "-", "-"),)
    assert {day.open for week in found.weeks for day in week} == {("all day",)}
