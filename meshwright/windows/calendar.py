"""When an environment is open for changes: the windows that allow, without those that deny and the blackouts.

An opening is a stretch of time as long as it goes: windows that touch or overlap make one. Its start belongs to it, its
end does not, so no instant is both in and out. Instants are UTC.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from meshwright.windows import zones
from meshwright.windows.patterns import Cron, Days, Pattern, Span, Weekly, duration

if TYPE_CHECKING:
    # The rules of an environment look at windows, so these know the model by its shape alone.
    from meshwright.environment.maintenance import Window, Windows

__all__ = ["HORIZON", "Calendar", "Opening", "State", "pattern"]

HORIZON = dt.timedelta(days=400)
"""How far ahead openings are looked for: what does not open until then is taken to open never. What has opened and
does not close in twice this time is taken to stay open."""


@dataclass(frozen=True)
class Opening:
    """From `start` to `end`; None: no end of it is in sight. `windows` are the names of those that allow it;
    none where nothing but what is denied is closed."""

    start: dt.datetime
    end: dt.datetime | None
    windows: tuple[str, ...] = ()

    def lasts(self, since: dt.datetime | None = None) -> dt.timedelta:
        """How long it is, or how much of it is left at `since`."""
        return (self.end - max(since or self.start, self.start)) if self.end else dt.timedelta.max


@dataclass(frozen=True)
class State:
    """How things stand at one instant: the opening that it is in (which starts with that instant here), or else the
    next one, if there is one, and what closes it now, in words."""

    opening: Opening | None
    following: Opening | None = None
    closed_by: str = ""


@dataclass(frozen=True)
class Calendar:
    """The windows of an environment as patterns in one time zone. Nothing begins in the last `cutoff` of an opening."""

    zone: ZoneInfo
    allow: Mapping[str, Pattern] = field(default_factory=dict)
    deny: Mapping[str, Pattern] = field(default_factory=dict)
    cutoff: dt.timedelta = dt.timedelta()

    @classmethod
    def of(cls, windows: Windows) -> Calendar:
        """From the values of an environment, which have been looked through when they were loaded. Blackouts are
        denied by the name of their days."""
        zone = zones.find(windows.timezone)
        assert zone is not None
        return cls(
            zone,
            {name: pattern(window) for name, window in windows.allow.items()},
            {
                **{f"deny window {name}": pattern(window) for name, window in windows.deny.items()},
                **{f"blackout {days}": Days.of(days) for days in windows.blackouts},
            },
            duration(windows.cutoff or ""),
        )

    def openings(self, since: dt.datetime) -> Iterator[Opening]:
        """The openings from `since` until the horizon, in order; one that has begun starts at `since`."""
        last, until = since + HORIZON, since + 2 * HORIZON
        allowed = _union(self._spans(self.allow, since), since, until) if self.allow else iter([(since, until)])
        denied = _union(self._spans(self.deny, since), since, until)
        for start, end in _without(takewhile(lambda span: span[0] < last, allowed), denied):
            if start >= last:
                return
            yield Opening(start, end if end < until else None, tuple(self._within(start, end)))

    def usable(self, since: dt.datetime, needed: dt.timedelta = dt.timedelta()) -> Iterator[Opening]:
        """Those in which something that takes `needed` can be begun and ended."""
        return (each for each in self.openings(since) if each.lasts() > self.cutoff and each.lasts() >= needed)

    def coming(self, since: dt.datetime, count: int) -> list[Opening]:
        """The next `count` openings, fewer where there are not so many."""
        return list(islice(self.openings(since), count))

    def state(self, at: dt.datetime) -> State:
        """Whether it is open at this instant."""
        first = next(self.openings(at), None)
        if first is not None and first.start == at:
            return State(first)
        if self.allow and not any(_covers(each, self.zone, at) for each in self.allow.values()):
            return State(None, first, "no window is open")
        closing = [name for name, each in self.deny.items() if _covers(each, self.zone, at)]
        return State(None, first, " and ".join(closing))

    def _spans(self, patterns: Mapping[str, Pattern], since: dt.datetime) -> list[Iterator[Span]]:
        return [each.spans(self.zone, since) for each in patterns.values()]

    def _within(self, start: dt.datetime, end: dt.datetime) -> Iterator[str]:
        for name, each in self.allow.items():
            span = next(each.spans(self.zone, start), None)
            if span is not None and span[0] < end:
                yield name


def pattern(window: Window) -> Pattern:
    """What a window says. Raises Unreadable."""
    if window.weekly is not None:
        return Weekly.of(window.weekly)
    assert window.cron is not None
    assert window.duration is not None
    return Cron.of(window.cron, window.duration)


def _covers(pattern: Pattern, zone: ZoneInfo, at: dt.datetime) -> bool:
    span = next(pattern.spans(zone, at), None)
    return span is not None and span[0] <= at


def _union(streams: Iterable[Iterator[Span]], since: dt.datetime, until: dt.datetime) -> Iterator[Span]:
    """The time that any of the spans covers, between the two, in pieces that do not touch."""
    piece: Span | None = None
    for start, end in heapq.merge(*streams):
        if start >= until:
            break
        start, end = max(start, since), min(end, until)
        if piece is None:
            piece = start, end
        elif start <= piece[1]:
            piece = piece[0], max(piece[1], end)
        else:
            yield piece
            piece = start, end
        if piece[1] == until:
            break
    if piece is not None:
        yield piece


def _without(allowed: Iterator[Span], denied: Iterator[Span]) -> Iterator[Span]:
    """What is in the first and not in the second; both sorted, in pieces that do not touch."""
    deny = next(denied, None)
    for start, end in allowed:
        while deny is not None and deny[1] <= start:
            deny = next(denied, None)
        while deny is not None and deny[0] < end:
            if start < deny[0]:
                yield start, deny[0]
            start = deny[1]
            if start >= end:
                break
            deny = next(denied, None)
        if start < end:
            yield start, end
