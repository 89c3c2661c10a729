"""What the lab has made and keeps: each output with a key, the digest of all that it was made from.

An output counts only with the key that is wanted and the size that it had: half a file, an old one, or one that lost
its content when the power went is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.plan import Action, Change, digest
from meshwright.target import Target, write_atomically

__all__ = ["change", "current", "folder", "key", "needed", "publish", "sources", "tree", "work"]

_OURS = "meshwright.lab/"


def needed(env: Environment) -> bool:
    """Whether an environment's node image comes from the lab; all others take theirs from a registry."""
    return env.cluster.kind == "k3d" and env.cluster.image.startswith(_OURS)


def folder(target: Target) -> Path:
    """The folder of the lab's outputs; not `.meshwright/lab`, which is the state of the environment `lab`.

    Raises MeshwrightError where the lab cannot be: not here, or not on Linux.
    """
    if not target.local or target.platform.os != "linux":
        raise MeshwrightError(
            f"the lab cannot be built on {target.name} ({target.platform})",
            hint="The lab is for Linux, on the machine where Meshwright runs; elsewhere use an environment whose "
            "images come from a registry",
        )
    return target.project.state / "built"


def sources(target: Target) -> Path:
    """The project's lab/ folder. Raises MeshwrightError where the project has none."""
    found = target.project.root / "lab"
    if not (found / "go").is_dir():
        raise MeshwrightError(
            f"{target.project.root} has no lab/ folder",
            hint="lab/ is part of Meshwright's repository: clone that, or copy the folder from it",
        )
    return found


def key(*parts: str) -> str:
    """The digest of all that an output is made from."""
    return digest(list(parts))


def tree(*places: Path) -> str:
    """A digest of files, or of all files below folders: names, content, and whether they can be executed."""
    found = []
    for place in places:
        files = [place] if place.is_file() else (file for file in place.rglob("*") if file.is_file())
        for file in sorted(files):
            if "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.append([str(file.relative_to(place.parent)), content, bool(file.stat().st_mode & 0o100)])
    return digest(found)


def current(output: Path, wanted: str) -> bool:
    """Whether an output is there, whole, and made from what it should be made from."""
    try:
        return _record(output).read_text(encoding="utf-8") == _line(output, wanted)
    except FileNotFoundError:
        return False


def publish(made: Path, output: Path, wanted: str) -> None:
    """Puts a finished file in its place. Killed in between, the output has no key and is made again."""
    output.parent.mkdir(parents=True, exist_ok=True)
    _record(output).unlink(missing_ok=True)
    made.replace(output)
    write_atomically(_record(output), _line(output, wanted).encode(), 0o644)


def change(kind: str, name: str, output: Path, wanted: str) -> Change | None:
    """The change that an output needs; None where it is as it should be."""
    if current(output, wanted):
        return None
    if output.exists():
        return Change(Action.CHANGE, kind, name, why="what it is made from has changed")
    return Change(Action.ADD, kind, name)


@contextmanager
def work(target: Target, purpose: str) -> Iterator[Path]:
    """An empty folder on the outputs' disk, gone afterwards; folders of runs that were killed go as well."""
    base = folder(target) / "work"
    base.mkdir(parents=True, exist_ok=True)
    for left in base.iterdir():
        owner = left.name.rpartition(".")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    own = base / f"{purpose}.{os.getpid()}"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with contextlib.suppress(OSError):
            base.rmdir()


def _record(output: Path) -> Path:
    return output.with_name(f"{output.name}.key")


def _line(output: Path, wanted: str) -> str:
    return f"{wanted} {output.stat().st_size}\n"
