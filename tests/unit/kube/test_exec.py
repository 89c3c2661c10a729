from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fakeapi import FakeApi, ServerSocket, status, websocket

from meshwright.errors import MeshwrightError, Unreachable
from meshwright.kube import ApiError, Session
from meshwright.kube.exec import run

Connect = Callable[..., Session]
PATH = "/api/v1/namespaces/shop/pods/web-1/exec"


def answer(api: FakeApi, *messages: tuple[int, bytes]) -> None:
    def script(socket: ServerSocket) -> None:
        for channel, data in messages:
            socket.send(channel, data)
        socket.close()

    api.answers["GET", PATH] = websocket("v5.channel.k8s.io", script)


def ended(**status: Any) -> tuple[int, bytes]:
    return 3, json.dumps({"kind": "Status", **status}).encode()


SUCCESS = ended(status="Success")
FAILURE = ended(
    status="Failure", reason="NonZeroExitCode", details={"causes": [{"reason": "ExitCode", "message": "7"}]}
)


def test_output_by_stream(api: FakeApi, connect: Connect) -> None:
    answer(api, (1, b""), (1, b"a"), (2, b"x"), (1, b"b"), SUCCESS)
    assert run(connect(), "shop", "web-1", "app", ["echo", "a b", "&"]) == (0, b"ab", b"x")
    assert parse_qsl(urlsplit(api.requests[-1].path).query) == [
        ("container", "app"),
        ("stdout", "true"),
        ("stderr", "true"),
        ("command", "echo"),
        ("command", "a b"),
        ("command", "&"),
    ]


def test_exit_code(api: FakeApi, connect: Connect) -> None:
    answer(api, (2, b"no"), FAILURE)
    assert run(connect(), "shop", "web-1", "app", ["false"]) == (7, b"", b"no")


def test_a_command_that_cannot_be_started(api: FakeApi, connect: Connect) -> None:
    answer(api, ended(status="Failure", reason="InternalError", message='exec: "no": not found'))
    with pytest.raises(MeshwrightError, match=r"no in shop/web-1, container app could not be run: exec") as error:
        run(connect(), "shop", "web-1", "app", ["no"])
    assert not isinstance(error.value, Unreachable)


def test_a_connection_that_ends_early_is_no_success(api: FakeApi, connect: Connect) -> None:
    answer(api, (1, b"half"))
    with pytest.raises(Unreachable, match="the connection ended before ls in shop/web-1"):
        run(connect(), "shop", "web-1", "app", ["ls"])


def test_the_server_says_no(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", PATH] = status(400, "BadRequest", "container app is not valid for pod web-1")
    with pytest.raises(ApiError, match="container app is not valid"):
        run(connect(), "shop", "web-1", "app", ["ls"])


def test_a_command_is_never_sent_twice(api: FakeApi, connect: Connect) -> None:
    session = connect()
    session.get("v1", "Pod", "web-1", "shop")

    def die(handler: Any) -> None:
        handler.connection.close()

    reply = status(500, "x", "x")
    reply.take_over = die
    api.answers["GET", PATH] = reply
    with pytest.raises(Unreachable):
        run(session, "shop", "web-1", "app", ["ls"])
    assert len([path for path in api.paths() if path.startswith(PATH)]) == 1
