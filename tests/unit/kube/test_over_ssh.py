"""A cluster that only a host behind SSH can reach, with nothing installed there."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd
from fakeapi import Authority, FakeApi, Reply, ServerSocket, websocket, write_config

from meshwright.errors import Unreachable
from meshwright.kube import Session, open_session
from meshwright.kube.portforward import http_get
from meshwright.project import Project
from meshwright.ssh import connect

pytestmark = pytest.mark.skipif(
    sshd.BINARY is None and not os.environ.get("CI"), reason="needs an SSH server (the package openssh-server)"
)


@pytest.fixture
def session(api: FakeApi, authority: Authority, tmp_path: Path) -> Iterator[Session]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = sshd.start(folder)
    target = connect(server.host(), Project(tmp_path))
    yield open_session(target, str(write_config(tmp_path, api.url, authority.pem)), "lab")
    target.close()
    server.stop()


def test_calls_go_by_way_of_the_host(api: FakeApi, session: Session) -> None:
    def slow(_request: object) -> Reply:
        time.sleep(0.3)
        return Reply(body={"gitVersion": "v1.35.4"})

    api.answers["GET", "/version"] = slow
    start = time.monotonic()
    assert session.map(lambda _: session.version(), range(8)) == ["v1.35.4"] * 8
    assert time.monotonic() - start < 8 * 0.3
    assert session.get("v1", "Pod", "web", "shop") is None


def test_port_forward_goes_by_way_of_the_host(api: FakeApi, session: Session) -> None:
    def script(socket: ServerSocket) -> None:
        socket.send(0, struct.pack("<H", 15000))
        socket.receive()
        socket.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000)

    api.answers["GET", "/api/v1/namespaces/shop/pods/web-1/portforward"] = websocket("v4.channel.k8s.io", script)
    answers = session.map(lambda _: http_get(session, "shop", "web-1", 15000, "/config_dump"), range(16))
    assert {(status, len(body)) for status, body in answers} == {(200, 300_000)}


def test_an_api_server_that_is_down_is_named_with_the_host(api: FakeApi, session: Session) -> None:
    api.close()
    with pytest.raises(
        Unreachable, match=r"API server at https://127\.0\.0\.1:\d+ gives no answer: .* from 127\.0\.0\.1"
    ):
        session.version()
