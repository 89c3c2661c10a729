"""Whether a run may begin, go on and take up something new, by the windows of its environment.

Whether a window is open is asked of the wall clock, because windows are about what clocks read, and once: when the run
begins. From then on the run's time is counted by a clock that nobody sets and that goes on while the machine sleeps, so
that a wall clock that jumps neither stops a run nor gives it time that it has not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from meshwright.environment import Environment
from meshwright.errors import Refused
from meshwright.lease import elapsed
from meshwright.records import Record
from meshwright.windows import words
from meshwright.windows.calendar import Calendar, Opening, State
from meshwright.windows.timing import expected

__all__ = ["Gate", "now", "waiting"]

_OVERRIDE = "run it with --override --reason TEXT"
# Clocks of machines that keep time differ by less.
_SKEW = dt.timedelta(minutes=5)


def now() -> dt.datetime:
    """The wall clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def waiting(env: Environment, at: dt.datetime) -> str:
    """Why the windows of `env` let nothing begin at `at`, with the next opening; empty where they do."""
    if env.windows is None:
        return ""
    calendar = Calendar.of(env.windows)
    found = next(calendar.usable(at), None)
    if found is not None and found.start <= at:
        return ""
    coming = f"the next opening is {words.stretch(found, calendar.zone)}" if found else "none opens in the next year"
    return f"{env.name} is closed for changes; {coming}"


class Gate:
    """The windows of `env` for one run. `override` is somebody's decision that they do not bind it. `records` are
    those of earlier runs, newest first, asked for once; `say` takes sentences for a person."""

    def __init__(
        self,
        env: Environment,
        *,
        override: bool,
        records: Callable[[], Iterable[Record]],
        say: Callable[[str], None],
    ) -> None:
        assert env.windows is not None
        self._name = env.name
        self._calendar = Calendar.of(env.windows)
        self._override = override
        self._records = records
        self._say = say
        self._took: dict[str, dt.timedelta] = {}
        self._opening: Opening | None = None
        self._end: float | None = None
        self._entered = False
        self._bound = False
        self._rest: list[str] = []
        self.said = ""
        """How things stood when the run began, for its record."""

    def step(self, name: str, changing: Sequence[str], left: Sequence[str], *, safe: bool = False) -> None:
        """The step `name` is about to change something. `changing` are the steps, from this one on, of which it is
        known that they will change something, and that have to fit into the time that there is; `left` all that would
        not be done if the run stopped here.

        A `safe` step, one that leads back or to a safe point, is never refused. Raises Refused.
        """
        self._bound = not safe
        self._rest = [f"the rest of {name}", *left[1:]]
        if safe:
            self.said = self.said or f"{self._state(now())}; {name} is never refused by a window"
        elif not self._entered:
            self._enter(changing)
        else:
            self._go_on(name, left, fits=name not in changing)

    def safe_point(self, what: str) -> None:
        """A step may stop here and be continued later. Raises Refused when the run's time is over."""
        if self._bound and self._over():
            raise self._stop(f"stopped at {what}, which is a safe point; left: {', '.join(self._rest)}")

    # The beginning

    def _enter(self, changing: Sequence[str]) -> None:
        at = now()
        if not self._override:
            records = list(self._records())
            self._believe(at, records)
            self._took = dict(expected(records))
            self._opening = self._open(at, changing)
            if self._opening.end is not None:
                self._end = elapsed() + (self._opening.end - at).total_seconds()
        self.said = self._state(at) + ("; overridden" if self._override else "")
        self._entered = True

    def _believe(self, at: dt.datetime, records: Sequence[Record]) -> None:
        """A clock that is wrong opens the wrong windows; one that is behind is seen by the records."""
        latest = max((dt.datetime.fromisoformat(record.started) for record in records), default=at)
        if latest > at + _SKEW:
            raise Refused(
                f"the clock reads {words.moment(at, dt.UTC)}, but the last run of {self._name} began "
                f"{words.moment(latest, dt.UTC)}",
                hint=f"Windows need the right time: set the clock of this machine, or {_OVERRIDE}",
            )

    def _open(self, at: dt.datetime, changing: Sequence[str]) -> Opening:
        """The opening that has room for these steps now. Raises Refused."""
        zone, state = self._calendar.zone, self._calendar.state(at)
        needed = sum((self._took.get(name, dt.timedelta()) for name in changing), dt.timedelta())
        opening = state.opening
        if opening is None:
            raise Refused(f"{self._name} is closed for changes: {state.closed_by}", hint=self._later(at, needed))
        left = opening.lasts()
        if left <= self._calendar.cutoff:
            assert opening.end is not None
            raise Refused(
                f"{words.named(opening)} closes {words.moment(opening.end, zone)}, and nothing is begun in its last "
                f"{words.rough(self._calendar.cutoff)}",
                hint=self._later(opening.end, needed),
            )
        if needed > left:
            assert opening.end is not None
            raise Refused(
                f"the plan takes {words.rough(needed)} by earlier runs, and {words.named(opening)} closes in "
                f"{words.rough(left)}, {words.moment(opening.end, zone)}",
                hint=self._later(opening.end, needed),
            )
        unknown = [name for name in changing if name not in self._took]
        if unknown and opening.end is not None:
            self._say(f"no earlier run says how long it takes: {', '.join(unknown)}")
        return opening

    def _later(self, since: dt.datetime, needed: dt.timedelta = dt.timedelta()) -> str:
        found = next(self._calendar.usable(since, needed), None)
        if found is not None:
            return f"The next opening is {words.stretch(found, self._calendar.zone)}. Wait for it, or {_OVERRIDE}"
        if next(self._calendar.usable(since), None) is None:
            return f"No window opens in the next year. To do it all the same, {_OVERRIDE}"
        return f"No opening is long enough for it. Apply it in parts, make a window longer, or {_OVERRIDE}"

    def _state(self, at: dt.datetime) -> str:
        state: State = self._calendar.state(at)
        if state.opening is None:
            return f"closed: {state.closed_by}"
        if state.opening.end is None:
            return "open"
        windows = f" ({', '.join(state.opening.windows)})" if state.opening.windows else ""
        return f"open until {words.moment(state.opening.end, self._calendar.zone)}{windows}"

    # On the way

    def _left(self) -> dt.timedelta:
        return dt.timedelta.max if self._end is None else dt.timedelta(seconds=self._end - elapsed())

    def _over(self) -> bool:
        return self._left() <= self._calendar.cutoff

    def _go_on(self, name: str, left: Sequence[str], *, fits: bool) -> None:
        rest = f"left: {', '.join(left)}"
        if self._over():
            raise self._stop(f"stopped before {name}; {rest}")
        if not fits and (took := self._took.get(name, dt.timedelta())) > (time := self._left()):
            raise self._stop(
                f"stopped before {name}, which takes {words.rough(took)} by earlier runs; {rest}", words.rough(time)
            )

    def _stop(self, what: str, time: str = "") -> Refused:
        assert self._opening is not None
        assert self._opening.end is not None
        close = f"closes in {time}" if time else "is over" if self._left() <= dt.timedelta() else "is about to close"
        found = next(self._calendar.usable(self._opening.end), None)
        following = f"The next opening is {words.stretch(found, self._calendar.zone)}. " if found else ""
        return Refused(
            f"{words.named(self._opening)} {close}: {what}",
            hint=f"{following}Run the same again then: it goes on from here. To go on now, {_OVERRIDE}",
        )
