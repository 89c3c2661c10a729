"""`meshwright env`."""

from __future__ import annotations

import click

from meshwright import cluster
from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.environment import show as listing
from meshwright.errors import Exit

__all__ = ["command"]


@click.group("env", help="Show the values of an environment, or which cluster it means.")
def command() -> None:
    """The group; its commands follow."""


@command.command(
    "show",
    help="Print every value of ENV and where it came from: FILE:LINE, or the default.",
    epilog="Example: meshwright env show lab",
)
@environment_argument
@json_option
def show(environment: str, as_json: bool) -> int:
    """Prints the merged values as YAML with a comment for each. Talks to no host."""
    output = Output(as_json, "env show", environment)
    _, loaded = opened(environment)
    shown = listing(loaded)
    output.answer(shown.lines)
    output.document(ok=True, summary={"checked": len(shown.sources)}, values=shown.values, sources=shown.sources)
    return Exit.OK


@command.command(
    "identity",
    help="Print the identity of the cluster that answers for ENV, as it goes into its file of values.",
    epilog="Example: meshwright env identity prod",
)
@environment_argument
@json_option
def identity(environment: str, as_json: bool) -> int:
    """Prints what answers today, whatever is pinned: comparing is for a person, and for `check`."""
    output = Output(as_json, "env identity", environment)
    project, loaded = opened(environment)
    with targets(project, loaded, quiet=as_json) as hosts:
        target = hosts[0]
        session = cluster.answering(target, loaded.env)
        found, server = session.identity(), session.context.server
    output.answer(
        [
            f"# what answers at {server} as context {cluster.context(target, loaded.env)}",
            "cluster:",
            f"  uid: {found.uid}",
            f"  ca_sha256: {found.ca_sha256}" if found.ca_sha256 else "  # the kubeconfig names no CA",
        ]
    )
    output.document(ok=True, summary={"checked": 1}, uid=found.uid, ca_sha256=found.ca_sha256 or None, server=server)
    return Exit.OK
