"""`meshwright apply`."""

from __future__ import annotations

from pathlib import Path

import click

from meshwright.cli.child import run_deploy
from meshwright.cli.common import (
    adopt_option,
    deploy_argument,
    environment_argument,
    json_option,
    opened,
    override_option,
    reason_option,
)
from meshwright.cli.consent import ask
from meshwright.cli.output import Output, coloured
from meshwright.cli.plan import document
from meshwright.cli.planned import planned
from meshwright.errors import BadInput, Exit
from meshwright.options import Options
from meshwright.plan import approval
from meshwright.render import plan_lines, summary
from meshwright.saved import Saved, parse

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
@adopt_option
@override_option
@reason_option
@click.option("--saved", "file", metavar="FILE", help="Do what this saved plan says, without a question, or refuse.")
def command(
    environment: str,
    deploy: str,
    as_json: bool,
    yes: bool,
    plan_only: bool,
    allow_recreate: bool,
    adopt: tuple[str, ...],
    override: bool,
    reason: str,
    file: str | None,
) -> int:
    """Plans, stops with 0 when there is nothing to do, else runs pyinfra with the digest that was approved.

    A saved plan is an approval, also in a protected environment (DESIGN 4).
    """
    output = Output(as_json, "apply", environment)
    kept = _read(file, environment, deploy) if file else None
    project, loaded = opened(environment)
    adopted = frozenset((*adopt, *(kept.adopt if kept else ())))
    options = Options(allow_recreate=allow_recreate, reason=reason, adopt=adopted, override=override)
    made = planned(project, loaded, deploy, options, quiet=as_json, admit=True, saving=kept is not None)
    plans = made.plans
    output.answer(coloured(line) for line in plan_lines(plans))
    # Only now: a refusal is about something that the plan shows.
    if kept:
        kept.same_as(made.cluster, plans)
    if plan_only:
        document(output, plans, digests=made.approved)
        return Exit.OK
    if made.refusals:
        raise made.refusals[0]
    if not made.changes and not made.checks:
        output.document(ok=True, summary=summary(plans), steps=[], digest=approval(plans))
        return Exit.OK
    if made.changes and not kept:
        ask(loaded.env, yes=yes)
    done = run_deploy(project, environment, deploy.replace("-", "_"), options.data(made.approved), say=output.human)
    output.document(
        ok=done.exit is Exit.OK,
        summary={**summary(plans), "changed": done.changed},
        steps=done.steps,
        checks=done.checks,
        digest=approval(plans),
        **({"error": done.error} if done.error else {}),
    )
    return done.exit


def _read(file: str, environment: str, deploy: str) -> Saved:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"--saved {file}: {error.strerror}") from None
    found = parse(data, file)
    found.meant_for(environment, deploy.replace("-", "_"))
    return found
