"""The raw stream of a connection that left HTTP, with our words for its errors."""

from __future__ import annotations

import contextlib
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

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpcore2.TimeoutException:
            raise Unreachable(f"{self._describe} gave no answer in time") from None
        except httpcore2.NetworkError as error:
            raise Unreachable(f"{self._describe} ended: {error}") from None
