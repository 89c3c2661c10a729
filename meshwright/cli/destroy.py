"""`meshwright destroy`."""

from __future__ import annotations

import click

from meshwright import destroy
from meshwright.cli.changing import change
from meshwright.cli.common import (
    environment_argument,
    json_option,
    opened,
    override_option,
    reason_option,
)
from meshwright.cli.consent import typed
from meshwright.cli.output import Output
from meshwright.options import Options

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

    def consent() -> None:
        way = f"--confirm {environment}"
        typed(f"This cannot be undone. Type {environment} to go on", environment, confirm, way)

    return change(output, project, loaded, "destroy", options, plan_only=plan_only, consent=consent)
