"""The lock that keeps two changing runs on one cluster apart.

It is a file lock of the kernel (flock) on the machine where Meshwright runs, also for a host behind SSH, in the state
folder of its user, named after the cluster: a holder that dies, however it dies, holds nothing any more.
`meshwright.lease` comes on top of it, once there is an API server, and keeps runs from different machines apart.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

from meshwright.errors import MeshwrightError, Refused

__all__ = ["Lock", "acquire", "folder"]


def folder() -> Path:
    """Where the locks of this user are on this machine: outside any project, so that two clones share them."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "meshwright" / "locks"


class Lock:
    """A held lock; the kernel lets go of it with the process, `release` earlier."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def release(self) -> None:
        """Lets go. The file stays: removing it would let two runs hold two files of one name."""
        self._file.close()


def acquire(name: str, purpose: str, where: Path | None = None) -> Lock:
    """Takes the lock `name` for `purpose` ("apply lab site") at once or not at all.

    Raises Refused: another run holds it; the sentence names that run. MeshwrightError: the file cannot be made.
    """
    path = (where or folder()) / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened without truncation: until the lock is ours, what is written there is the holder's.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise MeshwrightError(f"the lock {path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(file)
        file.close()
        raise Refused(
            f"another run is changing {name}: {holder}", hint="Wait until it has ended, then run this again"
        ) from None
    file.seek(0)
    file.truncate()
    json.dump({"host": socket.gethostname(), "pid": os.getpid(), "purpose": purpose, "since": int(time.time())}, file)
    file.flush()
    return Lock(file)


def _holder(file: IO[str]) -> str:
    try:
        said: dict[str, Any] = json.load(file)
        since = time.strftime("%H:%M:%S", time.localtime(said["since"]))
        return f"{said['purpose']}, process {said['pid']} on {said['host']}, since {since}"
    except (ValueError, KeyError, TypeError):
        # It has the lock and has not written its name yet.
        return "it has just started"
