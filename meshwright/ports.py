"""Ports on a host: which are free, and who has those that are not."""

from __future__ import annotations

import random
import re
import socket

from meshwright.errors import MeshwrightError, Refused, Unreachable
from meshwright.target import Target

__all__ = ["choose", "holder", "taken"]

# Below the range from which Linux and macOS give ports to outgoing connections, above the well-known ones.
_FIRST, _LAST = 20000, 29999
_TRIES = 50
# Commands that list who listens on a port, and how each writes the name and number of a process.
_LISTENERS = (
    (("ss", "-ltnpH", "sport = :{}"), re.compile(r'"(?P<name>[^"]+)",pid=(?P<pid>\d+)')),
    (("lsof", "-nP", "-iTCP:{}", "-sTCP:LISTEN", "-Fcp"), re.compile(r"^p(?P<pid>\d+)\nc(?P<name>.+)$", re.MULTILINE)),
)


def taken(target: Target, port: int) -> bool:
    """True when something on the host has 127.0.0.1:`port`."""
    if target.local:
        with socket.socket() as probe:
            # As dockerd binds: a port in TIME_WAIT is free, a port with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return False
            except PermissionError:
                pass  # below 1024: the engine may open it, this user may not
            except OSError:
                return True
    try:
        target.connect("127.0.0.1", port, timeout=3).close()
    except Unreachable:
        return False
    return True


def holder(target: Target, port: int) -> str:
    """Who listens on `port`, as well as the host can tell."""
    for command, entry in _LISTENERS:
        try:
            text = target.run([word.format(port) for word in command], timeout=5, ok=None).text
        except MeshwrightError:
            continue
        found = [f"{match['name']} (process {match['pid']})" for match in entry.finditer(text)]
        if found:
            return ", ".join(found)
    return "a process that this user may not see"


def choose(target: Target, wanted: dict[str, int | str]) -> dict[str, int]:
    """A number for each name in `wanted`: a number is kept, `auto` becomes a free port of the host.

    Raises Refused: a port given as a number is taken (the sentence says by whom).
    """
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        if isinstance(port, int):
            if taken(target, port):
                raise Refused(
                    f"port {port} ({name}) is taken by {holder(target, port)}",
                    hint="End that process, give another number, or write `auto`",
                )
            chosen[name] = port
    for name, port in wanted.items():
        if not isinstance(port, int):
            chosen[name] = _free(target, set(chosen.values()))
    return chosen


def _free(target: Target, used: set[int]) -> int:
    # Random, so that two clones that start at the same time do not both find the first free one.
    for port in random.sample(range(_FIRST, _LAST + 1), _TRIES):
        if port not in used and not taken(target, port):
            return port
    raise MeshwrightError(f"no free port between {_FIRST} and {_LAST} on {target.name}")
