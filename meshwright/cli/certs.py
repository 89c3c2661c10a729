"""`meshwright certs`: the certificates of a mesh. Everything in this module only looks, and `certs_looks` has what it
does; `certs_change` and `certs_backup` have the rest."""

from __future__ import annotations

import importlib

import click

from meshwright.cli import certs_looks
from meshwright.cli.common import environment_argument, json_option
from meshwright.cli.output import Output

__all__ = ["command"]

# Each with its module.
_CHANGING = {
    "transition": "certs_change",
    "rollback": "certs_change",
    "backup": "certs_backup",
    "restore": "certs_backup",
}


class _Commands(click.Group):
    """Imports the commands that change something when they are needed: they bring what a run takes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_CHANGING]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _CHANGING:
            module = importlib.import_module(f"meshwright.cli.{_CHANGING[cmd_name]}")
            found: click.Command = getattr(module, cmd_name)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(
    "certs",
    cls=_Commands,
    help="Look at the certificates of a mesh, who signs, how long they last, who trusts what; and change its root.",
    epilog="Example: meshwright certs verify lab",
)
def command() -> None:
    """The group; its commands follow."""


_secrets_option = click.option(
    "--no-secrets",
    is_flag=True,
    help="Do not read the Secrets of the CA, which have its keys: the roots are those that are handed out.",
)


@command.command(
    "check-root",
    help="Show who signs the mesh of ENV, and how long its roots, intermediates, istiod's and the gateways' "
    "certificates and the workloads' still last. Exits with 1 below a threshold of `certs` in the values.",
    epilog="Example: meshwright certs check-root prod --textfile /var/lib/node_exporter/meshwright.prom",
)
@environment_argument
@json_option
@click.option("--textfile", metavar="FILE", help="Write the result for Prometheus' node exporter too (*.prom).")
@_secrets_option
def check_root(environment: str, as_json: bool, textfile: str | None, no_secrets: bool) -> int:
    """Prints the authority, every certificate that is watched, and what is to be said about them."""
    output = Output(as_json, "certs check-root", environment)
    return certs_looks.roots(output, environment, textfile, secrets=not no_secrets)


@command.command(
    "check-version",
    help="Show which version of Istio runs in every pod of the mesh of ENV, and what that means for a change of its "
    "root. Exits with 1 where a version makes one impossible or is not known.",
    epilog="Example: meshwright certs check-version prod",
)
@environment_argument
@json_option
def check_version(environment: str, as_json: bool) -> int:
    """Prints a table of the pods, and the traps that they are in."""
    return certs_looks.versions(Output(as_json, "certs check-version", environment), environment)


_files_option = click.option(
    "--no-files", is_flag=True, help="Do not run `cat` in proxies for the roots mounted there."
)
_canary_option = click.option("--no-canary", is_flag=True, help="Do not ask each istiod for a certificate.")


@command.command(
    "verify",
    help="Find out whether everything in the mesh of ENV trusts the same roots and presents what all trust: the "
    "ConfigMap of every namespace, webhooks, istiod, every Envoy, mounted files. Names who lags behind, why, and what "
    "to do. Exits with 1 when something lags, could not be looked at, or nothing was there to look at.",
    epilog="Example: meshwright certs verify prod",
)
@environment_argument
@json_option
@_files_option
@_canary_option
@_secrets_option
@click.option("--all", "whole", is_flag=True, help="List what is in order too.")
def verify(environment: str, as_json: bool, no_files: bool, no_canary: bool, no_secrets: bool, whole: bool) -> int:
    """Prints what is expected, how many places of each kind have it, and the others by name."""
    from meshwright.certs.trust import Looks

    output = Output(as_json, "certs verify", environment)
    looks = Looks(files=not no_files, canary=not no_canary, secrets=not no_secrets)
    return certs_looks.trusted(output, environment, looks, whole=whole)


@command.command(
    "live",
    help="Show what the Envoys of ENV present and trust right now, as their admin page /certs says it. PROXY is "
    "NAMESPACE/POD, or a namespace for all in it.",
    epilog="Example: meshwright certs live lab bookinfo/reviews-v1-5c4d5f5b8-x2x7q",
)
@environment_argument
@click.argument("proxy", metavar="[PROXY]", default="")
@json_option
def live(environment: str, proxy: str, as_json: bool) -> int:
    """Prints each proxy with its certificates. Exits with 1 where one gave no answer."""
    return certs_looks.served(Output(as_json, "certs live", environment), environment, proxy)


@command.command(
    "status",
    help="Show where the mesh of ENV stands in a change of its root, derived from the cluster alone: the phase, "
    "whether its gate holds, and who has not followed. Exits with 1 while the gate does not hold.",
    epilog="Example: meshwright certs status prod",
)
@environment_argument
@json_option
@_files_option
@_canary_option
def status(environment: str, as_json: bool, no_files: bool, no_canary: bool) -> int:
    """Prints the phase, its gate, and what may be done next."""
    from meshwright.certs.trust import Looks

    output = Output(as_json, "certs status", environment)
    return certs_looks.standing(output, environment, Looks(files=not no_files, canary=not no_canary))
