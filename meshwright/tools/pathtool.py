"""Tools that are on the target's PATH already, and what version a program says it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from meshwright.errors import MeshwrightError
from meshwright.target import Target
from meshwright.tools.table import Tool, plain

__all__ = ["Found", "asked", "on_path"]

# Each program of that name on PATH, and the file that it really is. Links of relative folders change with the folder
# one stands in and are left out.
_ALL = """
IFS=:; set -f
for d in $PATH; do
  case $d in /*) ;; *) continue;; esac
  p=$d/$1
  if [ -f "$p" ] && [ -x "$p" ]; then printf '%s\\t%s\\n' "$p" "$(readlink -f "$p" || echo "$p")"; fi
done
"""

# ELF, Mach-O (64 bits, little endian) and Mach-O for two processors.
_PROGRAM = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


@dataclass
class Found:
    """The right version on PATH (`path` empty: none), and why others were passed over."""

    path: str = ""
    passed: list[str] = field(default_factory=list)


def on_path(target: Target, tool: Tool, version: str) -> Found:
    """The first program on the target's PATH that is this version of the tool.

    A script, or a link to a program of another name, is passed over: version managers and package systems put such
    there, and what they run depends on the folder one stands in and on settings that change without us.
    """
    found, seen = Found(), set[str]()
    for line in target.run(["sh", "-c", _ALL, "sh", tool.name]).text.splitlines():
        named, _, real = line.partition("\t")
        if named.startswith(f"{target.state}/") or real in seen:
            continue
        seen.add(real)
        why = _unfit(target, tool, real) or _other(target, tool, named, version)
        if not why:
            found.path = real
            return found
        found.passed.append(f"{named} {why}")
    if not found.passed:
        found.passed.append(f"no {tool.name} is on PATH")
    return found


def asked(target: Target, tool: Tool, path: str) -> str:
    """The version that the program at `path` says it is, without a leading v and without build metadata.

    Raises MeshwrightError: it cannot be run, does not end within 20 s, or says no version.
    """
    done = target.run([path, *tool.ask], timeout=20)
    try:
        said: Any = json.loads(done.text)
        for key in tool.says:
            said = said[key]
    except (ValueError, KeyError, TypeError):
        said = None
    if not isinstance(said, str) or not plain(said):
        raise MeshwrightError(f"{path} {' '.join(tool.ask)} says no version")
    return plain(said)


def _unfit(target: Target, tool: Tool, real: str) -> str:
    if not real.rpartition("/")[2].startswith(tool.name):
        return f"is a link to {real}, which is a program of another name"
    if not target.run(["head", "-c", "4", real], ok=None).stdout.startswith(_PROGRAM):
        return "is a script, which may run another version tomorrow"
    return ""


def _other(target: Target, tool: Tool, path: str, version: str) -> str:
    try:
        said = asked(target, tool, path)
    except MeshwrightError as error:
        return f"gives no version ({error.message})"
    return "" if said == version else f"is {said}"
