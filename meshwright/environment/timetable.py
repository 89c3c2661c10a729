"""What is run for an environment at certain times, as values; `meshwright.schedule` knows what they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from meshwright.environment.base import Model
from meshwright.environment.maintenance import Cron, TimeZone
from meshwright.environment.vocabulary import Image, Name, Text, Words

__all__ = ["JOBS", "TRANSITION", "CronJobs", "Job", "Schedule", "Transition", "Webhook"]

TRANSITION = "transition"
"""The name of the job that changes the root."""

JOBS: dict[str, dict[str, Any]] = {
    "certificates": {"run": "certs check-root", "cron": "17 6 * * *"},
    "verification": {"run": "certs verify", "cron": "37 6 * * mon"},
    "drift": {"run": "drift", "cron": "7 * * * *"},
}
"""The jobs of every schedule."""


def _with_ours(jobs: object) -> object:
    """What the files say of a job of ours is laid over it, and null takes it away."""
    if not isinstance(jobs, dict):
        return jobs
    laid = {name: _over(JOBS.get(name, {}), job) for name, job in {**JOBS, **jobs}.items()}
    return {name: job for name, job in laid.items() if job is not None}


def _over(ours: dict[str, Any], job: object) -> object:
    if not isinstance(job, dict):
        return job
    # What a job is, is said in one way.
    kept = {key: value for key, value in ours.items() if not (key == "run" and "deploy" in job)}
    return {**kept, **job}


class Job(Model):
    """Something that is run at certain times."""

    run: Literal["check", "drift", "certs check-root", "certs check-version", "certs verify"] | None = None
    """The command that is run; all of these only look."""
    deploy: Text | None = None
    """The deploy that is applied, without a question; the environment's windows hold for it."""
    cron: Cron
    """When: minute, hour, day of month, month, day of week."""
    timeout: Annotated[int, Field(ge=1, le=1440)] = 120
    """Minutes after which it is ended."""


class Transition(Model):
    """A change of the mesh's root that begins by itself, as the job `transition`."""

    days: Annotated[int, Field(ge=1, le=3649), Words("a whole number of days from 1 to 3649")]
    """It begins when the root has fewer days left and a window is open: more than the last fifth of the root's life, in
    which istiod signs it anew by itself, and fewer than the 3650 days of a new one."""
    to: Literal["new-self-signed", "extend"]
    """Where the new root comes from. new-self-signed: its key is made in memory when the change begins. extend: it has
    the key that is in the cluster. A CA in files is changed by hand: no machine keeps its key for a timer."""
    mode: Literal["live", "restart", "patient"] = "live"
    """How proxies follow that learn a new root only with their next certificate."""
    cron: Cron = "27 * * * *"
    """When it is asked whether the change is due, and one under way goes on."""
    timeout: Annotated[int, Field(ge=1, le=1440)] = 120
    """Minutes after which it is ended; the next run goes on from there."""


class CronJobs(Model):
    """What CronJobs of the environment's own cluster run."""

    image: Image
    """The image that has Meshwright in it; docs/schedule.md says how it is made."""
    pull_secret: Name | None = None
    """The Secret in namespace meshwright with which it is pulled, where its registry asks for one."""


class Webhook(Model):
    """Where the result of a job is sent, as JSON."""

    url: Text | None = None
    """Its URL, where that is no secret."""
    url_file: Text | None = None
    """Path of a file with its URL, where that is one; relative to the project folder."""
    when: Literal["always", "failed"] = "failed"
    """failed: only when a job ended with another code than 0, and the first time that it is 0 again."""


class Schedule(Model):
    """What is run for the environment at certain times, on the machine with the project folder or in the cluster."""

    by: Literal["auto", "systemd", "cron", "kubernetes"] = "auto"
    """What runs the jobs; auto: systemd where it is at work, else cron. kubernetes: CronJobs in the cluster itself."""
    kubernetes: CronJobs | None = None
    """What CronJobs run, where `by` is kubernetes."""
    timezone: TimeZone | None = None
    """The IANA time zone of the jobs' times; that of windows where absent, UTC where there are none."""
    jobs: Annotated[
        dict[Name, Job],
        BeforeValidator(_with_ours, json_schema_input_type=dict[Name, Job | None]),
        Field(validate_default=True),
    ] = {}
    """What is run, by name; certificates, verification and drift are there, and null takes one away."""
    transition: Transition | None = None
    """Whether the root is changed before its end without anybody at hand; it is not where absent."""
    webhook: Webhook | None = None
    """Where the result of a job is sent; nowhere where absent."""
    textfile: Text | None = None
    """Path of a file for Prometheus' node exporter with the last result of each job; it ends in .prom."""
