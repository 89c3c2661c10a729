"""A local port that leads to a pod, against an API server that speaks the kubelet's port-forward."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

import pytest
from fakeapi import FakeApi, ServerSocket, status, websocket
from wsproto.events import BytesMessage

from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session, localport

Connect = Callable[..., Session]
PROTOCOL = "v4.channel.k8s.io"
PORT = struct.pack("<H", 20001)


def path(pod: str) -> str:
    return f"/api/v1/namespaces/shop/pods/{pod}/portforward"


def echo(socket: ServerSocket) -> None:
    socket.send(0, PORT)
    socket.send(1, PORT)
    begins = True
    while isinstance(event := socket.receive(), BytesMessage):
        # A message may come in parts; the first byte of it is the channel.
        socket.send(0, bytes(event.data[1:] if begins else event.data).upper())
        begins = event.message_finished


def through(port: localport.LocalPort, data: bytes) -> bytes:
    with socket.create_connection((port.address, port.port), timeout=20) as own:
        own.sendall(data)
        found = b""
        with contextlib.suppress(ConnectionResetError):  # the other side has ended with bytes unread
            while len(found) < len(data) and (more := own.recv(65536)):
                found += more
        return found


def test_bytes_go_both_ways(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", path("web-1")] = websocket(PROTOCOL, echo)
    with localport.opened(connect(), "127.0.0.1", 0, lambda: ("shop", "web-1", 20001), print) as port:
        assert through(port, b"hello") == b"HELLO"
        assert through(port, b"x" * 300_000) == b"X" * 300_000
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((port.address, port.port), timeout=5)


def test_a_pod_that_has_moved_is_found_again(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", path("web-1")] = websocket(PROTOCOL, echo)
    api.answers["GET", path("web-2")] = websocket(PROTOCOL, echo)
    where, said = [("shop", "web-1", 20001)], list[str]()
    with localport.opened(connect(), "127.0.0.1", 0, lambda: where[0], said.append) as port:
        assert through(port, b"a") == b"A"
        where[0] = ("shop", "web-2", 20001)
        assert through(port, b"b") == b"B"
    assert said == ["now at pod shop/web-2"]


def test_a_connection_that_finds_no_pod_ends_and_says_why(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", path("gone")] = status(404, "NotFound", 'pods "gone" not found')
    said = list[str]()
    with localport.opened(connect(), "127.0.0.1", 0, lambda: ("shop", "gone", 1), said.append) as port:
        assert through(port, b"a") == b""
    assert len(said) == 1
    assert "shop/gone" in said[0]

    def nowhere() -> tuple[str, str, int]:
        raise MeshwrightError("no pod is ready")

    with localport.opened(connect(), "127.0.0.1", 0, nowhere, said.append) as port:
        assert through(port, b"a") == b""
    assert said[1] == "no pod is ready"


@pytest.mark.usefixtures("api")
def test_a_port_in_use_and_an_address_of_another_machine(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with (
            pytest.raises(BadInput, match=f"port {number} of 127.0.0.1 is in use"),
            localport.opened(connect(), "127.0.0.1", number, lambda: ("a", "b", 1), print),
        ):
            pass
    for address in ("192.0.2.1", "not an address"):
        with (
            pytest.raises(BadInput, match="this machine"),
            localport.opened(connect(), address, 0, lambda: ("a", "b", 1), print),
        ):
            pass
