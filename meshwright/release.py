"""A release: the part of an environment that travels, with a digest that names it.

It has the values of the sections that travel (`meshwright.environment.travelling`), as they stand in the files before
any default, and the sha256 of every manifest file that they name: the values name files, and what counts is what is in
them. The digest is over both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from meshwright.environment import Environment
from meshwright.errors import BadInput
from meshwright.plan import digest
from meshwright.project import Project

__all__ = ["FORMAT", "Release", "content", "of", "parse", "short", "wanted"]

FORMAT = 1
"""The format of a kept release. One with a higher number is of a newer Meshwright, and not read."""

_SHORTEST = 6
_BEGINNING = re.compile(rf"(sha256:)?([0-9a-f]{{{_SHORTEST},64}})")


@dataclass(frozen=True)
class Release:
    """`values` are those that travel, as JSON data; `files` has the sha256 of each manifest file, by its path relative
    to the project folder."""

    values: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """What names it: `sha256:` and 64 hex digits."""
        return digest([self.values, self.files])


def of(project: Project, env: Environment) -> Release | None:
    """The release that the files of an environment hold now; None of an environment that was not read from files.

    A manifest that is not there is left out: who plans with it says so.
    """
    if not env.travelling:
        return None
    named = (env.travelling.get("resources") or {}).get("manifests") or []
    return Release(env.travelling, _files(project.root, [str(each) for each in named]))


def _files(root: Path, named: list[str]) -> dict[str, str]:
    found = {}
    for name in named:
        place = root / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                found[path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)] = hashlib.sha256(
                    path.read_bytes()
                ).hexdigest()
    return found


def content(release: Release) -> bytes:
    """A release as it is kept."""
    body = {"format_version": FORMAT, "values": release.values, "files": release.files}
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def parse(data: bytes, name: str) -> Release:
    """The release in what was kept under the digest `name`.

    Raises BadInput: it was kept by a newer Meshwright, or it is not what it was: cut, or edited.
    """
    try:
        body = json.loads(data)
        version = body["format_version"]
        if isinstance(version, int) and version > FORMAT:
            raise BadInput(
                f"the release {short(name)} was kept by a newer Meshwright: its format is {version}, "
                f"this one reads {FORMAT}",
                hint="Promote it with that one",
            )
        found = Release(dict(body["values"]), dict(body["files"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if found is None or found.digest != name:
        raise BadInput(
            f"the release {short(name)} is kept, but not as it was: its digest does not match what is in it",
            hint="Somebody has edited it, or it was cut; apply it again where it comes from, or promote another one",
        )
    return found


def short(name: str) -> str:
    """A digest as people read it: its prefix and twelve digits."""
    return name[: len("sha256:") + 12]


def wanted(text: str) -> str:
    """The beginning of a digest that somebody typed, with its prefix. Raises BadInput: it can be none."""
    found = _BEGINNING.fullmatch(text)
    if found is None:
        raise BadInput(
            f"{text!r} is not the digest of a release",
            hint=f"Give it as it is shown, sha256:..., or at least {_SHORTEST} of its digits (0-9, a-f)",
        )
    return f"sha256:{found[2]}"
