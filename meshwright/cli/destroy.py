"""`meshwright destroy`."""

from __future__ import annotations

import click

from meshwright import deploy as deploys
from meshwright import destroy
from meshwright.cli.child import run_deploy
from meshwright.cli.common import (
    environment_argument,
    json_option,
    opened,
    override_option,
    reason_option,
    targets,
)
from meshwright.cli.consent import typed
from meshwright.cli.output import Output, coloured
from meshwright.cli.plan import show
from meshwright.errors import Exit, Refused
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.plan import Plan, approval
from meshwright.render import plan_lines, summary

__all__ = ["command"]


@click.command(
    "destroy",
    help="Delete the k3d cluster of ENV with everything in it, after its name was typed. Existing and protected "
    "clusters are refused.",
    epilog="Example: meshwright destroy lab --confirm lab",
)
@environment_argument
@json_option
@click.option("--confirm", metavar="NAME", help="The environment's name, instead of typing it.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go and stop.")
@override_option
@reason_option
def command(environment: str, as_json: bool, confirm: str | None, plan_only: bool, override: bool, reason: str) -> int:
    """Plans, stops with 0 when there is nothing to delete, else asks for the name and runs deploys/destroy.py."""
    output = Output(as_json, "destroy", environment)
    project, loaded = opened(environment)
    destroy.refuse(loaded.env)
    options = Options(reason=reason, override=override)
    plans: list[Plan] = []
    approved: dict[str, str] = {}
    refusals: list[Refused] = []
    with targets(project, loaded, quiet=as_json) as hosts:
        for target in hosts:
            execution = Execution(target, loaded.env, deploys.load(project, "destroy"), options)
            own = execution.preview()
            plans += own
            approved[target.name] = approval(own)
            try:
                execution.admit()
            except Refused as refused:
                refusals.append(refused)
    if plan_only:
        show(output, plans)
        return Exit.OK
    output.answer(coloured(line) for line in plan_lines(plans))
    if all(plan.empty for plan in plans):
        output.document(ok=True, summary=summary(plans), steps=[], digest=approval(plans))
        return Exit.OK
    if refusals:
        raise refusals[0]
    typed(f"This cannot be undone. Type {environment} to go on", environment, confirm, f"--confirm {environment}")
    done = run_deploy(project, environment, "destroy", options.data(approved), say=output.human)
    output.document(
        ok=done.exit is Exit.OK,
        summary={**summary(plans), "changed": done.changed},
        steps=done.steps,
        digest=approval(plans),
        **({"error": done.error} if done.error else {}),
    )
    return done.exit
