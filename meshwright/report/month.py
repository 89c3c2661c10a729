"""The next five weeks of an environment's windows, day by day in its time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

from meshwright.windows import words
from meshwright.windows.calendar import Calendar, Opening

__all__ = ["OPENINGS", "Day", "Month", "of"]

OPENINGS = 5
"""How many openings are listed."""

_DAYS = 35


@dataclass(frozen=True)
class Day:
    """A day of the calendar. `open` are the times of it at which the environment may be changed, by its clocks."""

    date: dt.date
    today: bool
    past: bool
    open: tuple[str, ...]

    @property
    def label(self) -> str:
        """`23`, and `1 Dec` on the first of a month."""
        return (
            f"{self.date.day} {self.date:%b}" if self.date.day == 1 or self.date.weekday() == 0 else f"{self.date.day}"
        )

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"date": self.date.isoformat(), "open": list(self.open)}


@dataclass(frozen=True)
class Month:
    """`state` is how things stand now, in a sentence; `openings` the next ones as (opens, closes, lasts, windows);
    `weeks` five of seven days, the first one today's. Without `zone` there are no windows."""

    state: str
    zone: str = ""
    cutoff: str = ""
    openings: tuple[tuple[str, str, str, str], ...] = ()
    weeks: tuple[tuple[Day, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "state": self.state,
            "timezone": self.zone or None,
            "openings": [
                dict(zip(("opens", "closes", "lasts", "windows"), each, strict=True)) for each in self.openings
            ],
            "days": [day.as_json() for week in self.weeks for day in week],
        }


def of(calendar: Calendar, now: dt.datetime) -> Month:
    """The calendar as it is at `now`."""
    zone = calendar.zone
    today = now.astimezone(zone).date()
    first = today - dt.timedelta(days=today.weekday())
    days = [first + dt.timedelta(days=number) for number in range(_DAYS)]
    until = _midnight(days[-1] + dt.timedelta(days=1), zone)
    openings = list(takewhile(lambda each: each.start < until, calendar.openings(_midnight(first, zone))))
    made = [Day(day, day == today, day < today, tuple(_open(day, zone, openings))) for day in days]
    cutoff = words.rough(calendar.cutoff) if calendar.cutoff else ""
    return Month(
        _state(calendar, now),
        zone.key,
        cutoff,
        tuple(_row(each, zone) for each in calendar.coming(now, OPENINGS)),
        tuple(tuple(made[week : week + 7]) for week in range(0, _DAYS, 7)),
    )


def _state(calendar: Calendar, now: dt.datetime) -> str:
    state = calendar.state(now)
    if state.opening is None:
        return f"closed for changes: {state.closed_by}"
    if state.opening.end is None:
        return "open for changes"
    return f"open for changes until {words.moment(state.opening.end, calendar.zone)}"


def _row(opening: Opening, zone: ZoneInfo) -> tuple[str, str, str, str]:
    return (
        words.moment(opening.start, zone),
        words.moment(opening.end, zone) if opening.end else "-",
        words.rough(opening.lasts()) if opening.end else "-",
        ", ".join(opening.windows) or "-",
    )


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The beginning of a day by the clocks, in UTC."""
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _open(day: dt.date, zone: ZoneInfo, openings: list[Opening]) -> Iterator[str]:
    start, end = _midnight(day, zone), _midnight(day + dt.timedelta(days=1), zone)
    for each in openings:
        since, until = max(start, each.start), min(end, each.end or end)
        if since < until:
            whole = since == start and until == end
            last = "24:00" if until == end else f"{until.astimezone(zone):%H:%M}"
            yield "all day" if whole else f"{since.astimezone(zone):%H:%M}–{last}"
