"""`meshwright access`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import yaml

from meshwright import access, cluster, resources, rights
from meshwright import deploy as deploys
from meshwright.cli.common import deploy_argument, environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.environment import Environment
from meshwright.errors import Exit
from meshwright.rights import Right, Role

__all__ = ["command"]


@click.command(
    "access",
    help="Print the roles of ENV as manifests, for whoever runs its cluster, or ask which of their rights you have. "
    "The role apply is for DEPLOY (default: site).",
    epilog="Example: meshwright access prod resources --role apply --bind group:mesh-operators | kubectl apply -f -",
)
@environment_argument
@deploy_argument
@json_option
@click.option(
    "--role",
    "chosen",
    type=click.Choice([role.value for role in rights.ROLES]),
    multiple=True,
    help="Only this role. May be given several times.",
)
@click.option(
    "--bind",
    "subjects",
    metavar="KIND:NAME",
    multiple=True,
    help="Whom the roles are given to: user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME.",
)
@click.option("--check", "asking", is_flag=True, help="Ask the API server which of these rights you have.")
def command(
    environment: str,
    deploy: str,
    as_json: bool,
    chosen: tuple[str, ...],
    subjects: tuple[str, ...],
    asking: bool,
) -> int:
    """Prints manifests, or what is missing; exits with 1 where anything is."""
    output = Output(as_json, "access", environment)
    bind = [access.subject(text) for text in subjects]
    project, loaded = opened(environment)
    env = loaded.env
    steps = [step.name for step in deploys.load(project, deploy)]
    with targets(project, loaded, quiet=as_json) as hosts:
        target = hosts[0]
        objects = [manifest.obj for manifest in resources.wanted(target, env, unread=[])]
        table = {role: rights.of_role(role, env, steps, objects) for role in map(Role, chosen or rights.ROLES)}
        if not asking:
            found = [obj for role, wanted in table.items() for obj in access.manifests(env, role, wanted, bind)]
            made = [obj for index, obj in enumerate(found) if obj not in found[:index]]
            output.answer(_text(env, table, made))
            output.document(ok=True, summary={"checked": len(made)}, manifests=made)
            return Exit.OK
        session = cluster.answering(target, env)
        lacking = {role: access.missing(session, wanted) for role, wanted in table.items()}
    asked = {role: len(access.asks(wanted)) for role, wanted in table.items()}
    for role, missing in lacking.items():
        have = f"{asked[role]} rights, all there" if not missing else f"{len(missing)} of {asked[role]} rights missing"
        output.answer([f"{role}: {have}", *(f"  {ask}  ({ask.why})" for ask in missing)])
    ok = not any(lacking.values())
    output.document(
        ok=ok,
        summary={"checked": sum(asked.values()), "missing": sum(map(len, lacking.values()))},
        missing={role.value: [ask.as_json() for ask in missing] for role, missing in lacking.items()},
    )
    return Exit.OK if ok else Exit.ERROR


def _text(env: Environment, table: dict[Role, list[Right]], made: Sequence[dict[str, object]]) -> Iterator[str]:
    """The manifests as YAML, with what each right is for."""
    yield f"# Roles of Meshwright in the cluster of {env.name}. What each right is for:"
    for role, wanted in table.items():
        for why in dict.fromkeys(right.why for right in wanted):
            yield f"#   {role}: {why}"
    for obj in made:
        yield "---"
        yield yaml.safe_dump(obj, sort_keys=False, default_flow_style=None, width=120).rstrip("\n")
