"""The jobs that an environment wants: what is run, and when."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cronsim import CronSim

from meshwright.environment import Environment
from meshwright.environment.problems import listed, nearest
from meshwright.environment.timetable import TRANSITION
from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.windows import zones
from meshwright.windows.patterns import Cron

__all__ = ["PERIOD", "Wanted", "command", "cron_of_kubernetes", "named", "prefix", "wanted"]

PERIOD = dt.timedelta(minutes=5)
"""How often cron asks what is due."""

_MOMENT = "1m"
_ANY = dt.datetime(2024, 1, 1)
_WITHOUT_KEYS = {
    "certs check-root": ("--no-secrets",),
    "certs verify": ("--no-secrets", "--no-files", "--no-canary"),
}
"""What a pod leaves out of its look: its account can read no Secret, and run nothing in other pods."""


@dataclass(frozen=True)
class Wanted:
    """One job: `words` are those of the command, without `meshwright`; `timeout` is in seconds."""

    name: str
    words: tuple[str, ...]
    cron: str
    zone: ZoneInfo
    timeout: int

    def after(self, instant: dt.datetime) -> dt.datetime:
        """The first time after `instant` at which it is to be run."""
        least = dt.timedelta(microseconds=1)
        spans = Cron.of(self.cron, _MOMENT).spans(self.zone, instant)
        return next(start for start, _ in spans if start >= instant + least)


def wanted(env: Environment) -> list[Wanted]:
    """The jobs of an environment, in the order of its values; none where it has no schedule."""
    return list(_wanted(env))


def _wanted(env: Environment) -> Iterator[Wanted]:
    if env.schedule is None:
        return
    name = env.schedule.timezone or (env.windows.timezone if env.windows else "UTC")
    zone = zones.find(name)
    assert zone is not None  # the rules have looked
    for job_name, job in env.schedule.jobs.items():
        if job.run is not None:
            words = (*job.run.split(), env.name)
            if env.schedule.by == "kubernetes":
                words += _WITHOUT_KEYS.get(job.run, ())
        else:
            assert job.deploy is not None
            words = ("apply", env.name, job.deploy, "--yes", "--reason", f"scheduled: {job_name}")
        yield Wanted(job_name, words, job.cron, zone, job.timeout * 60)
    if (change := env.schedule.transition) is not None:
        words = ("certs", "transition", env.name, "--to", change.to, "--mode", change.mode, "--below", str(change.days))
        words += ("--yes", "--reason", f"scheduled: {TRANSITION}")
        yield Wanted(TRANSITION, words, change.cron, zone, change.timeout * 60)


def named(env: Environment, name: str) -> Wanted:
    """The job `name`. Raises BadInput: there is none."""
    jobs = {job.name: job for job in _wanted(env)}
    if name in jobs:
        return jobs[name]
    near = nearest(name, jobs)
    known = f"its jobs are {listed(jobs, 'and')}" if jobs else "it has none"
    raise BadInput(f"{env.name} has no job {name!r}; {known}", hint=f"Did you mean {near}?" if near else "")


def cron_of_kubernetes(cron: str) -> str:
    """The same times as Kubernetes reads them (robfig/cron): Sunday is 0 there and never 7."""
    *fields, weekdays = cron.split()
    if "7" in weekdays and not weekdays.startswith("*"):
        days = CronSim(cron, _ANY).weekdays
        weekdays = ",".join(map(str, sorted({int(day) % 7 for day in days if isinstance(day, int)})))
    return " ".join([*fields, weekdays])


def prefix(project: Project, environment: str) -> str:
    """What the names of all that is installed for an environment begin with; two clones have different ones."""
    # No name of an environment has a dot, so none is the beginning of another. One of several clusters is ENV/CLUSTER.
    return f"meshwright-{project.digest}-{environment.replace('/', '_')}."


def command(*words: str) -> list[str]:
    """The command line of `meshwright WORDS...`, with the Python that runs now."""
    return [sys.executable, "-m", "meshwright", *words]
