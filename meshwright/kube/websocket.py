"""WebSockets on the session's own connections, with the channels that port-forward and exec share.

Every message begins with one byte, the channel (k8s.io/apimachinery, pkg/util/httpstream/wsstream).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meshwright.errors import Unreachable
from meshwright.kube.errors import Call, error
from meshwright.kube.session import Session

if TYPE_CHECKING:
    from meshwright.kube.upgraded import Upgraded

__all__ = ["Channels", "open_channels"]

# RFC 6455, section 1.3: what the server must prove to have read.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Channels:
    """An open WebSocket. One thread uses it. `deadline` is a time.monotonic() after which all of it ends."""

    def __init__(self, stream: Upgraded, deadline: float) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._stream = stream
        self._deadline = deadline
        self._socket = Connection(ConnectionType.CLIENT)
        self._messages: list[tuple[int, bytes]] = []
        self._part = bytearray()
        self._ended = False

    def send(self, channel: int, data: bytes) -> None:
        """Sends `data` on a channel. Raises Unreachable."""
        from wsproto.events import BytesMessage

        self._stream.write(self._socket.send(BytesMessage(bytes([channel]) + data)), self._deadline)

    def receive(self) -> tuple[int, bytes] | None:
        """The next message as (channel, data); None when the other side has ended. Raises Unreachable: out of time, or
        bytes that are no WebSocket."""
        while not self._messages and not self._ended:
            self._read()
        return self._messages.pop(0) if self._messages else None

    def wait(self, other: socket.socket, timeout: float) -> tuple[bool, bool]:
        """Whether there is something to take here, and to read from `other`, after at most `timeout` seconds."""
        return (True, False) if self._messages or self._ended else self._stream.wait(other, timeout)

    def take(self) -> list[tuple[int, bytes]] | None:
        """The messages that have come whole, after one read; None when the other side has ended. Raises Unreachable."""
        if not self._messages and not self._ended:
            self._read()
        found, self._messages = self._messages, []
        return found if found or not self._ended else None

    def close(self) -> None:
        """Says goodbye. The answer is not waited for: the connection ends with the session's hold on it."""
        from wsproto.events import CloseConnection

        if not self._ended:
            self._ended = True
            with contextlib.suppress(Unreachable):
                self._stream.write(self._socket.send(CloseConnection(code=1000)), self._deadline)

    def _read(self) -> None:
        from wsproto.utilities import ProtocolError

        data = self._stream.read(self._deadline)
        try:
            self._take(data)
        except ProtocolError as wrong:
            raise Unreachable(f"the API server's WebSocket is broken: {wrong}") from None

    def _take(self, data: bytes) -> None:
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

        if not data:
            self._ended = True
            return
        self._socket.receive_data(data)
        for event in self._socket.events():
            if isinstance(event, (BytesMessage, TextMessage)):
                self._part += event.data.encode() if isinstance(event.data, str) else event.data
                if event.message_finished:
                    if self._part:
                        self._messages.append((self._part[0], bytes(self._part[1:])))
                    self._part = bytearray()
            elif isinstance(event, Ping):
                self._stream.write(self._socket.send(event.response()), self._deadline)
            elif isinstance(event, CloseConnection):
                self._ended = True


@contextlib.contextmanager
def open_channels(
    session: Session, path: str, protocols: Sequence[str], call: Call, timeout: float, *, repeat: bool = False
) -> Iterator[Channels]:
    """A WebSocket to `path`, speaking the first of `protocols` that the server takes, for as long as the block runs
    and at most `timeout` seconds. `repeat` says that opening it twice does no harm.

    Raises what `call` raises when the server says no, and Unreachable.
    """
    deadline = time.monotonic() + timeout
    key = base64.b64encode(os.urandom(16))
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": key.decode(),
        "sec-websocket-protocol": ", ".join(protocols),
    }
    with session.transport.upgrade(path, headers, timeout, call.what, repeat=repeat) as answer:
        if answer.status >= 300:
            raise error(answer.status, answer.body, call)
        proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        spoken = answer.headers.get("sec-websocket-protocol")
        accepted = answer.headers.get("sec-websocket-accept") == proof and spoken in protocols
        if answer.stream is None or not accepted:
            raise Unreachable(
                f"cannot {call.verb} {call.what}: {call.server} does not answer as a WebSocket of {protocols[0]}",
                hint="A proxy before the API server may not let WebSockets through",
            )
        channels = Channels(answer.stream, deadline)
        try:
            yield channels
        finally:
            channels.close()
