"""What the command prints, and where.

Rules: the answer goes to standard output, everything said on the way to standard error. With `--json` standard output
has exactly one JSON document, also when the command fails. Sentences of errors begin in lower case and have no full
stop; a hint follows on its own line. Colour only on a terminal and without NO_COLOR.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from meshwright.errors import Exit, MeshwrightError, ProcessError
from meshwright.plan import Action

__all__ = ["FORMAT_VERSION", "Output", "coloured", "report", "table"]

FORMAT_VERSION = "1.0"
"""Of the `--json` documents: the second number grows when keys are added, the first when any changes its meaning."""

_COLOURS = {Action.ADD.value: "green", Action.CHANGE.value: "yellow", Action.DESTROY.value: "red"}


@dataclass
class Output:
    """Where one command prints. `json` is whether `--json` was given."""

    json: bool = False
    command: str = ""
    environment: str | None = None
    _done: bool = field(default=False, repr=False)

    def answer(self, lines: Iterable[str]) -> None:
        """The answer for people, line by line, on standard output; nothing with `--json`."""
        if not self.json:
            for line in lines:
                click.echo(line)

    def document(self, *, ok: bool, summary: dict[str, Any], **parts: Any) -> None:
        """The answer for programs: one JSON document on standard output; nothing without `--json`."""
        if not self.json or self._done:
            return
        self._done = True
        head = {"format_version": FORMAT_VERSION, "command": self.command, "environment": self.environment, "ok": ok}
        click.echo(json.dumps({**head, "summary": summary, **parts}, indent=2, ensure_ascii=False))

    def human(self, line: str) -> None:
        """A line for people, on standard error."""
        click.echo(line, err=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = ()) -> Iterator[str]:
    """The lines of a table whose columns are as wide as they must be; `numbers` names those that end together."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            text.rjust(width) if name in numbers else text.ljust(width)
            for name, text, width in zip(head, line, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def coloured(line: str) -> str:
    """A line of a plan with its sign coloured, where standard output is a terminal that wants it."""
    if not _wants_colour(sys.stdout):
        return line
    sign = line.strip().split(" ", 1)[0]
    colour = _COLOURS.get(sign) or ("magenta" if sign == Action.RECREATE.value else None)
    return click.style(line, fg=colour) if colour else line


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def report(output: Output, error: MeshwrightError) -> None:
    """Prints an error once: sentence and hint on standard error, and as JSON where that was asked for."""
    head = click.style("error: ", fg="red") if _wants_colour(sys.stderr) else "error: "
    click.echo(head + error.message, err=True)
    if isinstance(error, ProcessError) and error.output and len(error.output.splitlines()) > 1:
        for line in error.output.splitlines()[-12:]:
            click.echo(f"  | {line}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    output.document(
        ok=False,
        summary={"checked": 0},
        error={
            "message": error.message,
            "hint": error.hint,
            "exit": int(error.exit_code or Exit.ERROR),
            # Of bad values only; not asked by type, because importing environments costs more than a `--help`.
            **(
                {"problems": [problem.as_json() for problem in found]}
                if (found := getattr(error, "problems", ()))
                else {}
            ),
        },
    )
