"""Problems in the files of an environment, as a user reads them: place, one sentence, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.errors import BadInput

__all__ = ["BadValues", "Path", "Problem", "dotted", "is_private", "listed", "nearest", "shortened"]

Path = tuple[str | int, ...]
"""Where a value stands in the merged data: keys, and indexes of lists from 0."""

_SHOWN = 60
# "PRIVATE KEY-----" in base64 is one of three, by where in a group of three bytes it begins.
_PRIVATE = (
    "PRIVATE KEY-----",
    "AGE-SECRET-KEY-",
    "UFJJVkFURSBLRVktLS0t",
    "BSSVZBVEUgS0VZLS0tL",
    "QUklWQVRFIEtFWS0tLS0t",
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one file.

    `sentence` has no final full stop and no place; `hint` is what to do (may be empty). `file` is relative to the
    project folder; `line` and `column` count from 1, 0 means the file as a whole. `path` is the value concerned, in
    dots and brackets, empty where there is none.
    """

    sentence: str
    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""

    @property
    def place(self) -> str:
        """FILE:LINE:COLUMN as compilers write it, so that editors can jump there; FILE for a whole file."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def message(self) -> str:
        """The sentence with its place before it."""
        return f"{self.place}: {self.sentence}"

    def as_json(self) -> dict[str, Any]:
        """The problem as one JSON value of the `--json` output; line and column are null for a whole file."""
        return {
            "file": self.file,
            "line": self.line or None,
            "column": self.column or None,
            "path": self.path,
            "message": self.sentence,
            "hint": self.hint,
        }


class BadValues(BadInput):
    """The files of an environment cannot be used. The message is the first problem's; `problems` has them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, *rest = problems
        super().__init__(first.message, hint=". ".join(filter(None, [first.hint, _more(rest)])))
        self.problems = tuple(problems)


def _more(rest: Sequence[Problem]) -> str:
    if not rest:
        return ""
    others = "One more problem" if len(rest) == 1 else f"{len(rest)} more problems"
    return f"{others}: {', '.join(p.place for p in rest[:3])}{', ...' if len(rest) > 3 else ''}"


def dotted(path: Path) -> str:
    """`path` as people write it: `ingress.ports[0].name`, with keys that have dots in brackets and quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").replace("-", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{shortened(part)}"]'
    return text


def shortened(text: str) -> str:
    """The first line of `text`, at most 60 characters of it; dots stand for the rest."""
    if is_private(text):
        return "(a private key, which is not shown)"
    first = text[:_SHOWN].splitlines()[0] if text else ""
    return first if first == text else f"{first}..."


def is_private(text: str) -> bool:
    """Whether there is a private key in `text`: PEM, also in base64 as Secrets have it, or one of age."""
    return any(mark in text for mark in _PRIVATE)


def listed(words: Iterable[object], last: str = "or") -> str:
    """`a, b or c`."""
    *init, end = [str(word) for word in words]
    return f"{', '.join(init)} {last} {end}" if init else end


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The one of `choices` that `word` was most likely meant to be, None where nothing is close."""
    # Only needed once something is wrong, so that a load that goes well does not pay for the import.
    from difflib import get_close_matches

    found = get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None
