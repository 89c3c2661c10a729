"""The journal of a run: JSON lines that a deploy writes as it goes and `meshwright` reads.

pyinfra alone can exit only 0 or 1 and prints for people; the journal carries what happened, and with which exit code,
from the operations to the command that started them.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

__all__ = ["VARIABLE", "Journal", "read"]

VARIABLE = "MESHWRIGHT_JOURNAL"
"""The environment variable that names the journal's file; without it nothing is written."""

Event = Literal["hosts", "plan", "step", "say", "check", "error", "end"]


class Journal:
    """Appends events to one file, one line each, each written whole. `path` None: writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.checks: list[dict[str, Any]] = []
        """What checks found so far, for the run's record."""

    @classmethod
    def of_process(cls) -> Journal:
        """The journal that whoever started this process asked for; the same one for all who ask."""
        return _journal(os.environ.get(VARIABLE))

    def write(self, event: Event, **fields: Any) -> None:
        """Appends one event. Fields are JSON values and never secrets."""
        if event == "check":
            self.checks.append(fields["result"])
        if self.path is None:
            return
        line = json.dumps({"event": event, "at": round(time.time(), 3), **fields}, ensure_ascii=False) + "\n"
        # One write of one line to a file opened for appending: a reader never sees half a line from a live writer.
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)


@functools.cache
def _journal(path: str | None) -> Journal:
    return Journal(Path(path) if path else None)


def read(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """The whole events of a journal from byte `offset` on, each with the offset after it.

    A last line without its end (the writer was killed) is left for later; it is not an error.
    """
    try:
        data = path.read_bytes()[offset:]
    except FileNotFoundError:
        return
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        offset += len(line)
        yield json.loads(line), offset
