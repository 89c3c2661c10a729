"""Runs as a report lists them: what one line about each needs of its record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from meshwright.records import Record
from meshwright.wording import counted

__all__ = ["RUNS", "Run", "of"]

RUNS = 50
"""How many runs of an environment a report has, at most."""


@dataclass(frozen=True)
class Run:
    """One run. Times are UTC; `commit` is None where it is not known, `dirty` that the folder differed from it;
    `reason` is why it was made, `message` what it said of how it ended."""

    id: str
    started: str
    who: str
    deploy: str
    result: str
    add: int
    change: int
    destroy: int
    seconds: float | None
    commit: str | None
    dirty: bool
    reason: str
    message: str
    override: bool

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return asdict(self)


def of(records: Iterable[Record]) -> tuple[tuple[Run, ...], list[str]]:
    """The newest runs of these records, and sentences about those that are left out."""
    found: list[Run] = []
    said, bad, older = [], 0, 0
    for record in records:
        if len(found) >= RUNS:
            older += 1
        elif (run := _run(record)) is not None:
            found.append(run)
        else:
            bad += 1
    if older:
        said.append(f"{counted(older, 'older run')} not shown: a report has the last {RUNS}")
    if bad:
        said.append(f"{counted(bad, 'record')} of a form that is not known, not shown")
    return tuple(found), said


def _run(record: Record) -> Run | None:
    """None where a record is none: who may write a ConfigMap may write anything into it."""
    try:
        who, commit, counts = record.who, record.commit, record.summary
        return Run(
            str(record.id),
            str(record.started),
            f"{who.get('sudo_user') or who.get('user') or '?'}@{who.get('machine') or '?'}",
            str(record.deploy),
            record.result.value,
            counts["add"],
            counts["change"],
            counts["destroy"],
            record.seconds,
            str(commit["id"]) if commit else None,
            bool(commit and commit["dirty"]),
            str(record.reason),
            str(record.message),
            record.override,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
