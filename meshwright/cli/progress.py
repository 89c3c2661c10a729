"""Progress of a run on standard error: a line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["Progress", "progress"]


class Progress:
    """Says what is done and what is being done. Without a terminal both are plain lines."""

    def __init__(self, status: Status | None, label: str = "") -> None:
        self._status = status
        self._before = f"{label}: " if label else ""

    def done(self, line: str) -> None:
        """A line that stays."""
        if self._status is None:
            click.echo(self._before + line, err=True)
        else:
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def doing(self, line: str) -> None:
        """What is being done now; on a terminal the next one takes its place."""
        if self._status is None:
            click.echo(self._before + line, err=True)
        else:
            from rich.text import Text

            self._status.update(Text(line))


@contextmanager
def progress(label: str = "") -> Iterator[Progress]:
    """Progress for the time of one run. With a `label` it is plain lines that begin with it: a terminal has one line
    that moves, and there may be several runs."""
    if label or not sys.stderr.isatty():
        yield Progress(None, label)
        return
    # Imported here: it costs more than a whole `meshwright plan` without a terminal needs of it.
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield Progress(status)
