"""`meshwright validate`."""

from __future__ import annotations

from collections import Counter
from functools import partial

import click

from meshwright import cluster
from meshwright.cli.common import environment_argument, json_option, targets
from meshwright.cli.output import Output
from meshwright.cli.several import in_each
from meshwright.environment import BadValues, Loaded
from meshwright.errors import Exit, MeshwrightError
from meshwright.project import Project

__all__ = ["command"]

# Of one rule; a mistake in a list of two thousand routes is made two thousand times.
_MOST = 20


@click.command(
    "validate",
    help="Find what is wrong in the objects of ENV before anything is sent. Without --cluster no cluster is asked.",
    epilog="Example: meshwright validate lab",
)
@environment_argument
@click.option("--cluster", "live", is_flag=True, help="Look at what is in the cluster too, and ask its API server.")
@json_option
def command(environment: str, live: bool, as_json: bool) -> int:
    """Prints every finding; an error makes the exit code 65, a warning does not."""
    output = Output(as_json, "validate", environment)
    try:
        return in_each(output, environment, partial(_validated, live=live))
    except BadValues as wrong:
        return _values(output, wrong)


def _validated(output: Output, project: Project, loaded: Loaded, *, live: bool) -> int:
    from meshwright.validation import RULES, Level, validate

    with targets(project, loaded, quiet=output.json) as hosts:
        session = cluster.session(hosts[0], loaded.env) if live else None
        if live and session is None:
            raise MeshwrightError(
                cluster.no_session(hosts[0], loaded.env),
                hint=f"`meshwright apply {loaded.env.name} cluster` brings it up; without --cluster none is needed",
            )
        found = validate(hosts[0], loaded.env, session)
    count: Counter[str] = Counter()
    errors, warnings = found.count(Level.ERROR), found.count(Level.WARNING)
    lines: list[str] = []
    for finding in found.findings:
        count[finding.rule] += 1
        if count[finding.rule] <= _MOST:
            lines += [finding.line, f"  {finding.hint}"]
    lines += [f"{n - _MOST} more findings of {rule}: --json has them all" for rule, n in count.items() if n > _MOST]
    lines += [f"not looked at: {sentence}" for sentence in found.skipped]
    lines.append(
        f"{_counted(found.objects, 'object')} looked at by {len(RULES)} rules: {_counted(errors, 'error')}, "
        f"{_counted(warnings, 'warning')}."
    )
    output.answer(lines)
    output.document(
        ok=not errors,
        # The values themselves were looked at when they were loaded.
        summary={"checked": found.objects, "rules": len(RULES), "errors": errors, "warnings": warnings},
        findings=[finding.as_json() for finding in found.findings],
        not_looked_at=list(found.skipped),
    )
    return Exit.BAD_INPUT if errors else Exit.OK


def _values(output: Output, wrong: BadValues) -> Exit:
    """Says all that is wrong in the values, without which there are no objects to look at."""
    unseen = "the objects: they are made of values that are right"
    lines = [
        line
        for problem in wrong.problems[:_MOST]
        for line in (f"{problem.place}: error: {problem.sentence}", f"  {problem.hint}")
        if line.strip()
    ]
    count = len(wrong.problems)
    if count > _MOST:
        lines.append(f"{count - _MOST} more problems: --json has them all")
    output.answer(
        [*lines, f"not looked at: {unseen}", f"No object looked at: {_counted(count, 'error')} in the values."]
    )
    output.document(
        ok=False,
        summary={"checked": 0, "rules": 0, "errors": count, "warnings": 0},
        findings=[{"rule": "value", "level": "error", "object": "", **p.as_json()} for p in wrong.problems],
        not_looked_at=[unseen],
    )
    return Exit.BAD_INPUT


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
