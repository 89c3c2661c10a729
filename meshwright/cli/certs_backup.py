"""`meshwright certs backup` and `meshwright certs restore`: sealed backups of the CA of a mesh."""

from __future__ import annotations

import click

from meshwright.cli.changing import change
from meshwright.cli.common import environment_argument, json_option, opened, reason_option
from meshwright.cli.consent import ask
from meshwright.cli.output import Output
from meshwright.options import Options

__all__ = ["backup", "restore"]

_plan_option = click.option("--plan", "plan_only", is_flag=True, help="Show what would be done and stop.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(
    "backup",
    help="Seal the CA's Secrets of ENV into a new file that only the recipients in certs.backup can open.",
    epilog="Example: meshwright certs backup prod --yes",
)
@environment_argument
@json_option
@_plan_option
@_yes_option
@reason_option
def backup(environment: str, as_json: bool, plan_only: bool, yes: bool, reason: str) -> int:
    """Plans, and runs deploys/certs_backup.py. No window refuses it."""
    output = Output(as_json, "certs backup", environment)
    return _run(output, environment, "certs_backup", Options(reason=reason), plan_only, yes)


@click.command(
    "restore",
    help="Put the CA's Secrets in a sealed backup back where they are gone, and wait until everything has followed. "
    "It is opened with the identity in SOPS_AGE_KEY_FILE (or in sops' own place). Secrets that are there are not "
    "written over.",
    epilog="Example: meshwright certs restore prod .meshwright/backups/prod-20261122T101500.000Z.age --plan",
)
@environment_argument
@click.argument("file", metavar="FILE")
@json_option
@_plan_option
@_yes_option
@reason_option
def restore(environment: str, file: str, as_json: bool, plan_only: bool, yes: bool, reason: str) -> int:
    """Plans, and runs deploys/certs_restore.py as it was approved. No window refuses it."""
    output = Output(as_json, "certs restore", environment)
    return _run(output, environment, "certs_restore", Options(to=file, reason=reason), plan_only, yes)


def _run(output: Output, environment: str, deploy: str, options: Options, plan_only: bool, yes: bool) -> int:
    project, loaded = opened(environment)
    return change(
        output, project, loaded, deploy, options, plan_only=plan_only, consent=lambda: ask(loaded.env, yes=yes)
    )
