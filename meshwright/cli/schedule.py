"""`meshwright schedule`."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Sequence
from typing import Any

import click

from meshwright import cluster
from meshwright.cli.changing import change
from meshwright.cli.common import environment_argument, json_option, opened, reason_option, targets
from meshwright.cli.consent import ask
from meshwright.cli.output import Output, table
from meshwright.environment import Loaded
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.project import Project
from meshwright.schedule import in_cluster, jobs, running
from meshwright.schedule import results as kept
from meshwright.schedule.step import ensure, installed_by
from meshwright.target import Local
from meshwright.windows import words
from meshwright.wording import utc

__all__ = ["command"]

_HEAD = ("job", "runs", "cron", "next", "last run (UTC)", "result")


@click.command(
    "schedule",
    help="Show the jobs of ENV, when they run and how they ended. --apply has systemd or cron of this machine, or "
    "CronJobs of the cluster, run them, --remove takes that away; --run and --due are what these call.",
    epilog="Example: meshwright schedule lab --apply",
)
@environment_argument
@json_option
@click.option("--apply", "action", flag_value="schedule", help="Install the jobs as the values have them.")
@click.option("--remove", "action", flag_value="schedule_remove", help="Take away all that was installed.")
@click.option("--run", "job", metavar="JOB", help="Run a job now; ends with its exit code.")
@click.option("--due", is_flag=True, help="Run the jobs whose time has come since their last run, each once.")
@click.option("--plan", "plan_only", is_flag=True, help="With --apply or --remove: show what would change and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
def command(
    environment: str,
    as_json: bool,
    action: str | None,
    job: str | None,
    due: bool,
    plan_only: bool,
    yes: bool,
    reason: str,
) -> int:
    """Shows, or does one of four things."""
    if sum((action is not None, job is not None, due)) > 1:
        raise click.UsageError("--apply, --remove, --run and --due are four different things")
    if (plan_only or yes) and action is None:
        raise click.UsageError("--plan and --yes go with --apply and --remove")
    output = Output(as_json, "schedule", environment)
    project, loaded = opened(environment)
    if action is not None:
        options = Options(reason=reason)
        return change(
            output, project, loaded, action, options, plan_only=plan_only, consent=lambda: ask(loaded.env, yes=yes)
        )
    if job is not None:
        return _run(output, project, loaded, [jobs.named(loaded.env, job)])
    if due:
        return _run(output, project, loaded, running.due(project, loaded.env))
    return _show(output, project, loaded)


def _show(output: Output, project: Project, loaded: Loaded) -> int:
    env = loaded.env
    wanted = jobs.wanted(env)
    results = running.last(project, env.name)
    by, state, pending = installed_by(env), "", 0
    try:
        # Here, not on the environment's hosts: the jobs are run where the project folder is.
        pending = len(ensure.plan(Local(project), env).changes)
        if in_cluster.here(env):
            with targets(project, loaded, quiet=output.json) as hosts:
                pending += len(in_cluster.ensure.plan(hosts[0], env).changes)
                results = {**results, **kept.last(cluster.answering(hosts[0], env), env)}
        state = "not installed as they are here" if pending else "they are installed"
    except MeshwrightError as error:
        state = error.message
    now = dt.datetime.now(dt.UTC)
    if wanted:
        output.answer(table(_HEAD, (_row(job, results.get(job.name), now) for job in wanted)))
        output.answer(["", f"run by {by}: {state}"])
    else:
        output.answer([f"{env.name} has no jobs"])
    if pending:
        output.human(f"hint: meshwright schedule {env.name} --apply makes it so")
    elif not wanted:
        output.human("hint: write `schedule: {}` into its values for jobs that look at it; docs/schedule.md")
    output.document(
        ok=True,
        summary={"checked": len(wanted), "pending": pending},
        by=by,
        state=state,
        jobs=[
            {
                "job": job.name,
                "words": list(job.words),
                "cron": job.cron,
                "timezone": job.zone.key,
                "next": utc(job.after(now)),
                "last": _last(results.get(job.name)),
            }
            for job in wanted
        ],
    )
    return Exit.OK


def _row(job: jobs.Wanted, result: running.Result | None, now: dt.datetime) -> tuple[str, ...]:
    ran = result is not None and result.exit is not None
    return (
        job.name,
        f"meshwright {shlex.join(job.words)}",
        job.cron,
        words.moment(job.after(now), job.zone),
        f"{result.begun.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if ran and result else "-",
        _ended(result) if ran and result else "-",
    )


def _ended(result: running.Result) -> str:
    return ("ok" if result.exit == 0 else f"exit {result.exit}") + (f": {result.message}" if result.message else "")


def _last(result: running.Result | None) -> dict[str, Any] | None:
    if result is None or result.exit is None:
        return None
    return {"at": result.at, "exit": result.exit, "seconds": result.seconds, "message": result.message}


def _kept(output: Output, project: Project, loaded: Loaded, result: running.Result | None = None) -> None:
    """Of a schedule by Kubernetes: reads what earlier pods have left, or, with a `result`, leaves one for later."""
    if not in_cluster.here(loaded.env):
        return
    try:
        with targets(project, loaded, quiet=True) as hosts:
            session = cluster.answering(hosts[0], loaded.env)
            if result is not None:
                kept.keep(session, loaded.env, result)
            else:
                running.remember(project, loaded.env.name, kept.last(session, loaded.env).values())
    except MeshwrightError as error:
        what = "the result could not be kept in" if result else "earlier results could not be read from"
        output.human(f"{what} the cluster: {error.message}")


def _run(output: Output, project: Project, loaded: Loaded, due: Sequence[jobs.Wanted]) -> int:
    """Runs jobs one after the other; the worst of their exit codes, which is the highest."""
    results, busy = [], []
    _kept(output, project, loaded)
    for job in due:
        try:
            results.append(running.run(project, loaded.env, job, output.human))
            _kept(output, project, loaded, results[-1])
        except Refused as refused:
            if len(due) == 1:
                raise
            busy.append(refused)
            output.human(refused.message)
    output.answer(f"{result.job}: {_ended(result)} ({result.seconds:.1f} s)" for result in results)
    if not due:
        output.answer(["nothing is due"])
    worst = max((result.exit or 0 for result in results), default=0)
    output.document(
        ok=worst == 0,
        summary={"checked": len(results), "failed": sum(result.exit != 0 for result in results), "busy": len(busy)},
        jobs=[{"job": result.job, **(_last(result) or {})} for result in results],
    )
    return worst
