from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakeapi import Authority, FakeApi, Reply, ServerSocket, status, websocket, write_config
from wsproto.events import BytesMessage, Pong

from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import ApiError, Session
from meshwright.kube.portforward import forward, http_get, http_request

Connect = Callable[..., Session]
PATH = "/api/v1/namespaces/shop/pods/web-1/portforward"
PROTOCOL = "v4.channel.k8s.io"
PORT = struct.pack("<H", 15000)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def begin(socket: ServerSocket) -> None:
    socket.send(0, PORT)
    socket.send(1, PORT)


def asked(socket: ServerSocket) -> bytes:
    event = socket.receive()
    assert isinstance(event, BytesMessage)
    assert event.data[0] == 0
    return bytes(event.data[1:])


def get(session: Session) -> tuple[int, bytes]:
    return http_get(session, "shop", "web-1", 15000, "/ready")


def test_a_request_and_its_answer_in_pieces(api: FakeApi, connect: Connect) -> None:
    requests = []

    def script(socket: ServerSocket) -> None:
        begin(socket)
        requests.append(asked(socket))
        socket.send(0, OK[:10])
        socket.ping()
        assert isinstance(socket.receive(), Pong)
        socket.send(0, OK[10:20], finished=False)
        socket.go_on(OK[20:])

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    assert get(connect()) == (200, b"hello")
    assert api.requests[-1].path == f"{PATH}?ports=15000"
    assert api.requests[-1].headers["sec-websocket-protocol"] == PROTOCOL
    assert requests[0].startswith(b"GET /ready HTTP/1.1\r\nhost: localhost:15000\r\nconnection: close\r\n")


def test_the_port_may_come_together_with_data(api: FakeApi, connect: Connect) -> None:
    def script(socket: ServerSocket) -> None:
        asked(socket)
        socket.send(0, PORT + OK)

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    assert get(connect()) == (200, b"hello")


def test_a_body_goes_out_whole(api: FakeApi, connect: Connect) -> None:
    got = bytearray()

    def script(socket: ServerSocket) -> None:
        begin(socket)
        while b"x" * 200_000 not in got:
            event = socket.receive()
            got.extend(event.data[1:] if not got else event.data)
        socket.send(0, OK)

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    assert http_request(connect(), "shop", "web-1", 15000, "POST", "/logging", body=b"x" * 200_000)[0] == 200
    assert b"content-length: 200000\r\n" in got


def test_an_answer_without_a_length_ends_with_the_connection(api: FakeApi, connect: Connect) -> None:
    def script(socket: ServerSocket) -> None:
        begin(socket)
        asked(socket)
        socket.send(0, b"HTTP/1.1 200 OK\r\n\r\nhel")
        socket.send(0, b"lo")
        socket.close()

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    assert get(connect()) == (200, b"hello")


def refused(socket: ServerSocket) -> None:
    begin(socket)
    socket.send(1, b"error forwarding port 15000 to pod x, uid : dial tcp4 127.0.0.1:15000: connection refused\n")


def silent(socket: ServerSocket) -> None:
    begin(socket)
    asked(socket)
    socket.close()


def not_http(socket: ServerSocket) -> None:
    begin(socket)
    asked(socket)
    socket.send(0, b"SSH-2.0-OpenSSH\r\n\r\n")


def cut(socket: ServerSocket) -> None:
    begin(socket)
    asked(socket)
    socket.send(0, OK[:-2])


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (refused, r"^port 15000 of pod shop/web-1 cannot be reached: connection refused\."),
        (silent, r"ended GET /ready without an answer|does not answer GET /ready in HTTP"),
        (not_http, r"does not answer GET /ready in HTTP"),
        (cut, r"does not answer GET /ready in HTTP"),
    ],
)
def test_what_does_not_answer_is_unreachable(
    api: FakeApi, connect: Connect, script: Callable[[ServerSocket], None], sentence: str
) -> None:
    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    with pytest.raises(Unreachable, match=sentence):
        get(connect())


def test_a_silent_pod_ends_at_the_deadline(api: FakeApi, connect: Connect) -> None:
    def script(socket: ServerSocket) -> None:
        begin(socket)
        while socket.receive() is not None:
            pass

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"a port-forward to pod shop/web-1 gave no answer in time"):
        http_get(connect(), "shop", "web-1", 15000, "/ready", timeout=0.3)
    assert time.monotonic() - start < 2


def test_the_server_says_no(api: FakeApi, connect: Connect) -> None:
    with pytest.raises(ApiError, match="not found"):
        get(connect())
    api.answers["GET", PATH] = status(403, "Forbidden", 'User "op" cannot create resource "pods/portforward"')
    with pytest.raises(Forbidden, match="may not open a port-forward to pod shop/web-1"):
        get(connect())


def test_a_proxy_that_lets_no_websocket_through(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", PATH] = websocket("v1.other", begin)
    with pytest.raises(Unreachable, match="does not answer as a WebSocket"):
        get(connect())
    api.answers["GET", PATH] = Reply(200, b"<html>")
    with pytest.raises(Unreachable, match="does not answer as a WebSocket"):
        get(connect())


def test_a_port_forward_beside_calls(api: FakeApi, connect: Connect) -> None:
    def script(socket: ServerSocket) -> None:
        begin(socket)
        asked(socket)
        socket.send(0, b"raw")

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    session = connect()
    with forward(session, "shop", "web-1", 15000) as stream:
        assert session.get("v1", "Pod", "web-1", "shop") is None
        stream.send(b"x")
        assert stream.receive() == b"raw"
        assert stream.receive() == b""


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from meshwright.kube import open_session
from meshwright.kube.portforward import http_get
from meshwright.project import Project
from meshwright.target import Local

target = Local(Project(Path.cwd()))
session = open_session(target, sys.argv[1], "lab")
answers = session.map(lambda _: http_get(session, "shop", "web-1", 15000, "/ready"), range(8))
raw = session.map(lambda _: session.get_raw("/slow"), range(8))
print(set(answers), set(raw))
target.close()
"""


def test_all_of_it_under_gevent_as_pyinfra_runs_it(api: FakeApi, authority: Authority, tmp_path: Path) -> None:
    now, most = {"forwards": 0, "calls": 0}, {"forwards": 0, "calls": 0}
    counting = threading.Lock()

    @contextlib.contextmanager
    def at_once(what: str) -> Iterator[None]:
        with counting:
            now[what] += 1
            most[what] = max(most[what], now[what])
        time.sleep(0.2)
        yield
        with counting:
            now[what] -= 1

    def script(socket: ServerSocket) -> None:
        begin(socket)
        asked(socket)
        with at_once("forwards"):
            socket.send(0, OK)

    def slow(_request: object) -> Reply:
        with at_once("calls"):
            return Reply(body=b"slow")

    api.answers["GET", PATH] = websocket(PROTOCOL, script)
    api.answers["GET", "/slow"] = slow
    config = write_config(tmp_path, api.url, authority.pem)
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT, str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{(200, b'hello')} {b'slow'}\n"
    assert min(most.values()) > 1, most
