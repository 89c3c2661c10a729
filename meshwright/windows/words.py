"""Times and openings as people read them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from meshwright.windows.calendar import Opening

__all__ = ["moment", "named", "rough", "stretch"]

_MINUTE = dt.timedelta(minutes=1)


def moment(instant: dt.datetime, zone: dt.tzinfo) -> str:
    """`Mon 2026-11-23 22:00 CET`."""
    return f"{instant.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"


def stretch(opening: Opening, zone: ZoneInfo) -> str:
    """`Mon 2026-11-23 22:00 CET to Tue 2026-11-24 04:00 CET (nights)`."""
    end = f"to {moment(opening.end, zone)}" if opening.end else "without an end"
    windows = f" ({', '.join(opening.windows)})" if opening.windows else ""
    return f"{moment(opening.start, zone)} {end}{windows}"


def named(opening: Opening) -> str:
    """`the window nights`, `the windows early and late`, `the time that no window denies`."""
    if not opening.windows:
        return "the time that no window denies"
    return f"the window{'s' if len(opening.windows) > 1 else ''} {' and '.join(opening.windows)}"


def rough(time: dt.timedelta) -> str:
    """`less than a minute`, `25 minutes`, `3 hours`, `1 hour 20 minutes`, `2 days`; whole minutes, never too many."""
    minutes = max(time, dt.timedelta()) // _MINUTE
    if minutes == 0:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (rest, "minute")]
    return " ".join(f"{count} {unit}{'s' if count > 1 else ''}" for count, unit in parts if count)
