"""`meshwright ingress`."""

from __future__ import annotations

import click

from meshwright import cluster, ingress, tools
from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.errors import Exit

__all__ = ["command"]


@click.command(
    "ingress",
    help="Print where the ingress gateway of ENV answers, as shell exports: INGRESS_HOST, INGRESS_PORT, "
    "SECURE_INGRESS_PORT, GATEWAY_URL; and KUBECONFIG and PATH for its cluster and its tools.",
    epilog='Example: eval "$(meshwright ingress lab)"',
)
@environment_argument
@json_option
@click.option("--no-wait", is_flag=True, help="Do not wait for a load balancer that has no address yet.")
def command(environment: str, as_json: bool, no_wait: bool) -> int:
    """Prints the exports of the first host's cluster."""
    output = Output(as_json, "ingress", environment)
    project, loaded = opened(environment)
    env = loaded.env
    with targets(project, loaded, quiet=as_json) as hosts:
        target = hosts[0]
        found = ingress.address(target, env, wait=not no_wait)
        kubeconfig, path = "", []
        if target.local:
            kubeconfig, path = cluster.kubeconfig_path(target, env), tools.search_path(target, env)
        elif found.how is ingress.How.PUBLISHED and not as_json:
            output.human(f"that is an address on {target.name}; from here it takes a tunnel, for example:")
            output.human(f"  ssh -N -L {found.port}:{found.authority} {target.name}")
    output.answer(ingress.exports(found, kubeconfig=kubeconfig, path=path))
    output.document(
        ok=True,
        summary={"checked": 1},
        **found.as_json(),
        kubeconfig=kubeconfig or None,
        path=path,
    )
    return Exit.OK
