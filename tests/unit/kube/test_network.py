from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakeapi import FakeApi, Reply

from meshwright.errors import BadInput, Unreachable
from meshwright.kube import Session

Connect = Callable[..., Session]


class Proxy:
    """An HTTP (CONNECT) or SOCKS5 proxy that sends everything to `port`, and notes what it was asked for."""

    def __init__(self, port: int, kind: str, verdict: str = "200 OK") -> None:
        self.asked: list[bytes] = []
        self._to = port
        self._kind = kind
        self._verdict = verdict
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        if self._kind == "http":
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head)
            client.sendall(f"HTTP/1.1 {self._verdict}\r\n\r\n".encode())
            if not self._verdict.startswith("200"):
                client.close()
                return
        else:
            client.recv(4096)
            client.sendall(b"\x05\x00")
            self.asked.append(client.recv(4096))
            client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        server = socket.create_connection(("127.0.0.1", self._to))
        for a, b in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(api: FakeApi, kind: str, **more: Any) -> Iterator[Proxy]:
    made = Proxy(api.port, kind, **more)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def version(api: FakeApi) -> None:
    api.answers["GET", "/version"] = Reply(body={"gitVersion": "v1.35.4"})


def test_http_proxy_with_a_password(api: FakeApi, connect: Connect) -> None:
    with proxy(api, "http") as on_the_way:
        address = f"http://op:p%40ss@127.0.0.1:{on_the_way.port}"
        assert connect(server="https://api.example:6443", **{"proxy-url": address}).version() == "v1.35.4"
    assert on_the_way.asked[0].startswith(b"CONNECT api.example:6443 HTTP/1.1\r\n")
    assert b"Basic b3A6cEBzcw==" in on_the_way.asked[0]


def test_socks5_proxy_resolves_the_name(api: FakeApi, connect: Connect) -> None:
    with proxy(api, "socks5") as on_the_way:
        address = f"socks5://127.0.0.1:{on_the_way.port}"
        assert connect(server="https://api.example:6443", **{"proxy-url": address}).version() == "v1.35.4"
    assert b"api.example" in on_the_way.asked[0]


def test_a_proxy_that_refuses(api: FakeApi, connect: Connect) -> None:
    with proxy(api, "http", verdict="407 Proxy Authentication Required") as on_the_way:
        address = f"http://127.0.0.1:{on_the_way.port}"
        with pytest.raises(Unreachable, match=r"the proxy on the way to the API server .* answers: 407"):
            connect(server="https://api.example:6443", **{"proxy-url": address}).version()


@pytest.mark.parametrize("address", ["ftp://u:s3cret@proxy", "https://u:s3cret@proxy", "http://"])
def test_a_proxy_that_cannot_be_used(connect: Connect, address: str) -> None:
    with pytest.raises(BadInput, match="of context lab cannot be used") as error:
        connect(**{"proxy-url": address})
    assert "s3cret" not in str(error.value)


def test_the_proxy_of_this_machines_environment(
    api: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with proxy(api, "http") as on_the_way:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{on_the_way.port}")
        connect(server="https://api.example:6443").version()
        assert len(on_the_way.asked) == 1
        # Never for this machine itself, as in kubectl.
        connect().version()
        assert len(on_the_way.asked) == 1
        monkeypatch.setenv("NO_PROXY", ".example")
        with pytest.raises(Unreachable, match=r"api.example:6443 cannot be reached"):
            connect(server="https://api.example:6443").version()
