"""Which process holds a lock or writes a record, written so that another process can find out whether it still lives.

A pid alone names a process only for a while and only on one machine: pids are used again, and each container has its
own. So a holder is machine, boot, pid namespace, pid and start time. Only who is in the same boot and the same pid
namespace can look for the process; for everybody else a holder is neither alive nor dead.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from meshwright import process
from meshwright.errors import MeshwrightError

__all__ = ["Holder"]

_PROC = Path("/proc")
_PARTS = 5


@dataclass(frozen=True)
class Holder:
    """A process. `boot` is the id of the machine's boot and `space` the pid namespace in it (empty on darwin, which has
    none); `start` is when the process was started, in whatever unit that system counts; empty parts are not known."""

    machine: str
    boot: str
    space: str
    pid: int
    start: str

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        return _here(os.getpid())

    @classmethod
    def read(cls, text: str) -> Holder | None:
        """The holder that `str` gave as `text`; None for any other text."""
        parts = text.split("/")
        if len(parts) != _PARTS or not parts[3].isdecimal():
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), parts[4])

    def __str__(self) -> str:
        return f"{self.machine}/{self.boot}/{self.space}/{self.pid}/{self.start}"

    @property
    def words(self) -> str:
        """The holder in a sentence."""
        return f"process {self.pid} on {self.machine}"

    @property
    def alive(self) -> bool | None:
        """Whether the process lives; None where that cannot be seen from here. In doubt it lives."""
        if not self.boot or not self.start or (self.boot, self.space) != _place():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # somebody else's process
        now = _started(self.pid)
        return now is None or now == self.start


@functools.cache
def _here(pid: int) -> Holder:
    machine = socket.gethostname().replace("/", "_") or "unknown"
    return Holder(machine, *_place(), pid, _started(pid) or "")


@functools.cache
def _place() -> tuple[str, str]:
    """The boot and the pid namespace that this process is in."""
    if sys.platform == "linux":
        try:
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
            # The boot id is the kernel's: containers share it, but not their processes.
            return boot, str((_PROC / "self/ns/pid").readlink()).strip("pid:[]")
        except OSError:
            return "", ""
    return _said("sysctl", "-n", "kern.bootsessionuuid"), ""


def _started(pid: int) -> str | None:
    """When the process was started; None where that cannot be seen, empty for one that has ended and still has its
    entry."""
    if sys.platform == "linux":
        try:
            # The second field is the program's name in parentheses, with any characters in it. Field 3 is the state,
            # 22 the start in clock ticks since the boot (man 5 proc).
            fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return "" if fields[0] in ("Z", "X") else fields[19]
    return _said("ps", "-o", "lstart=", "-p", str(pid)).replace(" ", "_") or None


def _said(*command: str) -> str:
    try:
        return process.run(command, env={"LC_ALL": "C", "TZ": "UTC"}, timeout=5).text.strip()
    except MeshwrightError:
        return ""
