"""Where tools are on a target, and whether what is there is what was put there.

Layout, below the target's state folder:

    bin/k3d-5.9.0/k3d            the tool; versions lie side by side, because two environments may want two
    bin/k3d-5.9.0/installed.json what was put there
    bin/k3d                      a link to the version that was installed last, for a person at a shell
    istio/1.30.3/samples/        the samples of that Istio release

Nothing runs a tool of unknown origin: without a matching record a file is not installed, whatever its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from meshwright.errors import MeshwrightError
from meshwright.target import Target

__all__ = ["Fault", "Record", "Seen", "commit", "fault", "file", "folder", "link", "look", "version_in_use"]


@dataclass(frozen=True)
class Record:
    """What was put in place: its sha256, where it came from, and its stamp on that disk."""

    version: str
    sha256: str
    source: str
    stamp: str


@dataclass(frozen=True)
class Seen:
    """A path on a target. `stamp` is size, time of change and inode of the file that it leads to; `link` is what the
    path itself holds where it is a symbolic link."""

    runnable: bool
    stamp: str
    link: str | None


@dataclass(frozen=True)
class Fault:
    """Why a tool is not right. `only_link`: the tool is, its plain name in bin/ is not."""

    why: str
    only_link: bool = False


def folder(target: Target, tool: str, version: str) -> str:
    """The folder of one version of a tool."""
    return f"{target.state}/bin/{tool}-{version}"


def file(target: Target, tool: str, version: str) -> str:
    """The place of one version of a tool."""
    return f"{folder(target, tool, version)}/{tool}"


def link(target: Target, tool: str) -> str:
    """The plain name of a tool."""
    return f"{target.state}/bin/{tool}"


def fault(target: Target, tool: str, version: str) -> Fault | None:
    """What is wrong with one version of a tool on the target; None where it is as it was installed.

    Size, time of change and inode say so in a millisecond: whatever replaces or rewrites a file changes one of them.
    Where one differs (the folder was copied, or restored) the sha256 decides. Running the tool to ask its version
    would cost 0.1 s each and prove less.

    Raises MeshwrightError where it cannot be looked at.
    """
    place, plain_name = file(target, tool, version), link(target, tool)
    seen, named = look(target, [place, plain_name])
    why = _why(target, tool, version, place, seen)
    if why:
        return Fault(why)
    if named is None:
        return Fault(f"{plain_name} is missing", only_link=True)
    if version_in_use(tool, named) is None:
        return Fault(f"{plain_name} is not the link that Meshwright made", only_link=True)
    return None


def _why(target: Target, tool: str, version: str, place: str, seen: Seen | None) -> str:
    if seen is None:
        return "it is not installed"
    record = _record(target, tool, version)
    if record is None:
        return f"there is no record of how {place} came there"
    if not seen.runnable:
        return f"{place} is not an executable file"
    if seen.stamp != record.stamp and sha256(target, place) != record.sha256:
        return f"{place} is not the file that was installed: its sha256 differs"
    return ""


def version_in_use(tool: str, named: Seen | None) -> str | None:
    """The version that the plain name of a tool leads to; None where it is not our link."""
    match = re.fullmatch(rf"{re.escape(tool)}-([^/]+)/{re.escape(tool)}", (named and named.link) or "")
    return match[1] if match else None


def commit(target: Target, tool: str, version: str, staged: str, source: str) -> Record:
    """Makes the file at `staged`, in the tool's own folder, the tool.

    The record comes first and the rename second, which keeps size, time and inode: killed between the two, the old
    file no longer matches and the next run installs again; killed after, all is done.
    """
    (seen,) = look(target, [staged])
    if seen is None or not seen.runnable:
        raise MeshwrightError(f"{staged} has gone while {tool} {version} was being installed", hint="Run again")
    record = Record(version, sha256(target, staged), source, seen.stamp)
    target.write(f"{folder(target, tool, version)}/installed.json", json.dumps(asdict(record)).encode(), 0o644)
    rename(target, staged, file(target, tool, version))
    return record


def relink(target: Target, tool: str, version: str) -> None:
    """Makes the plain name lead to this version. Raises MeshwrightError where that cannot be done."""
    to, place = f"{tool}-{version}/{tool}", link(target, tool)
    if not target.local:
        target.run(["ln", "-sfn", to, place], hint=f"See what is at {place} on {target.name}")
        return
    new = Path(f"{target.state}/bin/.{tool}.link")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(to)
        new.replace(place)
    except OSError as error:
        raise MeshwrightError(
            f"cannot make the link {place}: {error.strerror}", hint="Move away what is there"
        ) from None


def rename(target: Target, old: str, new: str) -> None:
    """Renames a file or folder on the target; a file at `new` is replaced in one instant."""
    if not target.local:
        target.run(["mv", "-f", old, new])
        return
    try:
        Path(old).replace(new)
    except OSError as error:
        raise MeshwrightError(f"cannot put {new} in place: {error.strerror}", hint="Move away what is there") from None


def look(target: Target, paths: Sequence[str]) -> list[Seen | None]:
    """What is at `paths`, links followed; None where there is nothing."""
    if target.local:
        return [_look_here(path) for path in paths]
    lines = target.run(["sh", "-c", _LOOK, "sh", *paths]).text.splitlines()
    if len(lines) != len(paths):
        raise MeshwrightError(f"{target.name} did not say what is at {shlex.join(paths)}")
    return [_parsed(line) for line in lines]


def _look_here(path: str) -> Seen | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - one call for all of it
        held = os.readlink(path) if os.path.islink(path) else None  # noqa: PTH114, PTH115
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MeshwrightError(f"cannot look at {path}: {error.strerror}") from None
    runnable = stat.S_ISREG(found.st_mode) and os.access(path, os.X_OK)
    return Seen(runnable, f"{found.st_size} {found.st_mtime_ns} {found.st_ino}", held)


# GNU and busybox know `stat -c`, BSD and macOS `stat -f`; these formats give fractions of a second. One process for all
# paths: over SSH each costs 35-50 ms.
_LOOK = """
for p do
  if [ ! -e "$p" ]; then echo absent; continue; fi
  x=no; if [ -f "$p" ] && [ -x "$p" ]; then x=yes; fi
  s=$(stat -L -c '%s %i %y' "$p" 2>/dev/null || stat -L -f '%z %i %Fm' "$p") || exit 1
  l=; if [ -L "$p" ]; then l=$(readlink "$p"); fi
  echo "$x|$s|$l"
done
"""


def _parsed(line: str) -> Seen | None:
    if line == "absent":
        return None
    runnable, stamp, held = line.split("|", 2)
    return Seen(runnable == "yes", stamp, held or None)


def sha256(target: Target, path: str) -> str:
    """The sha256 of a file on the target."""
    if target.local:
        try:
            with open(path, "rb") as opened:  # noqa: PTH123 - a path of the target is text
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise MeshwrightError(f"cannot read {path}: {error.strerror}") from None
    done = target.run(["sh", "-c", 'sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"', "sh", path], timeout=120)
    return done.text.split(maxsplit=1)[0].lstrip("\\")


def _record(target: Target, tool: str, version: str) -> Record | None:
    data = target.read(f"{folder(target, tool, version)}/installed.json")
    try:
        return Record(**json.loads(data)) if data is not None else None
    except (ValueError, TypeError):
        return None
