"""`meshwright preflight`."""

from __future__ import annotations

import click

from meshwright import check, checks, choice, preflight
from meshwright.cli.check import closing, lines
from meshwright.cli.common import json_option, opened, optional_environment_argument, targets
from meshwright.cli.output import Output
from meshwright.environment import Environment
from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.target import Target

__all__ = ["command"]


@click.command(
    "preflight",
    help="Say what bringing up ENV needs and whether this machine has it. Without ENV: of the one that `make demo` "
    "would take. Nothing is changed.",
    epilog="Example: meshwright preflight lab",
)
@optional_environment_argument
@json_option
@click.option("--choose", is_flag=True, help="Print only the name of the environment that `make demo` would take.")
def command(environment: str | None, as_json: bool, choose: bool) -> int:
    """Exits with 1 where something is missing."""
    output = Output(as_json, "preflight", environment)
    why = ""
    if environment is None or choose:
        chosen = choice.choose(Project.find())
        environment, why = chosen.environment, chosen.why
        output.environment = environment
        output.human(f"{environment} is taken: {why}")
    if choose:
        output.answer([environment])
        output.document(ok=True, summary={"checked": 1}, why=why)
        return Exit.OK
    project, loaded = opened(environment)
    with targets(project, loaded, quiet=as_json) as hosts:
        target, env = hosts[0], loaded.env
        minutes, disk = preflight.minutes(target, env), preflight.disk_needed(target, env)
        output.answer(_head(env, target, minutes, disk))
        results = []
        for result in check.run(preflight.checks(), target, env):
            results.append(result)
            output.answer(lines(result))
    counts = checks.counts(results)
    ok = not any(result.fatal for result in results)
    output.answer([closing(counts)])
    output.document(
        ok=ok,
        summary=counts,
        why=why or None,
        minutes=minutes,
        disk_gib=disk,
        checks=[result.as_json() for result in results],
    )
    return Exit.OK if ok else Exit.ERROR


def _head(env: Environment, target: Target, minutes: dict[str, int], disk: float) -> list[str]:
    parts = ", ".join(f"{what} {count}" for what, count in minutes.items())
    return [
        f"Bringing up {env.name} on {target.name}:",
        f"  about {sum(minutes.values())} min on two cores ({parts})",
        f"  up to {disk:g} GiB of disk",
    ]
