"""What the windows of an environment must be beyond their shape, as rules of its values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from meshwright.environment.maintenance import Window, Windows
from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, dotted, nearest, shortened
from meshwright.environment.rules import Broken, Rule
from meshwright.windows import zones
from meshwright.windows.calendar import HORIZON, Calendar, pattern
from meshwright.windows.patterns import Cron, Days, Unreadable, Weekly

__all__ = ["RULES"]

_HOUR = dt.timedelta(hours=1)


def _windows(env: Environment) -> Windows:
    # Whoever asks for these rules has looked.
    assert env.windows is not None
    return env.windows


def _each(env: Environment) -> Iterator[tuple[Path, Window]]:
    for key in ("allow", "deny"):
        for name, window in getattr(_windows(env), key).items():
            yield ("windows", key, name), window


def _zone(env: Environment) -> Iterator[Broken]:
    name = _windows(env).timezone
    if zones.find(name) is None:
        near = nearest(name, zones.names())
        path: Path = ("windows", "timezone")
        sentence = f"windows.timezone is {shortened(name)}, which is no time zone"
        yield Broken(path, f"{sentence}; the nearest is {near}" if near else sentence)


def _kinds(env: Environment) -> Iterator[Broken]:
    for path, window in _each(env):
        given = [key for key in ("cron", "duration", "weekly") if getattr(window, key) is not None]
        if given not in (["cron", "duration"], ["weekly"]):
            yield Broken(path, f"{dotted(path)} has {_only(given)}")


def _only(given: list[str]) -> str:
    return " and ".join(given) if len(given) > 1 else f"only {given[0]}" if given else "nothing in it"


def _cron(env: Environment) -> Iterator[Broken]:
    for path, window in _each(env):
        if window.cron is not None:
            try:
                Cron.of(window.cron, "1m")
            except Unreadable as error:
                yield Broken((*path, "cron"), f"{dotted((*path, 'cron'))} is '{shortened(window.cron)}': {error}")


def _period(env: Environment) -> Iterator[Broken]:
    for path, window, made in _patterns(env):
        if not isinstance(made, Cron):
            continue
        period = made.period
        if period < _HOUR:
            sentence = f"{dotted((*path, 'cron'))} is '{window.cron}', which matches every {_minutes(period)}"
            yield Broken((*path, "cron"), sentence)
        elif made.lasts > period:
            sentence = f"{dotted((*path, 'duration'))} is {window.duration}, longer than the {_minutes(period)}"
            yield Broken((*path, "duration"), f"{sentence} from one match to the next of", (*path, "cron"))


def _weekly(env: Environment) -> Iterator[Broken]:
    for path, window in _each(env):
        if window.weekly is not None:
            try:
                Weekly.of(window.weekly)
            except Unreadable as error:
                yield Broken((*path, "weekly"), f"{dotted((*path, 'weekly'))} is {window.weekly}: {error}")


def _blackouts(env: Environment) -> Iterator[Broken]:
    for index, days in enumerate(_windows(env).blackouts):
        try:
            Days.of(days)
        except Unreadable as error:
            path: Path = ("windows", "blackouts", index)
            yield Broken(path, f"{dotted(path)} is {days}: {error}")


def _opens(env: Environment) -> Iterator[Broken]:
    before = (_zone, _kinds, _cron, _period, _weekly, _blackouts)
    if any(broken for rule in before for broken in rule(env)):
        return
    windows = _windows(env)
    calendar, now = Calendar.of(windows), dt.datetime.now(dt.UTC)
    usable = next(calendar.usable(now), None)
    if not windows.allow and usable is None:
        yield Broken(("windows",), f"windows leaves no time in the next {HORIZON.days} days: all of it is denied")
    for name in windows.allow:
        if usable is not None and name in usable.windows:
            continue
        path: Path = ("windows", "allow", name)
        alone = Calendar(calendar.zone, {name: calendar.allow[name]})
        if not any(name in opening.windows for opening in calendar.usable(now)):
            yield Broken(path, _never(dotted(path), alone, calendar, now))


def _never(what: str, alone: Calendar, calendar: Calendar, now: dt.datetime) -> str:
    first = next(alone.openings(now), None)
    if first is None:
        return f"{what} does not open in the next {HORIZON.days} days"
    closing = calendar.state(first.start).closed_by
    if closing:
        return f"{what} is closed by {closing} whenever it opens in the next {HORIZON.days} days"
    return f"{what} is never open for longer than the cutoff"


def _patterns(env: Environment) -> Iterator[tuple[Path, Window, Cron | Weekly]]:
    for path, window in _each(env):
        if window.weekly is not None or (window.cron is not None and window.duration is not None):
            try:
                made = pattern(window)
            except Unreadable:
                continue
            assert isinstance(made, Cron | Weekly)
            yield path, window, made


def _minutes(time: dt.timedelta) -> str:
    minutes = time // dt.timedelta(minutes=1)
    count, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return f"{count} {unit}{'s' if count > 1 else ''}"


RULES = (
    Rule("windows.timezone is the name of an IANA time zone, such as Europe/Berlin or UTC", _zone),
    Rule("A window has cron and duration, or weekly alone", _kinds),
    Rule("cron has five fields that match some day: minute, hour, day of month, month, day of week", _cron),
    Rule("The window of a cron comes at most once an hour, and ends before it comes again", _period),
    Rule("A weekly window ends at another time than it begins", _weekly),
    Rule("A blackout is days that there are, the first before the last", _blackouts),
    Rule("Each window that allows opens at some time, for longer than the cutoff", _opens),
)
