"""`meshwright certs transition` and `meshwright certs rollback`: what changes the root of a mesh."""

from __future__ import annotations

from functools import partial

import click

from meshwright.cli.changing import change
from meshwright.cli.common import (
    environment_argument,
    json_option,
    opened,
    override_option,
    reason_option,
    targets,
)
from meshwright.cli.consent import ask
from meshwright.cli.output import Output
from meshwright.cli.rolling import change_all
from meshwright.environment import members
from meshwright.errors import Exit
from meshwright.options import Options
from meshwright.project import Project
from meshwright.render import summary

__all__ = ["rollback", "transition"]


_plan_option = click.option("--plan", "plan_only", is_flag=True, help="Show the phases and stop.")
_mode_option = click.option(
    "--mode",
    type=click.Choice(["live", "restart", "patient"]),
    default=None,
    help="How proxies follow that learn a new root only with their next certificate. live: there are none (default; "
    "where there are, enabling it is planned first). restart: what keeps them is restarted in each phase. patient: "
    "nobody is restarted, each phase waits for half of a certificate's life. What was begun goes on in its own mode.",
)
_waive_option = click.option(
    "--waive",
    metavar="NAMESPACE/POD",
    multiple=True,
    help="Do not wait for this proxy (of a Job, of nothing that could restart it): its connections fail where it has "
    "not followed when the next phase comes. Needs --reason; kept with the change. Never a gateway or istiod.",
)
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(
    "transition",
    help="Change the root of the mesh of ENV without losing a request: everybody trusts both roots before anybody "
    "signs with the new one, and nobody presents the old one before it goes. Shows the phases, asks, and does them; "
    "without --to it goes on with the change that is under way.",
    epilog="Example: meshwright certs transition lab --to new-self-signed --plan",
)
@environment_argument
@json_option
@click.option(
    "--to",
    metavar="ROOT",
    default="",
    help="new-self-signed: a new root of istiod's own. extend: the same key with a longer life. cacerts:DIR: the CA in "
    "DIR (ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem). forget: delete the standby Secret, when it is over.",
)
@click.option(
    "--below",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Begin only when the root has fewer days left and a window is open, else end with 0: for schedules.",
)
@_mode_option
@_waive_option
@_plan_option
@_yes_option
@reason_option
@override_option
def transition(
    environment: str,
    as_json: bool,
    to: str,
    below: int | None,
    mode: str | None,
    waive: tuple[str, ...],
    plan_only: bool,
    yes: bool,
    reason: str,
    override: bool,
) -> int:
    """Plans, stops with 0 when there is nothing to do, else runs deploys/certs_transition.py as it was approved."""
    if below is not None and not to:
        raise click.UsageError("--below goes with --to")
    output = Output(as_json, "certs transition", environment)
    if below is not None and (why := _waits(environment, below, override, quiet=as_json)):
        output.answer([f"nothing is begun: {why}"])
        output.document(ok=True, summary={**summary([]), "checked": 1}, waits=why)
        return Exit.OK
    options = Options(to=to, mode=mode or "", reason=reason, override=override, waive=frozenset(waive))
    return _change(output, environment, "certs_transition", options, plan_only, yes)


def _waits(environment: str, below: int, override: bool, *, quiet: bool) -> str:
    """Why a change that is to begin by itself does not begin now; empty where it does."""
    from meshwright import cluster
    from meshwright.certs import due
    from meshwright.windows import gate

    project, loaded = opened(environment)
    with targets(project, loaded, quiet=quiet) as hosts:
        why = due.waits(cluster.answering(hosts[0], loaded.env), loaded.env, below, gate.now())
    closed = "" if override else gate.waiting(loaded.env, gate.now())
    return why or (closed and f"it is due, but {closed}")


@click.command(
    "rollback",
    help="Take the change of the root of ENV back, from whatever phase it is in, with the same gates in between.",
    epilog="Example: meshwright certs rollback lab --plan",
)
@environment_argument
@json_option
@_mode_option
@_waive_option
@_plan_option
@_yes_option
@reason_option
def rollback(
    environment: str, as_json: bool, mode: str | None, waive: tuple[str, ...], plan_only: bool, yes: bool, reason: str
) -> int:
    """Plans, and runs deploys/certs_rollback.py as it was approved. No window refuses it."""
    output = Output(as_json, "certs rollback", environment)
    options = Options(mode=mode or "", reason=reason, waive=frozenset(waive))
    return _change(output, environment, "certs_rollback", options, plan_only, yes)


def _change(output: Output, environment: str, deploy: str, options: Options, plan_only: bool, yes: bool) -> int:
    """Of several clusters, the plan of the first one of a mesh is that of all in it, and the others have none."""
    project = Project.find()
    found = members(project, environment)
    consent = partial(ask, found[0].env, yes=yes, name=environment)
    if len(found) > 1:
        return change_all(output, project, found, deploy, options, plan_only=plan_only, consent=consent)
    return change(output, project, found[0], deploy, options, plan_only=plan_only, consent=consent)
