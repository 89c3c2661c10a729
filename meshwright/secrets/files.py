"""Files and environment variables of whoever runs Meshwright."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from meshwright.environment.problems import is_private, shortened
from meshwright.errors import BadInput
from meshwright.project import Project

__all__ = ["MOST", "located", "read", "shown", "variable"]

_LONGEST = 255

MOST = 1024 * 1024
"""The most bytes of a secret: what the data of a Secret may have (Kubernetes API reference)."""


def shown(name: str) -> str:
    """The path of a file for a sentence: whole, unless it is so long that it may be something else."""
    return name if len(name) <= _LONGEST and not is_private(name) and name.isprintable() else shortened(name)


def located(project: Project, name: str) -> Path:
    """Where a file is: `~` is the home folder, anything else relative is relative to the project."""
    try:
        return project.root / Path(name).expanduser()
    except RuntimeError:
        raise BadInput(f"{shown(name)} names a home folder that nobody has") from None


def read(project: Project, name: str) -> bytes:
    """The content of a file. Raises BadInput: it cannot be read, or is larger than a secret can be."""
    path = located(project, name)
    hint = "Paths are relative to the project"
    try:
        # Looked at first, because opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise BadInput(f"{shown(name)} is {kind}", hint=hint)
        with path.open("rb") as stream:
            data = stream.read(MOST + 1)
    except OSError as error:
        raise BadInput(f"{shown(name)} cannot be read: {error.strerror or error}", hint=hint) from None
    except ValueError:  # a NUL in the path
        raise BadInput(f"{shown(name)} is not the path of a file", hint=hint) from None
    if len(data) > MOST:
        raise BadInput(f"{shown(name)} is larger than 1 MiB, which is the most that a Secret holds")
    return data


def variable(name: str) -> bytes:
    """The value of an environment variable. Raises BadInput: it is not set."""
    found = os.environb.get(name.encode())
    if found is None:
        raise BadInput(f"the environment variable {name} is not set", hint=f"Set it for this command: {name}=... ")
    return found
