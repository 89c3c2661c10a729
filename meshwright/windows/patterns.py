"""The three ways to say when: cron with a duration, days and times of the week, whole days.

Each gives spans, (start, end) in UTC with the end outside, sorted by their start. What happens when the clocks change:

- cron follows Debian's cron. A match that the clocks skip opens at the instant they skip it; one that comes twice opens
  at the first. Where minute or hour begins with a star it is about time that passes, not about the time of day: then a
  skipped match is none, and one that comes twice opens twice. The duration is time that passes.
- weekly times are what the clocks read: from the first instant at which they read the beginning, to the last before
  which they read less than the end. So it may last an hour more or less, or, where the clocks skip it all, be missing.
- a whole day begins at its first instant.
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from meshwright.windows.zones import first, last

__all__ = ["Cron", "Days", "Pattern", "Span", "Unreadable", "Weekly", "duration"]

Span = tuple[dt.datetime, dt.datetime]

_DAY = dt.timedelta(days=1)
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Every hour of two months, every day of four years: no two matches beyond those are nearer to each other.
_LOOKED_AT = 1500
_FROM = dt.datetime(2024, 1, 1)
_TO_YEAR = 2034
_FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31",
    "month": "1-12 or jan-dec",
    "day-of-week": "0-7 or sun-sat",
}


class Unreadable(ValueError):
    """A text has the right shape but no meaning; the message is a clause that says why."""


class Pattern(Protocol):
    """When something is: spans that have not ended before `since`, sorted by their start; there may be no end of them.
    Spans of one pattern may touch and overlap."""

    def spans(self, zone: ZoneInfo, since: dt.datetime) -> Iterator[Span]: ...


def duration(text: str) -> dt.timedelta:
    """`1d12h`, `4h`, `1h30m`, `90m`."""
    units = {"d": "days", "h": "hours", "m": "minutes"}
    return dt.timedelta(**{units[unit]: int(number) for number, unit in re.findall(r"(\d+)([dhm])", text)})


@dataclass(frozen=True)
class Cron:
    """Five cron fields, and for how long after each match."""

    text: str
    lasts: dt.timedelta

    @classmethod
    def of(cls, text: str, lasts: str) -> Cron:
        """Raises Unreadable: no cron, or one that never matches."""
        if len(text.split()) != 5:
            raise Unreadable(f"it has {len(text.split())} fields, and cron has five: {', '.join(_FIELDS)}")
        try:
            found = next(CronSim(text, _FROM), None)
        except CronSimError as error:
            found = None
            field = str(error).removeprefix("Bad ")
            # cronsim calls it a bad day where it is one, but not of these months.
            if field in _FIELDS and not _readable(text.split(), field):
                raise Unreadable(f"its {field} is wrong; it has {_FIELDS[field]}") from None
        if found is None:
            raise Unreadable("no day matches it")
        return cls(text, duration(lasts))

    def spans(self, zone: ZoneInfo, since: dt.datetime) -> Iterator[Span]:
        """A span for each match, an equal one for each."""
        for start in self._starts(zone, since - self.lasts):
            if start + self.lasts > since:
                yield start, start + self.lasts

    def _starts(self, zone: ZoneInfo, since: dt.datetime) -> Iterator[dt.datetime]:
        # cronsim matches what clocks read; instants are made here, because where clocks change by half an hour its own
        # way over the change misses matches.
        clock = since.astimezone(zone).replace(tzinfo=None) - _DAY
        waiting: list[dt.datetime] = []
        for wall in CronSim(self.text, clock):
            start = first(wall, zone)
            while waiting and waiting[0] < start:
                yield heapq.heappop(waiting)
            for each in self._instants(wall, start, zone):
                heapq.heappush(waiting, each)
        yield from sorted(waiting)

    def _instants(self, wall: dt.datetime, start: dt.datetime, zone: ZoneInfo) -> set[dt.datetime]:
        minute, hour = self.text.split()[:2]
        if not (minute.startswith("*") or hour.startswith("*")):
            return {start}
        found = (wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
        return {each for each in found if each.astimezone(zone).replace(tzinfo=None) == wall}

    @property
    def period(self) -> dt.timedelta:
        """The shortest time between two matches, on clocks that never change."""
        matches = islice(takewhile(lambda match: match.year < _TO_YEAR, CronSim(self.text, _FROM)), _LOOKED_AT)
        return min((later - sooner for sooner, later in pairwise(matches)), default=dt.timedelta.max)


@dataclass(frozen=True)
class Weekly:
    """Days of the week (0 is Monday) and the times from `start` to `end` after their midnight; an end beyond 24 hours
    is on the next day."""

    days: frozenset[int]
    start: dt.timedelta
    end: dt.timedelta

    @classmethod
    def of(cls, text: str) -> Weekly:
        """`mon-fri 22:00-02:00`, `sat,sun 00:00-24:00`. Raises Unreadable: it ends when it begins."""
        days, _, times = text.partition(" ")
        start, end = (_time(each) for each in times.split("-"))
        if start == end:
            raise Unreadable("it ends when it begins; a whole day is 00:00-24:00")
        return cls(frozenset(_days(days)), start, end if end > start else end + _DAY)

    def spans(self, zone: ZoneInfo, since: dt.datetime) -> Iterator[Span]:
        """A span for each of the days on which the clocks do not skip all of it."""
        midnight = dt.datetime.combine(since.astimezone(zone).date() - 3 * _DAY, dt.time())
        while True:
            if midnight.weekday() in self.days:
                start, end = first(midnight + self.start, zone), last(midnight + self.end, zone)
                if start < end and end > since:
                    yield start, end
            midnight += _DAY


@dataclass(frozen=True)
class Days:
    """Whole days, both included."""

    first: dt.date
    last: dt.date

    @classmethod
    def of(cls, text: str) -> Days:
        """`2026-12-24`, `2026-12-24..2027-01-02`. Raises Unreadable: no such day, or the wrong way round."""
        start, _, end = text.partition("..")
        found = cls(_date(start), _date(end or start))
        if found.last < found.first:
            raise Unreadable("it ends before it begins")
        return found

    def spans(self, zone: ZoneInfo, since: dt.datetime) -> Iterator[Span]:
        """The one span."""
        midnight, end = (dt.datetime.combine(day, dt.time()) for day in (self.first, self.last + _DAY))
        if first(end, zone) > since:
            yield first(midnight, zone), first(end, zone)


def _readable(fields: list[str], field: str) -> bool:
    alone = (text if name == field else "*" for name, text in zip(_FIELDS, fields, strict=True))
    try:
        CronSim(" ".join(alone), _FROM)
    except CronSimError:
        return False
    return True


def _time(text: str) -> dt.timedelta:
    hours, minutes = text.split(":")
    return dt.timedelta(hours=int(hours), minutes=int(minutes))


def _days(text: str) -> Iterator[int]:
    for part in text.split(","):
        start, _, end = part.partition("-")
        day = _NAMES.index(start)
        yield day
        while day != _NAMES.index(end or start):
            day = (day + 1) % 7
            yield day


def _date(text: str) -> dt.date:
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"there is no day {text}") from None
    if not 2000 <= found.year <= 9000:
        raise Unreadable(f"{text} is not a year of ours")
    return found
