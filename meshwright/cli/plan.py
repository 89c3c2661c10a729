"""`meshwright plan`."""

from __future__ import annotations

import click

from meshwright import deploy as deploys
from meshwright.cli.common import deploy_argument, environment_argument, json_option, opened, targets
from meshwright.cli.output import Output, coloured
from meshwright.cli.stock import dry_run
from meshwright.errors import Exit
from meshwright.execution import Execution, Options
from meshwright.plan import Plan, approval
from meshwright.render import plan_lines, summary

__all__ = ["command", "show"]


@click.command(
    "plan",
    help="Show what DEPLOY (default: site) would change in ENV. Nothing is changed.",
    epilog="Example: meshwright plan lab",
)
@environment_argument
@deploy_argument
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
def command(environment: str, deploy: str, as_json: bool, detailed_exitcode: bool) -> int:
    """Plans with the core, without pyinfra; deploys with stock operations through pyinfra's own dry run."""
    output = Output(as_json, "plan", environment)
    project, loaded = opened(environment)
    if deploy.replace("-", "_") in deploys.STOCK:
        plans = dry_run(project, environment, deploy)
    else:
        steps = deploys.load(project, deploy)
        plans = []
        with targets(project, loaded, quiet=as_json) as hosts:
            for target in hosts:
                plans += Execution(target, loaded.env, steps, Options()).preview()
    show(output, plans)
    changes = any(not plan.empty for plan in plans)
    return Exit.CHANGES if changes and detailed_exitcode else Exit.OK


def show(output: Output, plans: list[Plan]) -> None:
    """Prints plans, for people and for programs."""
    output.answer(coloured(line) for line in plan_lines(plans))
    output.document(ok=True, summary=summary(plans), digest=approval(plans), steps=[plan.as_json() for plan in plans])
