"""The lock that keeps two changing runs on one cluster apart.

It is a file lock of the kernel (flock) on the host that is worked on, in the state folder of its user, named after the
cluster: a holder that dies, however it dies, holds nothing any more. `Target.lock` takes it. On this machine this
process holds it; behind SSH a shell there does, for as long as our connection lasts (`REMOTE`).
`meshwright.lease` comes on top of it, once there is an API server, and keeps runs through different hosts apart.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwright.errors import MeshwrightError, Refused

__all__ = ["REMOTE", "Lock", "acquire", "folder", "note", "refused"]

REMOTE = """\
umask 077
tell() { printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$1" "$boot" "$space" "$at" "$2"; }
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.bootsessionuuid 2>/dev/null || uname -n)
space=$(readlink /proc/self/ns/pid 2>/dev/null | tr -cd 0-9)
at="${XDG_STATE_HOME:-$HOME/.local/state}/meshwright/locks"
file="$at/$1.lock"
mkdir -p "$at" 2>/dev/null && (: >>"$file") 2>/dev/null || { tell failed "$file cannot be opened"; exit; }
exec 9<>"$file"
if command -v flock >/dev/null 2>&1; then flock -n 9
elif command -v perl >/dev/null 2>&1; then
    perl -e 'use Fcntl ":flock"; open(my $f, "+<&=", 9) or exit 1; exit(flock($f, LOCK_EX | LOCK_NB) ? 0 : 1)'
else tell failed "it has neither flock (util-linux) nor perl, one of which takes a lock"; exit
fi || { tell busy "$(cat "$file")"; exit; }
printf %s "$2" >"$file"
tell held
exec cat >/dev/null
"""
"""For the `sh -c` of a host, with the lock's name and our note. It answers in one line with tabs: held, busy or failed,
boot id, pid namespace, folder, and the holder's note or what failed. The lock belongs to the open file, which `cat` has
until its input ends."""


def folder() -> Path:
    """Where the locks of this user are on this machine: outside any project, so that two clones share them."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "meshwright" / "locks"


@dataclass(frozen=True)
class Lock:
    """A held lock. `where` names it among all machines: boot id, pid namespace, folder, name."""

    where: Callable[[], tuple[str, ...]]
    release: Callable[[], None]
    """Lets go. The file stays: removing it would let two runs hold two files of one name."""


def acquire(name: str, purpose: str, where: Path | None = None, *, run: str = "") -> Lock:
    """Takes the lock `name` of this machine for `purpose` ("apply lab site") at once or not at all.

    `run` tells this run from others: what it holds already, by another way to this machine, it may have again.
    Raises Refused: another run holds it; the sentence names that run. MeshwrightError: the file cannot be made.
    """
    path = (where or folder()) / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened without truncation: until the lock is ours, what is written there is the holder's.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise MeshwrightError(f"the lock {path} cannot be opened: {error.strerror}") from None

    def place() -> tuple[str, ...]:
        # Imported here: on some systems finding out where we are starts processes.
        from meshwright.holder import Holder

        here = Holder.here()
        return here.boot, here.space, str(path.parent), name

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = file.read()
        file.close()
        busy = refused(name, text, run)
        if busy is None:
            return Lock(place, lambda: None)
        raise busy from None
    file.seek(0)
    file.truncate()
    file.write(note(purpose, run))
    file.flush()
    return Lock(place, file.close)


def note(purpose: str, run: str = "") -> str:
    """What a holder writes into the file."""
    said = {"host": socket.gethostname(), "pid": os.getpid(), "purpose": purpose, "since": int(time.time())}
    return json.dumps({**said, "run": run} if run else said)


def refused(name: str, text: str, run: str = "") -> Refused | None:
    """The error for a lock whose holder has written `text`; None where that holder is this run itself."""
    try:
        said: dict[str, Any] = json.loads(text)
        if run and said.get("run") == run:
            return None
        since = time.strftime("%H:%M:%S", time.localtime(said["since"]))
        holder = f"{said['purpose']}, process {said['pid']} on {said['host']}, since {since}"
    except (ValueError, KeyError, TypeError, AttributeError):
        # It has the lock and has not written its name yet.
        holder = "it has just started"
    return Refused(f"another run is changing {name}: {holder}", hint="Wait until it has ended, then run this again")
