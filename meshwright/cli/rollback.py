"""`meshwright rollback`."""

from __future__ import annotations

from typing import Any

import click

from meshwright import resources
from meshwright.cli.changing import change
from meshwright.cli.common import (
    adopt_option,
    environment_argument,
    json_option,
    opened,
    reason_option,
    targets,
)
from meshwright.cli.consent import ask
from meshwright.cli.output import Output
from meshwright.environment import Loaded
from meshwright.errors import Exit, MeshwrightError
from meshwright.options import Options
from meshwright.plan import Plan
from meshwright.project import Project
from meshwright.wording import some

__all__ = ["command"]


@click.command(
    "rollback",
    help="Go back to the resources of ENV as an earlier apply left them: show the plan, ask, and do it. The values are "
    "not touched.",
    epilog="Example: meshwright rollback lab --to 20261122-171500-af2d38",
)
@environment_argument
@json_option
@click.option(
    "--to",
    metavar="RECORD",
    default="",
    help="The record (or its beginning; see `meshwright history`) to whose end to go back. Default: the last objects "
    "that were others than the present ones.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show the plan and stop.")
@adopt_option
@reason_option
def command(
    environment: str, as_json: bool, to: str, yes: bool, plan_only: bool, adopt: tuple[str, ...], reason: str
) -> int:
    """Plans, stops with 0 when there is nothing to do, else runs deploys/rollback.py with the digest that was approved,
    and says what the values would bring back."""
    output = Output(as_json, "rollback", environment)
    project, loaded = opened(environment)
    options = Options(to=to, adopt=frozenset(adopt), reason=reason)
    return change(
        output,
        project,
        loaded,
        "rollback",
        options,
        plan_only=plan_only,
        consent=lambda: ask(loaded.env, yes=yes),
        parts=lambda done: {"pending": _pending(output, project, loaded) if done.exit is Exit.OK else None},
    )


def _pending(output: Output, project: Project, loaded: Loaded) -> list[dict[str, Any]] | None:
    """What the values would bring back, said and as JSON; None where that cannot be found out."""
    plans: list[Plan] = []
    with targets(project, loaded, quiet=output.json) as hosts:
        try:
            plans = [resources.apply_all.plan(target, loaded.env) for target in hosts]
        except MeshwrightError as error:
            output.human(f"what the values would change now could not be found out: {error.message}")
            return None
    changes = [change for plan in plans for change in plan.changes]
    if changes:
        names = [f"{change.action.value} {change.kind} {change.name}" for change in changes]
        output.human(f"the next apply of the values would do this: {some(names)}")
        output.human("hint: put the files right too, before somebody applies them")
    return [change.as_json() for change in changes]
