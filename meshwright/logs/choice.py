"""Which lines of the logs are wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from meshwright.errors import BadInput
from meshwright.logs.line import Line

__all__ = ["Filter", "milliseconds", "seconds"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_IN_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted. Each narrows; a line that is no access log line is wanted only where none is given."""

    errors: bool = False
    path: str = ""
    slow: int | None = None
    """Milliseconds; requests that took as long or longer."""

    @property
    def any(self) -> bool:
        """Whether it leaves anything out."""
        return self.errors or bool(self.path) or self.slow is not None

    def takes(self, line: Line) -> bool:
        """Whether a line is wanted."""
        if not self.any:
            return True
        said = line.access
        if said is None or (self.errors and not said.failed) or not said.path.startswith(self.path):
            return False
        return self.slow is None or (said.ms or 0) >= self.slow


def milliseconds(text: str) -> int:
    """A duration such as 500ms, 2s, 1m, 1.5h. Raises BadInput."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text!r} is not a duration", hint="A number and its unit: ms, s, m, h or d, such as 500ms")
    return round(float(found[1]) * _IN_MS[found[2]])


def seconds(text: str) -> float:
    """The same, in seconds."""
    return milliseconds(text) / 1000
