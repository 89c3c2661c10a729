"""The raw stream of a connection that left HTTP, with our words for its errors."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator

import httpcore2

from meshwright.errors import Unreachable

__all__ = ["Upgraded"]

_CHUNK = 65536


class Upgraded:
    """The raw stream of a connection that left HTTP; one thread reads and writes it."""

    def __init__(self, stream: httpcore2.NetworkStream, describe: str) -> None:
        self._stream = stream
        self._describe = describe

    def read(self, deadline: float) -> bytes:
        """The next bytes, empty at the end. `deadline` is a time.monotonic(). Raises Unreachable."""
        with self._explained():
            return self._stream.read(_CHUNK, max(deadline - time.monotonic(), 0.001))

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`. Raises Unreachable."""
        with self._explained():
            self._stream.write(data, max(deadline - time.monotonic(), 0.001))

    def wait(self, other: socket.socket, timeout: float) -> tuple[bool, bool]:
        """Whether this stream and `other` have something to read, or their end, after at most `timeout` seconds."""
        own = self._stream.get_extra_info("socket")
        secure = self._stream.get_extra_info("ssl_object")
        if secure is not None and secure.pending():  # read from the network already, so no socket tells of it
            return True, False
        poll = select.poll()
        poll.register(own, select.POLLIN)
        poll.register(other, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
        return own.fileno() in ready, other.fileno() in ready

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpcore2.TimeoutException:
            raise Unreachable(f"{self._describe} gave no answer in time") from None
        except httpcore2.NetworkError as error:
            raise Unreachable(f"{self._describe} ended: {error}") from None
