"""What the schedule of an environment must be beyond its shape, as rules of its values."""

from __future__ import annotations

from collections.abc import Iterator

from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, dotted, nearest, shortened
from meshwright.environment.rules import Broken, Rule
from meshwright.environment.timetable import TRANSITION, Job
from meshwright.windows import zones
from meshwright.windows.patterns import Cron, Unreadable

__all__ = ["RULES"]


_OF_TRANSITION: Path = ("schedule", TRANSITION)


def _jobs(env: Environment) -> Iterator[tuple[Path, Job]]:
    # Whoever asks for these rules has looked.
    assert env.schedule is not None
    for name, job in env.schedule.jobs.items():
        yield ("schedule", "jobs", name), job


def _crons(env: Environment) -> Iterator[tuple[Path, str]]:
    assert env.schedule is not None
    for path, job in _jobs(env):
        yield (*path, "cron"), job.cron
    if env.schedule.transition is not None:
        yield (*_OF_TRANSITION, "cron"), env.schedule.transition.cron


def _zone(env: Environment) -> Iterator[Broken]:
    assert env.schedule is not None
    name = env.schedule.timezone
    if name is not None and zones.find(name) is None:
        near = nearest(name, zones.names())
        sentence = f"schedule.timezone is {shortened(name)}, which is no time zone"
        yield Broken(("schedule", "timezone"), f"{sentence}; the nearest is {near}" if near else sentence)


def _one(env: Environment) -> Iterator[Broken]:
    for path, job in _jobs(env):
        if (job.run is None) == (job.deploy is None):
            yield Broken(path, f"{dotted(path)} has {'neither' if job.run is None else 'both'}")


def _cron(env: Environment) -> Iterator[Broken]:
    for at, cron in _crons(env):
        try:
            Cron.of(cron, "1m")
        except Unreadable as error:
            yield Broken(at, f"{dotted(at)} is '{shortened(cron)}': {error}")
            continue
        if not set("L#").isdisjoint(cron.upper().replace("JUL", "")):
            yield Broken(at, f"{dotted(at)} is '{shortened(cron)}': systemd knows neither L nor #")


def _asked(env: Environment) -> Iterator[Broken]:
    for path, job in _jobs(env):
        if env.protected and job.deploy is not None:
            at = (*path, "deploy")
            yield Broken(at, f"{dotted(at)} is {job.deploy}, which does not go with", ("protected",))
    assert env.schedule is not None
    if env.protected and env.schedule.transition is not None:
        at = (*_OF_TRANSITION, "to")
        yield Broken(at, f"{dotted(at)} is {env.schedule.transition.to}, which does not go with", ("protected",))


def _name(env: Environment) -> Iterator[Broken]:
    for path, _ in _jobs(env):
        if path[-1] == TRANSITION:
            yield Broken(path, f"{dotted(path)} has the name of the job that changes the root")


def _textfile(env: Environment) -> Iterator[Broken]:
    assert env.schedule is not None
    path = env.schedule.textfile
    if path is not None and not path.endswith(".prom"):
        yield Broken(("schedule", "textfile"), f"schedule.textfile is {shortened(path)}")


def _webhook(env: Environment) -> Iterator[Broken]:
    assert env.schedule is not None
    hook = env.schedule.webhook
    if hook is None:
        return
    path: Path = ("schedule", "webhook")
    if (hook.url is None) == (hook.url_file is None):
        yield Broken(path, f"{dotted(path)} has {'neither' if hook.url is None else 'both'}")
    elif hook.url is not None and not hook.url.startswith(("https://", "http://")):
        yield Broken((*path, "url"), f"{dotted((*path, 'url'))} is {shortened(hook.url)}")


def _kubernetes(env: Environment) -> Iterator[Broken]:
    schedule = env.schedule
    assert schedule is not None
    if schedule.by == "kubernetes" and schedule.kubernetes is None:
        yield Broken(("schedule", "by"), "schedule.by is kubernetes, and there is no image in schedule.kubernetes")


def _in_a_pod(env: Environment) -> Iterator[Broken]:
    schedule = env.schedule
    assert schedule is not None
    if schedule.by != "kubernetes":
        return
    hook = schedule.webhook
    for path, value in (
        (("schedule", "textfile"), schedule.textfile),
        (("schedule", "webhook", "url_file"), hook.url_file if hook else None),
    ):
        if value is not None:
            sentence = f"{dotted(path)} is {shortened(value)}, which does not go with kubernetes in"
            yield Broken(path, sentence, ("schedule", "by"))


RULES = (
    Rule("schedule.timezone is the name of an IANA time zone", _zone),
    Rule("A job has run or deploy", _one),
    Rule("The cron of a job has five fields that match some day, without L and #", _cron),
    Rule("No job changes a protected environment: somebody has to type its name", _asked),
    Rule("A webhook has url, which begins with https:// or http://, or url_file", _webhook),
    Rule("The textfile of a schedule ends in .prom: the exporter reads no others", _textfile),
    Rule("No job of schedule.jobs is called transition: that is schedule.transition", _name),
    Rule("A schedule by kubernetes has schedule.kubernetes", _kubernetes),
    Rule("A pod has no files of this machine: by kubernetes there is neither textfile nor url_file", _in_a_pod),
)
