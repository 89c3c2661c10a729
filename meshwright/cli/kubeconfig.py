"""`meshwright kubeconfig`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from meshwright import cluster
from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.environment.model import ExistingCluster
from meshwright.errors import BadInput, Exit, MeshwrightError
from meshwright.kube import kubeconfig, merging

__all__ = ["command"]


@click.command(
    "kubeconfig",
    help="Print the kubeconfig of ENV, or merge it into yours. The current context of yours is never switched.",
    epilog="Example: meshwright kubeconfig lab --merge",
)
@environment_argument
@json_option
@click.option("--merge", is_flag=True, help="Merge it into your kubeconfig.")
@click.option(
    "--into",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to merge into; else the one that KUBECONFIG names, else ~/.kube/config.",
)
def command(environment: str, as_json: bool, merge: bool, into: Path | None) -> int:
    """Prints to standard output and writes nothing, unless told to merge."""
    output = Output(as_json, "kubeconfig", environment)
    if into is not None and not merge:
        raise click.UsageError("--into says where to merge: give --merge too")
    project, loaded = opened(environment)
    env = loaded.env
    with targets(project, loaded, quiet=as_json) as hosts:
        target = hosts[0]
        if isinstance(env.cluster, ExistingCluster):
            cluster.session(target, env)  # it takes the context out of the file that has it
        path, context = cluster.kubeconfig_path(target, env), cluster.context(target, env)
        if target.read(path) is None:
            raise MeshwrightError(
                f"{environment} has no kubeconfig yet: {path} is not there",
                hint=f"`meshwright apply {environment} cluster` brings up its cluster and writes it",
            )
        document = kubeconfig.extract(kubeconfig.read(target, path), context, file=path, read_file=target.read)
    if not merge:
        output.answer([kubeconfig.dump(document).decode().rstrip("\n")])
        output.document(ok=True, summary={"checked": 1}, context=context, path=path, kubeconfig=document)
        return Exit.OK
    file = into or _yours()
    changed = merging.merge_file(file, document)
    output.answer([f"{file} has context {context}" if changed else f"{file} has context {context} already"])
    output.document(ok=True, summary={"checked": 1, "changed": int(changed)}, context=context, file=str(file))
    return Exit.OK


def _yours() -> Path:
    """The file that kubectl would write to."""
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    if len(named) > 1:
        raise BadInput(f"KUBECONFIG names {len(named)} files", hint="Say with --into which of them to merge into")
    return Path(named[0]) if named else Path.home() / ".kube" / "config"
