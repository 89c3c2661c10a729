"""Channels of an SSH connection: commands with all their output, and connections pumped through a pair of sockets."""

from __future__ import annotations

import contextlib
import shlex
import socket
import threading
import time
from collections.abc import Mapping, Sequence

import paramiko

__all__ = ["Output", "after", "first_line", "pump", "script"]

_CHUNK = 65536
# How long the far end of a forwarded connection may stay silent once the near end has closed.
_LINGER = 10
# What reading and writing raise where the other side, or the whole connection, has ended; of paramiko's own, EOFError.
_ENDED = (OSError, EOFError)


def script(command: Sequence[str], mark: str, env: Mapping[str, str], cwd: str | None, *, given: bool) -> str:
    """The line for the login shell of the host (any shell that has exec and quotes with '...').

    It prints a line that begins with `mark` on both streams, so that what a profile prints before is told apart; on
    standard error that line goes on with the process group and a verdict: ok, cwd (no such folder), command (no such
    command). Where no input is `given`, the end of the channel ends the command: then we are gone or out of time.
    """
    lines = ["unset KUBECONFIG", *(f"export {name}={shlex.quote(value)}" for name, value in env.items()), "v=ok"]
    if cwd is not None:
        lines.append(f"cd {shlex.quote(cwd)} 2>/dev/null || v=cwd")
    lines += [
        f"command -v {shlex.quote(command[0])} >/dev/null 2>&1 || v=command",
        f"echo {mark}",
        f'echo "{mark} $$ $v" >&2',
        '[ "$v" = ok ] || exit 127',
    ]
    if given:
        lines.append(f"exec {shlex.join(command)}")
    else:
        lines += [
            "exec 3<&0 </dev/null",
            "(cat <&3; kill -0 $$ && kill -s KILL 0) >/dev/null 2>&1 &",
            f"exec {shlex.join(command)} 3<&-",
        ]
    return f"exec sh -c {shlex.quote(chr(10).join(lines))}"


def after(mark: str, data: bytes) -> tuple[bytes, str]:
    """What follows the line of `data` that begins with `mark`, and the rest of that line; without it, all of `data`."""
    before, found, rest = data.partition(mark.encode())
    if not found:
        return before, ""
    line, _, output = rest.partition(b"\n")
    return output, line.decode(errors="replace").strip()


def first_line(channel: paramiko.Channel, mark: str) -> str:
    """The first line that a command prints, without its end, while the command goes on; what there is of it where the
    command ends before. Raises what the channel raises (OSError: none in time)."""
    said = b""
    while True:
        line, found, _ = after(mark, said)[0].partition(b"\n")
        if found and mark.encode() in said:
            return line.decode(errors="replace")
        data = channel.recv(_CHUNK)
        if not data:
            return line.decode(errors="replace")
        said += data


class Output:
    """Feeds a command its input and gathers both of its streams at once: whichever of them it fills, it never waits."""

    def __init__(self, channel: paramiko.Channel, given: bytes | None) -> None:
        self._channel = channel
        self._parts: tuple[list[bytes], list[bytes]] = ([], [])
        work = [
            threading.Thread(target=self._gather, args=(channel.recv, self._parts[0]), daemon=True),
            threading.Thread(target=self._gather, args=(channel.recv_stderr, self._parts[1]), daemon=True),
        ]
        if given is not None:
            threading.Thread(target=self._feed, args=(given,), daemon=True).start()
        for thread in work:
            thread.start()
        self._work = work

    @property
    def stdout(self) -> bytes:
        """What came on standard output so far."""
        return b"".join(self._parts[0])

    @property
    def stderr(self) -> bytes:
        """What came on standard error so far."""
        return b"".join(self._parts[1])

    def wait(self, deadline: float) -> bool:
        """Whether the command and both of its streams ended before `deadline`, a time.monotonic()."""
        for thread in self._work:
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                return False
        self._channel.status_event.wait(max(deadline - time.monotonic(), 0.1))
        return self._channel.status_event.is_set()

    def _gather(self, receive: object, parts: list[bytes]) -> None:
        assert callable(receive)
        with contextlib.suppress(*_ENDED):
            while data := receive(_CHUNK):
                parts.append(data)

    def _feed(self, data: bytes) -> None:
        # A command may end without having read it all.
        with contextlib.suppress(*_ENDED):
            self._channel.sendall(data)
            self._channel.shutdown_write()


def pump(channel: paramiko.Channel, near: socket.socket) -> None:
    """Carries bytes between `channel` and `near` until both ends have closed, in the background."""

    def outward() -> None:
        with contextlib.suppress(*_ENDED):
            while data := near.recv(_CHUNK):
                channel.sendall(data)
        with contextlib.suppress(*_ENDED):
            channel.shutdown_write()
            channel.settimeout(_LINGER)

    def inward() -> None:
        with contextlib.suppress(*_ENDED):
            while data := channel.recv(_CHUNK):
                near.sendall(data)
        with contextlib.suppress(*_ENDED):
            near.shutdown(socket.SHUT_WR)

    ends = [threading.Thread(target=end, daemon=True) for end in (outward, inward)]

    def close() -> None:
        for end in ends:
            end.join()
        channel.close()
        near.close()

    for end in ends:
        end.start()
    threading.Thread(target=close, daemon=True).start()
