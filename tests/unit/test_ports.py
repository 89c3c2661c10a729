"""Ports of this machine: kept, chosen, refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest
from fakes import FakeTarget

from meshwright import ports
from meshwright.errors import Exit, MeshwrightError, ProcessError, Refused
from meshwright.project import Project
from meshwright.target import Local


@pytest.fixture
def here(project: Project) -> Local:
    return Local(project)


@contextmanager
def listener(address: str = "127.0.0.1") -> Iterator[int]:
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[1]


def free() -> int:
    with listener() as port:
        return port


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_listener_takes_a_port(here: Local, address: str) -> None:
    with listener(address) as port:
        assert ports.taken(here, port)
    assert not ports.taken(here, port)


def test_a_connection_that_has_just_ended_does_not(here: Local) -> None:
    with listener() as port:
        pass
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        peer, _ = server.accept()
        peer.close()  # this end waits in TIME_WAIT, on the port
        client.close()
    assert not ports.taken(here, port)


def test_a_port_that_only_root_may_open_is_not_taken(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    # The engine opens it, not this user.
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    port = free()
    monkeypatch.setattr("meshwright.ports.socket.socket", Denied)
    assert not ports.taken(here, port)


def test_on_another_host_a_port_is_asked_for_by_connecting(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Local, "local", False)
    with listener() as port:
        assert ports.taken(here, port)
    assert not ports.taken(here, port)


def test_a_number_is_kept_and_auto_becomes_a_free_one(here: Local) -> None:
    wanted = free()
    chosen = ports.choose(here, {"api_port": "auto", "http2": wanted, "https": "auto"})
    assert list(chosen) != []
    assert chosen["http2"] == wanted
    assert len(set(chosen.values())) == 3
    assert all(20000 <= chosen[name] < 30000 for name in ("api_port", "https"))


@pytest.mark.skipif(not (which("ss") or which("lsof")), reason="neither ss nor lsof is here")
def test_a_number_that_is_taken_is_refused_by_the_name_of_its_holder(here: Local) -> None:
    with listener() as port, pytest.raises(Refused) as caught:
        ports.choose(here, {"http2": port})
    assert caught.value.message == f"port {port} (http2) is taken by {holder_name()} (process {os.getpid()})"
    assert caught.value.hint == "End that process, give another number, or write `auto`"
    assert caught.value.exit_code is Exit.REFUSED


def holder_name() -> str:
    return Path(f"/proc/{os.getpid()}/comm").read_text().strip()


def test_auto_never_gives_a_port_that_is_taken_or_chosen_already(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as busy:
        chosen, open_ = free(), free()
        monkeypatch.setattr("meshwright.ports.random.sample", lambda _range, _count: [busy, chosen, open_])
        assert ports.choose(here, {"a": chosen, "b": "auto"}) == {"a": chosen, "b": open_}


def test_no_free_port_is_a_sentence(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda _target, _port: True)
    with pytest.raises(MeshwrightError, match=r"^no free port between 20000 and 29999 on @local$"):
        ports.choose(here, {"a": "auto"})


SS = (
    'LISTEN 0 4096 127.0.0.1:8080 0.0.0.0:* users:(("docker-proxy",pid=17,fd=4))\n'
    'LISTEN 0 4096 [::1]:8080 [::]:* users:(("docker-proxy",pid=18,fd=4),("x",pid=19,fd=1))\n'
)


@pytest.mark.parametrize(
    ("ss", "lsof", "said"),
    [
        (SS, None, "docker-proxy (process 17), docker-proxy (process 18), x (process 19)"),
        ("LISTEN 0 4096 127.0.0.1:8080 0.0.0.0:*\n", "", "a process that this user may not see"),
        ("LISTEN 0 4096 127.0.0.1:8080 0.0.0.0:*\n", "p17\ncsshd\n", "sshd (process 17)"),
        (None, "p17\ncsshd\nf3\np18\ncnginx\n", "sshd (process 17), nginx (process 18)"),
        (None, None, "a process that this user may not see"),
        ("", "", "a process that this user may not see"),
    ],
)
def test_the_holder_in_the_words_of_the_host(ss: str | None, lsof: str | None, said: str, project: Project) -> None:
    host = FakeTarget(project)
    for tool, text in (("ss", ss), ("lsof", lsof)):
        host.answer(tool, text if text is not None else ProcessError(f"cannot start {tool}", command=[tool]))
    assert ports.holder(host, 8080) == said
