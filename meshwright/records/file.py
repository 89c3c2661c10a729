"""Records in a file on the host: one JSON line for each entry, only ever appended to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from meshwright.errors import MeshwrightError
from meshwright.records import shape
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


def read(target: Target, environment: str) -> tuple[list[Entry], list[str]]:
    """The entries of the file, oldest first; and of each line that is none, FILE:LINE and why, as a sentence.

    Raises MeshwrightError where the file cannot be read.
    """
    entries, spoilt = [], []
    where = path(target, environment)
    for number, line in enumerate((target.read(where) or b"").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(shape.parsed(line))
        except shape.Unreadable as why:
            spoilt.append(f"{where}:{number}: {why}")
    return entries, spoilt
