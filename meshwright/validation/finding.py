"""Findings: what a rule says about one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from meshwright.validation.world import Thing, World

__all__ = ["Broken", "Finding", "Level", "Rule", "broken"]


class Level(StrEnum):
    """How bad it is: an error is wrong for certain; a warning may be meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Broken:
    """Where a rule does not hold: the object, a clause about it, the place (FILE:LINE), and the part of its spec, from
    which the line in a manifest is found."""

    thing: Thing
    sentence: str
    place: str
    hint: str = ""
    path: tuple[str | int, ...] = ()


def broken(thing: Thing, sentence: str, *path: str | int, hint: str = "") -> Broken:
    """`sentence` about the part of `thing` at `path` of its spec."""
    return Broken(thing, sentence, thing.at(*path), hint, path)


@dataclass(frozen=True)
class Rule:
    """`name` is what `--json` calls it, `says` what must hold, `look(world)` gives every place where it does not. It is
    left out where a kind that it `needs` may not be listed: what it looks for may be there. Only with `others` it is
    about objects that are not the environment's own."""

    name: str
    says: str
    look: Callable[[World], Iterable[Broken]]
    level: Level = Level.ERROR
    needs: tuple[str, ...] = ()
    others: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `object` is KIND NAMESPACE/NAME; `hint` is what to do."""

    rule: str
    level: Level
    place: str
    object: str
    sentence: str
    hint: str

    @property
    def line(self) -> str:
        """The finding as compilers write theirs."""
        return f"{self.place}: {self.level}: {self.object}: {self.sentence}"

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows. A kustomize folder has no line."""
        file, _, line = self.place.rpartition(":")
        known = line.isdigit()
        return {
            "rule": self.rule,
            "level": str(self.level),
            "file": file if known else self.place,
            "line": int(line) if known else None,
            "object": self.object,
            "message": self.sentence,
            "hint": self.hint,
        }
