"""Jobs as systemd units: a service and a timer each (systemd.service(5), systemd.timer(5), systemd.time(7))."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from cronsim import CronSim

from meshwright.project import Project
from meshwright.schedule.jobs import Wanted, command, prefix

__all__ = ["calendars", "quoted", "units"]

_ANY = dt.datetime(2024, 1, 1)
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def units(project: Project, environment: str, jobs: Iterable[Wanted], user: str = "") -> dict[str, str]:
    """The text of each unit file, by its name. `user` is whom services of the system's own manager run as; empty for
    those of a user's manager."""
    made = {}
    for job in jobs:
        name = f"{prefix(project, environment)}{job.name}"
        made[f"{name}.service"] = "".join(f"{line}\n" for line in _service(project, environment, job, user))
        made[f"{name}.timer"] = "".join(f"{line}\n" for line in _timer(environment, job))
    return made


def _service(project: Project, environment: str, job: Wanted, user: str) -> Iterator[str]:
    yield f"# Kept by `meshwright schedule {environment}`, which takes it away with --remove."
    yield "[Unit]"
    yield f"Description=Meshwright: {job.name} of {environment}"
    yield "Wants=network-online.target"
    yield "After=network-online.target"
    yield "[Service]"
    yield "Type=oneshot"
    if user:
        # Without it the system's manager sets no HOME.
        yield f"User={user}"
    yield f"WorkingDirectory={_plain(str(project.root))}"
    yield f"ExecStart={quoted(command('schedule', environment, '--run', job.name))}"
    yield f"TimeoutStartSec={job.timeout + 60}"


def _timer(environment: str, job: Wanted) -> Iterator[str]:
    yield f"# Kept by `meshwright schedule {environment}`, which takes it away with --remove."
    yield "[Unit]"
    yield f"Description=Meshwright: {job.name} of {environment}"
    yield "[Timer]"
    for each in calendars(job.cron):
        yield f"OnCalendar={each} {job.zone.key}"
    # What was missed while the machine was off is run once.
    yield "Persistent=true"
    yield "[Install]"
    yield "WantedBy=timers.target"


def calendars(cron: str) -> list[str]:
    """Cron as OnCalendar, without a time zone. Where cron means one day or the other, it is two lines, because systemd
    means both at once."""
    parsed = CronSim(cron, _ANY)
    hours, minutes = _numbers(parsed.hours, 24), _numbers(parsed.minutes, 60)
    months, days = _numbers(parsed.months, 12, least=1), _numbers(parsed.days, 31, least=1)
    names = sorted({int(day) % 7 for day in parsed.weekdays if isinstance(day, int)})
    weekdays = "" if len(names) == 7 else ",".join(_DAYS[day] for day in names) + " "
    time = f"{hours}:{minutes}:00"
    if parsed.day_and:
        return [f"{weekdays}*-{months}-{days} {time}"]
    if not weekdays or days == "*":
        return [f"*-{months}-* {time}"]
    return [f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}"]


def quoted(words: Sequence[str]) -> str:
    """A command line in systemd's own quotes; `%` and `$` mean themselves."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_plain(word)}"'


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _numbers(values: set[int], count: int, least: int = 0) -> str:
    if len(values) == count:
        return "*"
    return ",".join(f"{value:02}" for value in sorted(values) if value >= least)
