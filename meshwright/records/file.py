"""Records in a file on the host: one JSON line for each entry, only ever appended to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from meshwright.errors import MeshwrightError
from meshwright.records.model import Entry
from meshwright.target import Target

__all__ = ["append", "path", "read"]

# What a killed writer left of a line is ended first, so that it spoils no other.
_APPEND = """umask 077; mkdir -p "$(dirname "$1")" || exit
if [ -s "$1" ] && [ -n "$(tail -c 1 "$1")" ]; then echo >> "$1" || exit; fi
cat >> "$1" """


def path(target: Target, environment: str) -> str:
    """The file of an environment's records on the host."""
    return f"{target.state}/{environment}/records.jsonl"


def append(target: Target, environment: str, *entries: Entry) -> None:
    """Appends entries, all at once. Raises MeshwrightError where that cannot be done."""
    lines = b"".join(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for entry in entries)
    where = path(target, environment)
    if not target.local:
        target.run(["sh", "-c", _APPEND, "sh", where], input=lines)
        return
    try:
        _append_here(Path(where), lines)
    except OSError as error:
        raise MeshwrightError(f"cannot write to {where}: {error.strerror}") from None


def _append_here(where: Path, lines: bytes) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(where, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        end = os.lseek(handle, 0, os.SEEK_END)
        if end and os.pread(handle, 1, end - 1) != b"\n":
            lines = b"\n" + lines
        while lines:
            lines = lines[os.write(handle, lines) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def read(target: Target, environment: str) -> tuple[list[Entry], int]:
    """The entries of the file, oldest first, and the number of lines that are no entry: cut by a kill in mid-write.

    Raises MeshwrightError where the file cannot be read.
    """
    entries, cut = [], 0
    for line in (target.read(path(target, environment)) or b"").split(b"\n"):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entries.append({**entry, "id": entry["id"], "entry": entry["entry"], "at": entry["at"]})
        except (ValueError, TypeError, KeyError):
            cut += 1
    return entries, cut
