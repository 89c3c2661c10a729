"""The one HTTP GET, against servers on 127.0.0.1 that behave and misbehave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshwright import probe
from meshwright.errors import Unreachable
from meshwright.project import Project
from meshwright.target import Local


@pytest.fixture
def target(tmp_path: Path) -> Local:
    return Local(Project(tmp_path))


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that hands its first connection to `answer`; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        try:
            stream, _ = listener.accept()
        except OSError:
            return
        with stream:
            try:
                answer(stream)
            except OSError:
                return  # the client has gone, as some of these tests want

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listener.close()
        thread.join(5)


def says(reply: bytes, seen: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def answer(stream: socket.socket) -> None:
        asked = stream.recv(65536)
        if seen is not None:
            seen.append(asked)
        stream.sendall(reply)

    return answer


def test_status_and_text(target: Local) -> None:
    seen: list[bytes] = []
    reply = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhell\xff"
    with server(says(reply, seen)) as url:
        page = probe.get(target, f"{url}/productpage?u=1")
    assert (page.status, page.text) == (503, "hell\N{REPLACEMENT CHARACTER}")
    assert seen[0].startswith(b"GET /productpage?u=1 HTTP/1.1\r\n")
    assert f"Host: {url.removeprefix('http://')}\r\n".encode() in seen[0]


def test_another_host_header(target: Local) -> None:
    seen: list[bytes] = []
    with server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seen)) as url:
        probe.get(target, url, host="bookinfo.example.com")
    assert b"Host: bookinfo.example.com\r\n" in seen[0]
    assert seen[0].count(b"Host:") == 1


def test_a_redirect_is_not_followed(target: Local) -> None:
    with server(says(b"HTTP/1.1 301 Moved\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")) as url:
        assert probe.get(target, url).status == 301


def test_nobody_there(target: Local) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached"):
        probe.get(target, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_what_is_no_whole_http_answer(target: Local, reply: bytes) -> None:
    with server(says(reply)) as url, pytest.raises(Unreachable, match="gives no answer"):
        probe.get(target, url)


def test_a_server_that_says_nothing_is_given_up_in_time(target: Local) -> None:
    done = threading.Event()
    start = time.monotonic()
    with server(lambda _stream: done.wait(10) and None) as url:
        try:
            with pytest.raises(Unreachable, match=r"gives no answer"):
                probe.get(target, url, timeout=0.3)
        finally:
            done.set()
    assert time.monotonic() - start < 3


def test_a_server_that_trickles_is_given_up_in_time(target: Local) -> None:
    def trickle(stream: socket.socket) -> None:
        stream.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 400:
            stream.sendall(bytes([byte]))
            time.sleep(0.02)

    start = time.monotonic()
    with server(trickle) as url, pytest.raises(Unreachable, match=r"within 0.5 s"):
        probe.get(target, url, timeout=0.5)
    assert time.monotonic() - start < 3


def test_an_endless_body_is_cut(target: Local) -> None:
    def pour(stream: socket.socket) -> None:
        stream.recv(65536)
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            stream.sendall(b"x" * 65536)

    with server(pour) as url:
        assert len(probe.get(target, url).text) == 1_000_000
