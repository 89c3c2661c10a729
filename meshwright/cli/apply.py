"""`meshwright apply`."""

from __future__ import annotations

import json

import click

from meshwright import deploy as deploys
from meshwright.cli.child import run_deploy
from meshwright.cli.common import deploy_argument, environment_argument, json_option, opened, targets
from meshwright.cli.consent import ask
from meshwright.cli.output import Output, coloured
from meshwright.cli.plan import show
from meshwright.cli.stock import dry_run
from meshwright.errors import Exit, Refused
from meshwright.execution import Execution, Options
from meshwright.plan import Plan, approval
from meshwright.render import plan_lines, summary

__all__ = ["command"]


@click.command(
    "apply",
    help="Show what DEPLOY (default: site) would change in ENV, ask, and do exactly that.",
    epilog="Example: meshwright apply lab --yes",
)
@environment_argument
@deploy_argument
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show the plan and stop.")
@click.option("--allow-recreate", is_flag=True, help="Destroy and make anew what cannot be changed in place.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the record of this run.")
def command(
    environment: str, deploy: str, as_json: bool, yes: bool, plan_only: bool, allow_recreate: bool, reason: str
) -> int:
    """Plans, stops with 0 when there is nothing to do, else runs pyinfra with the digest that was approved."""
    output = Output(as_json, "apply", environment)
    project, loaded = opened(environment)
    stock = deploy.replace("-", "_") in deploys.STOCK
    plans: list[Plan] = []
    refusals: list[Refused] = []
    checks = False
    if stock:
        plans = dry_run(project, environment, deploy)
    else:
        steps = deploys.load(project, deploy)
        checks = any(step.check for step in steps)
        with targets(project, loaded, quiet=as_json) as hosts:
            for target in hosts:
                execution = Execution(target, loaded.env, steps, Options(allow_recreate=allow_recreate))
                plans += execution.preview()
                try:
                    execution.admit()
                except Refused as refused:
                    refusals.append(refused)
    if plan_only:
        show(output, plans)
        return Exit.OK
    output.answer(coloured(line) for line in plan_lines(plans))
    if refusals:
        # Only now: a refusal is about something that the plan shows.
        raise refusals[0]
    changes = any(not plan.empty for plan in plans)
    if not changes and not checks:
        output.document(ok=True, summary=summary(plans), steps=[], digest=approval(plans))
        return Exit.OK
    if changes:
        ask(loaded.env, yes=yes)
    # pyinfra reads each host's plan on its own: the digest of a plan over several hosts belongs to none of them.
    data: dict[str, str] = {}
    if not stock and len(loaded.env.hosts) == 1:
        data["approved"] = approval(plans)
    if allow_recreate:
        data["allow_recreate"] = "true"
    if reason:
        # As JSON, because pyinfra would read `42` and `true` as something else than text.
        data["reason"] = json.dumps(reason)
    done = run_deploy(project, environment, deploy.replace("-", "_"), data, say=output.human)
    output.document(
        ok=done.exit is Exit.OK,
        summary={**summary(plans), "changed": done.changed},
        steps=done.steps,
        checks=done.checks,
        digest=approval(plans),
        **({"error": done.error} if done.error else {}),
    )
    return done.exit
