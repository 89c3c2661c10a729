"""Connections pumped through channels of an SSH connection."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from meshwright import ssh_channel


class Ended:
    """A channel of a connection that has ended: reading gives nothing, and all else is what paramiko raises then."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def recv(self, _size: int) -> bytes:
        return b""

    def sendall(self, _data: bytes) -> None:
        raise EOFError

    def shutdown_write(self) -> None:
        raise EOFError

    def settimeout(self, _seconds: float) -> None: ...

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("sent", [b"", b"late"])
def test_a_connection_that_ended_with_its_ssh_connection_makes_no_noise(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    ours, near = socket.socketpair()
    channel: Any = Ended()
    before = set(threading.enumerate())
    ssh_channel.pump(channel, near)
    pumping = set(threading.enumerate()) - before
    ours.sendall(sent)
    ours.close()
    for thread in pumping:
        thread.join(5)
        assert not thread.is_alive()
    assert raised == []
