"""`meshwright check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial

import click

from meshwright import check, checks
from meshwright.check import Result, State
from meshwright.cli.common import environment_argument, json_option, targets
from meshwright.cli.output import Output
from meshwright.cli.several import in_each
from meshwright.environment import Loaded
from meshwright.errors import Exit, MeshwrightError
from meshwright.project import Project

__all__ = ["closing", "command", "lines"]

_MARKS = {State.OK: "√", State.WARNING: "‼", State.FAILED: "×", State.NOT_VERIFIED: "?"}
_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red", State.NOT_VERIFIED: "red"}
_WIDEST_STATE = max(len(state) for state in State)


@click.command(
    "check",
    help="Find out whether everything that ENV needs holds. Nothing is changed.",
    epilog="Example: meshwright check lab --group ingress",
)
@environment_argument
@json_option
@click.option(
    "--group",
    "groups",
    multiple=True,
    type=click.Choice(checks.GROUPS),
    help="Make only the checks of this group, and those that they need. May be given several times.",
)
def command(environment: str, as_json: bool, groups: tuple[str, ...]) -> int:
    """Exits with 1 where a fatal check does not hold or could not be verified."""
    output = Output(as_json, "check", environment)
    return in_each(output, environment, partial(_checked, groups=groups))


def _checked(output: Output, project: Project, loaded: Loaded, groups: tuple[str, ...]) -> int:
    """Prints each result as it comes."""
    results: list[Result] = []
    with targets(project, loaded, quiet=output.json) as hosts:
        for target in hosts:
            group = ""
            for result in check.run(checks.chosen(groups), target, loaded.env):
                results.append(result)
                if result.check.group != group:
                    group = result.check.group
                    output.answer([group if len(hosts) == 1 else f"{group} on {target.name}"])
                output.answer(lines(result))
    if not results:
        raise MeshwrightError(f"0 checks apply to {loaded.env.name}, so nothing is known to hold")
    counts = checks.counts(results)
    ok = not any(result.fatal for result in results)
    output.answer([closing(counts)])
    output.document(ok=ok, summary=counts, checks=[result.as_json() for result in results])
    return Exit.OK if ok else Exit.ERROR


def lines(result: Result) -> Iterator[str]:
    """A result for people: mark (a word where standard output is no terminal), claim and detail in one line; on failure
    hint and docs below it."""
    marks = sys.stdout.isatty()
    colour = marks and not os.environ.get("NO_COLOR")
    mark = _MARKS[result.state] if marks else f"{result.state.value:<{_WIDEST_STATE}}"
    shown = click.style(mark, fg=_COLOURS[result.state]) if colour else mark
    yield f"  {shown} {result.check.claim}" + (f": {result.detail}" if result.detail else "")
    # The hint of a check that was not looked at would lead away from the one that does not hold.
    if result.state is not State.OK and not result.skipped:
        below = " " * (3 + len(mark))
        yield f"{below}hint: {result.check.hint}"
        yield f"{below}docs: docs/checks.md#{result.check.anchor}"


def closing(counts: dict[str, int]) -> str:
    """The last line: how many checks were made, and how they ended."""
    parts = [f"{counts['ok']} ok"]
    parts += [f"{counts[key]} {key.replace('_', ' ')}" for key in ("warning", "failed", "not_verified") if counts[key]]
    return f"{counts['checked']} check{'' if counts['checked'] == 1 else 's'}: {', '.join(parts)}."
