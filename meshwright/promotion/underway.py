"""A promotion that is under way, written down before its first write: what a killed one has left is found by it.

`.meshwright/ENV/promotion.json` is there from before the file of values is written until the promotion has ended well.
Where things are is never read from it alone: the file of values is compared by its digest, and the cluster is what the
next plan compares anyway.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.target import write_atomically

__all__ = ["File", "Stage", "Underway", "begin", "end", "read", "sha"]

_FORMAT = 1


class Stage(StrEnum):
    """How far it was when it was written down last."""

    WRITING = "writing"
    """The file of values is about to be written."""
    APPLYING = "applying"
    """It has been, and is being applied."""
    FAILED = "failed"
    """It does not hold; the way back is prepared."""
    RESTORING = "restoring"
    """The file of values is about to be put back, and applied."""


class File(StrEnum):
    """What the file of values is now."""

    BEFORE = "before"
    AFTER = "after"
    OTHER = "other"


@dataclass(frozen=True)
class Underway:
    """`release` is what is promoted from `source`, `previous` what the file held before (digests), `text` the file as
    it was, `after` the sha256 of the file as it was to be; `record` is the id of the promotion's record."""

    source: str
    release: str
    previous: str
    text: str
    after: str
    apply: bool
    record: str
    at: str
    stage: Stage = Stage.WRITING

    def file(self, now: bytes) -> File:
        """What the file of values is, by its content."""
        if sha(now) == self.after:
            return File.AFTER
        return File.BEFORE if now == self.text.encode() else File.OTHER


def sha(data: bytes) -> str:
    """The digest of a file."""
    return hashlib.sha256(data).hexdigest()


def _path(project: Project, environment: str) -> Path:
    return project.of(environment) / "promotion.json"


def begin(project: Project, environment: str, what: Underway, stage: Stage = Stage.WRITING) -> Underway:
    """Writes down how far a promotion is; gives it so."""
    now = replace(what, stage=stage)
    body = {"format_version": _FORMAT, **asdict(now)}
    write_atomically(_path(project, environment), (json.dumps(body, ensure_ascii=False) + "\n").encode())
    return now


def end(project: Project, environment: str) -> None:
    """It has ended: nothing is left to find out."""
    _path(project, environment).unlink(missing_ok=True)


def read(project: Project, environment: str) -> Underway | None:
    """What is under way, or was when it was killed; None where nothing is.

    Raises BadInput: the file is not what was written.
    """
    path = _path(project, environment)
    try:
        body = json.loads(path.read_bytes())
        if body.pop("format_version") > _FORMAT:
            raise ValueError
        return Underway(**{**body, "stage": Stage(body["stage"])})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(
            f"{path.relative_to(project.root)} is not as it was written, so nobody knows what a promotion has left",
            hint=f"See what `git diff group_data/{environment}.yaml` shows, put it right, and delete that file",
        ) from None
