"""Clocks on the wall: which instant a local time of a time zone is, also on the days when the clocks change.

A local time that the clocks skip (a gap) stands for the instant at which they skip it. One that comes twice (a fold)
has a first and a last instant, and callers choose. Instants are UTC throughout.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, available_timezones

__all__ = ["find", "first", "last", "names"]

_LEAST = dt.timedelta(microseconds=1)
_SECOND = dt.timedelta(seconds=1)
# Files beside the zones: the machine's own zone, a copy of one of them, and clocks that count leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


def find(name: str) -> ZoneInfo | None:
    """The IANA time zone `name`, None where there is none. The names of the system's database, or else of the package
    tzdata."""
    if name.startswith(_NO_ZONES):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None  # not there; not a name; a folder of zones


def names() -> list[str]:
    """All names of time zones, sorted. It reads hundreds of files: for a sentence about a wrong name."""
    return sorted(name for name in available_timezones() if not name.startswith(_NO_ZONES))


def first(wall: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The first instant at which the clocks read `wall` (without a time zone) or later."""
    return _instant(wall, zone, 0)


def last(wall: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The end of the last stretch in which the clocks read less than `wall`."""
    before = wall - _LEAST
    found = _instant(before, zone, 1)
    return found + _LEAST if _reads(found, zone) == before else found


def _reads(instant: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _instant(wall: dt.datetime, zone: ZoneInfo, fold: int) -> dt.datetime:
    found = wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC)
    if _reads(found, zone) == wall:
        return found
    # In a gap, fold 1 gives an instant before it and fold 0 one after it (PEP 495).
    before = wall.replace(tzinfo=zone, fold=1, microsecond=0).astimezone(dt.UTC) - _SECOND
    after = wall.replace(tzinfo=zone, fold=0, microsecond=0).astimezone(dt.UTC) + _SECOND
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
