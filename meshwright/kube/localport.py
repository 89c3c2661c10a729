"""A port of this machine whose connections go to a port of a pod, as `kubectl port-forward` has it.

Which pod is asked for each connection, so that one that has moved is found again without anybody noticing.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator

from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube.portforward import Forwarded, forward
from meshwright.kube.session import Session

__all__ = ["LocalPort", "opened"]

_CHUNK = 65536
_DAY = 86400.0
_BEAT = 5.0

Where = tuple[str, str, int]
"""Namespace and name of a pod, and its port."""


class LocalPort:
    """An open port. `address` and `port` are where it listens."""

    def __init__(
        self, session: Session, listening: socket.socket, where: Callable[[], Where], say: Callable[[str], None]
    ) -> None:
        self.address, self.port = listening.getsockname()[:2]
        self._session, self._listening, self._where, self._say = session, listening, where, say
        self._ended = threading.Event()
        self._last: Where | None = None

    def serve(self) -> None:
        """Takes connections until `close`."""
        while not self._ended.is_set():
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._one, args=(taken,), daemon=True).start()

    def close(self) -> None:
        """Takes no more connections; those that are open end within seconds."""
        self._ended.set()
        # Only closed, a port stays open while a thread waits in accept.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _one(self, taken: socket.socket) -> None:
        with taken:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                with self._forwarded() as stream:
                    _pump(taken, stream, self._ended)
            except MeshwrightError as error:
                self._say(error.message)

    @contextlib.contextmanager
    def _forwarded(self) -> Iterator[Forwarded]:
        where = self._where()
        if self._last is not None and where != self._last:
            self._say(f"now at pod {where[0]}/{where[1]}")
        self._last = where
        with forward(self._session, *where, timeout=_DAY) as stream:
            yield stream


def _pump(taken: socket.socket, stream: Forwarded, ended: threading.Event) -> None:
    """Bytes in both directions until one side ends."""
    while not ended.is_set():
        there, here = stream.wait(taken, _BEAT)
        if there:
            data = stream.take()
            if data is None:
                return
            try:
                taken.sendall(data)
            except OSError:
                return  # whoever connected has gone away, as browsers do
        if here:
            try:
                sent = taken.recv(_CHUNK)
            except OSError:
                return
            if not sent:
                return
            stream.send(sent)


@contextlib.contextmanager
def opened(
    session: Session, address: str, port: int, where: Callable[[], Where], say: Callable[[str], None]
) -> Iterator[LocalPort]:
    """A port of `address` (0: any that is free), served by a thread of its own for as long as the block runs.

    `where` says which pod a connection goes to; what it raises ends that connection alone, and `say` is told.
    Raises BadInput: the port is in use, or the address is not one of this machine.
    """
    made = LocalPort(session, _listen(address, port), where, say)
    threading.Thread(target=made.serve, name=f"port {made.port}", daemon=True).start()
    try:
        yield made
    finally:
        made.close()


_WHY = {
    errno.EADDRINUSE: ("is in use", "Leave --port out to take one that is free, or name another"),
    errno.EACCES: ("may not be opened by you", "Ports below 1024 are the administrator's: name another"),
    errno.EADDRNOTAVAIL: ("cannot be opened: this machine has no such address", "127.0.0.1 is always there"),
}


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError as error:
        if (error.errno or 0) < 0:  # of the resolver: it is no address at all
            raise BadInput(f"{address!r} is not an address of this machine", hint="127.0.0.1 is always there") from None
        what, hint = _WHY.get(error.errno or 0, (f"cannot be opened: {error.strerror}", ""))
        raise BadInput(f"port {port} of {address} {what}", hint=hint) from None
