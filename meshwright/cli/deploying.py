"""Planning and running a deploy for an environment, whether it has one cluster or several."""

from __future__ import annotations

from collections.abc import Sequence

from meshwright.cli.child import Done, run_deploy
from meshwright.cli.output import Output
from meshwright.cli.planned import Planned, planned
from meshwright.cli.rolling import Rolled, Whole, plan_all, roll_out, said
from meshwright.environment import Loaded
from meshwright.errors import Exit
from meshwright.options import Options
from meshwright.project import Project

__all__ = ["Plans", "plans_of", "run"]

Plans = Planned | Whole


def plans_of(project: Project, members: Sequence[Loaded], deploy: str, options: Options, *, quiet: bool) -> Plans:
    """The plans of `deploy` in all clusters of an environment. Raises what planning raises."""
    if len(members) == 1:
        return planned(project, members[0], deploy, options, quiet=quiet, admit=True)
    return plan_all(project, members, deploy, options, quiet=quiet)


def run(
    output: Output, project: Project, members: Sequence[Loaded], plans: Plans, deploy: str, options: Options
) -> Done:
    """Does what was planned, with its checks. What several clusters did is one run: each step and check has its
    `cluster`, and where it failed the error is that of the first that did."""
    if isinstance(plans, Planned):
        return run_deploy(project, members[0].env.name, deploy, options.data(plans.approved), say=output.human)
    rolled = roll_out(output, project, members, plans, deploy, options, checks=True)
    output.answer(["", *said(plans, rolled)])
    return _one(rolled)


def _one(rolled: Rolled) -> Done:
    failed = {name: done for name, done in rolled.done.items() if done.exit is not Exit.OK}
    # What was refused everywhere it was begun has changed nothing, also where some was not begun.
    refused = bool(failed) and all(done.exit is Exit.REFUSED for done in rolled.done.values())
    whole = Done(Exit.REFUSED if refused else rolled.exit)
    for name, done in rolled.done.items():
        whole.steps += [{**step, "cluster": name} for step in done.steps]
        whole.checks += [{**check, "cluster": name} for check in done.checks]
    for name, done in list(failed.items())[:1]:
        error = done.error or {"message": "it failed", "hint": ""}
        whole.error = {**error, "message": f"{name}: {error['message']}", "exit": int(whole.exit)}
    return whole
