"""A relay for TCP connections on 127.0.0.1 that can be cut: an API server that is suddenly gone, and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["Relay"]

_CHUNK = 65536


class Relay:
    """Carries connections to `host`:`port`. TLS goes through it as it is."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.restore()

    def cut(self) -> None:
        """Ends all connections; new ones are refused."""
        with self._lock:
            ends, self._open = self._open, set()
            listener, self._listener = self._listener, None
        # A thread may be waiting in accept, and would keep the port open.
        for end in [*([listener] if listener else []), *ends]:
            _end(end)

    def restore(self) -> None:
        """Takes connections (again), on the port it has had from the start."""
        with self._lock:
            if self._listener is None:
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", self.port))
                listener.listen(64)
                self._listener, self.port = listener, listener.getsockname()[1]
                threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(self._to, 10)
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    if self._listener is not listener:
                        _end(near)
                        _end(far)
                        return
                    self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(_CHUNK):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
