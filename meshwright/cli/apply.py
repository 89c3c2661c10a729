"""`meshwright apply`."""

from __future__ import annotations

from pathlib import Path

import click

from meshwright.cli.changing import change
from meshwright.cli.common import (
    adopt_option,
    deploy_argument,
    environment_argument,
    json_option,
    override_option,
    reason_option,
)
from meshwright.cli.consent import ask
from meshwright.cli.output import Output
from meshwright.cli.rolling import change_all
from meshwright.environment import Several, members
from meshwright.errors import BadInput
from meshwright.options import Options
from meshwright.project import Project
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

    A saved plan is an approval, also in a protected environment (DESIGN 4), and of one cluster.
    """
    output = Output(as_json, "apply", environment)
    kept = _read(file, environment, deploy) if file else None
    project = Project.find()
    found = members(project, environment)
    adopted = frozenset((*adopt, *(kept.adopt if kept else ())))
    options = Options(allow_recreate=allow_recreate, reason=reason, adopt=adopted, override=override)
    loaded, *more = found
    if more:
        if kept:
            raise Several(environment, [each.env.name for each in found])
        return change_all(
            output,
            project,
            found,
            deploy,
            options,
            plan_only=plan_only,
            consent=lambda: ask(loaded.env, yes=yes, name=environment),
            checks=True,
        )
    return change(
        output,
        project,
        loaded,
        deploy,
        options,
        plan_only=plan_only,
        consent=lambda: ask(loaded.env, yes=yes),
        kept=kept,
        checks=True,
    )


def _read(file: str, environment: str, deploy: str) -> Saved:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"--saved {file}: {error.strerror}") from None
    found = parse(data, file)
    found.meant_for(environment, deploy.replace("-", "_"))
    return found
