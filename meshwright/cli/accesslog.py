"""`meshwright accesslog`."""

from __future__ import annotations

from functools import partial

import click

from meshwright.cli.changing import change
from meshwright.cli.common import environment_argument, json_option, override_option, reason_option
from meshwright.cli.consent import ask
from meshwright.cli.output import Output
from meshwright.cli.rolling import change_all
from meshwright.environment import members
from meshwright.errors import Exit, MeshwrightError
from meshwright.options import Options
from meshwright.project import Project

__all__ = ["command"]


@click.command(
    "accesslog",
    help="Switch the access logs of proxies in ENV on or off, by a Telemetry of Istio: for the whole mesh, a namespace "
    "or a workload; `reset` takes away all that this command has set. Shows the plan, asks, and waits until the "
    "proxies have taken it.",
    epilog="Example: meshwright accesslog lab on --workload bookinfo/reviews-v1",
)
@environment_argument
@click.argument("to", type=click.Choice(["on", "off", "reset"]))
@click.option("--namespace", "-n", metavar="NS", default="", help="Only proxies in this namespace.")
@click.option("--workload", metavar="NS/NAME", default="", help="Only proxies of this workload.")
@click.option(
    "--format",
    "provider",
    metavar="NAME",
    default="",
    help="An extension provider of the mesh that logs to a file. Default: envoy, which every mesh has.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show the plan and stop.")
@json_option
@override_option
@reason_option
def command(
    environment: str,
    to: str,
    namespace: str,
    workload: str,
    provider: str,
    yes: bool,
    plan_only: bool,
    as_json: bool,
    override: bool,
    reason: str,
) -> int:
    """Plans, stops with 0 when there is nothing to do, else runs deploys/accesslog.py."""
    output = Output(as_json, "accesslog", environment)
    if workload and "/" not in workload:
        if not namespace:
            raise MeshwrightError(
                f"the workload {workload!r} has no namespace", hint="Say NS/NAME", exit_code=Exit.USAGE
            )
        workload = f"{namespace}/{workload}"
    elif workload and namespace:
        raise MeshwrightError(
            "--namespace and --workload NS/NAME say the namespace twice", hint="Leave one out", exit_code=Exit.USAGE
        )
    project = Project.find()
    found = members(project, environment)
    env = found[0].env
    options = Options(to=to, scope=workload or namespace, format=provider, reason=reason, override=override)
    consent = partial(ask, env, yes=yes, name=environment)
    if len(found) > 1:
        return change_all(output, project, found, "accesslog", options, plan_only=plan_only, consent=consent)
    return change(output, project, found[0], "accesslog", options, plan_only=plan_only, consent=consent)
