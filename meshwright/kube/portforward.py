"""Connections to ports of pods, as `kubectl port-forward` makes them, without a local port.

The protocol is the kubelet's port-forward over WebSocket (k8s.io/kubelet, pkg/cri/streaming/portforward): for the n-th
port, channel 2n has the data and 2n+1 the error; the first message on each is the port, two bytes, little-endian. The
newer SPDY tunnel of `kubectl` is not needed for it: API servers hand this one on to the kubelet.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from meshwright.errors import Unreachable
from meshwright.kube.errors import Call
from meshwright.kube.session import Session
from meshwright.kube.websocket import Channels, open_channels

__all__ = ["Forwarded", "forward", "http_get", "http_request"]

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_TIMEOUT = 10.0


class Forwarded:
    """A stream of bytes to one port of a pod. One thread uses it."""

    def __init__(self, channels: Channels, where: str) -> None:
        self._channels = channels
        self._where = where
        self._begun: set[int] = set()

    def send(self, data: bytes) -> None:
        """Sends all of `data`. Raises Unreachable."""
        self._channels.send(_DATA, data)

    def receive(self) -> bytes:
        """The next bytes, empty at the end. Raises Unreachable: no answer in time, or nothing listens there."""
        while (message := self._channels.receive()) is not None:
            if data := self._data(*message):
                return data
        return b""

    def wait(self, other: socket.socket, timeout: float) -> tuple[bool, bool]:
        """Whether there is something to take here, and to read from `other`, after at most `timeout` seconds."""
        return self._channels.wait(other, timeout)

    def take(self) -> bytes | None:
        """What has come, after one read, which may be nothing; None at the end. Raises as `receive` does."""
        found = self._channels.take()
        return None if found is None else b"".join(self._data(*message) for message in found)

    def _data(self, channel: int, data: bytes) -> bytes:
        if channel not in self._begun:
            self._begun.add(channel)
            data = data[2:]
        if channel == _ERROR and data:
            # The kubelet tells the whole way there; the last part says what happened ("connection refused").
            why = data.decode(errors="replace").strip().rsplit(": ", 1)[-1]
            raise Unreachable(
                f"{self._where} cannot be reached: {why}", hint="Does the pod run, and listen on that port?"
            )
        return data if channel == _DATA else b""


@contextlib.contextmanager
def forward(session: Session, namespace: str, pod: str, port: int, timeout: float = _TIMEOUT) -> Iterator[Forwarded]:
    """A connection to `port` of a pod, for as long as the block runs and at most `timeout` seconds.

    It needs the rights get and create on pods/portforward. Raises ApiError (no such pod), Forbidden, Unreachable.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/portforward?ports={port}"
    context = session.context
    call = Call("open", f"a port-forward to pod {namespace}/{pod}", context.server, context.name)
    with open_channels(session, path, [_PROTOCOL], call, timeout, repeat=True) as channels:
        yield Forwarded(channels, f"port {port} of pod {namespace}/{pod}")


def http_get(
    session: Session, namespace: str, pod: str, port: int, path: str, timeout: float = _TIMEOUT
) -> tuple[int, bytes]:
    """Status and body of a GET of `path` from a port of a pod, all within `timeout` seconds.

    Envoy's admin answers on 15000, istiod's debug pages on 15014. Raises as `forward` does.
    """
    return http_request(session, namespace, pod, port, "GET", path, timeout=timeout)


def http_request(
    session: Session,
    namespace: str,
    pod: str,
    port: int,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float = _TIMEOUT,
) -> tuple[int, bytes]:
    """Status and body of one plain HTTP request to a port of a pod. Raises as `forward` does."""
    import h11

    where = f"port {port} of pod {namespace}/{pod}"
    with forward(session, namespace, pod, port, timeout) as stream:
        http = h11.Connection(h11.CLIENT)
        sent = {"host": f"localhost:{port}", "connection": "close", **(headers or {})}
        if body:
            sent["content-length"] = str(len(body))
        request = http.send(h11.Request(method=method, target=path, headers=list(sent.items()))) or b""
        content = (http.send(h11.Data(data=body)) or b"") if body else b""
        stream.send(request + content + (http.send(h11.EndOfMessage()) or b""))
        status, parts = 0, []
        try:
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(stream.receive())
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return status, b"".join(parts)
                elif isinstance(event, h11.ConnectionClosed):
                    raise Unreachable(f"{where} ended {method} {path} without an answer")
        except h11.RemoteProtocolError as wrong:
            raise Unreachable(f"{where} does not answer {method} {path} in HTTP: {wrong}") from None
