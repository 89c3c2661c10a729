from __future__ import annotations

import getpass
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd

from meshwright.environment.model import Host
from meshwright.errors import BadInput, Exit, Forbidden, Refused, Unreachable
from meshwright.ssh_client import open_client

pytestmark = pytest.mark.skipif(
    sshd.BINARY is None and not os.environ.get("CI"), reason="needs an SSH server (the package openssh-server)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    made = sshd.start(tmp_path_factory.mktemp("sshd"))
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the person who runs the test: no agent, no keys, no ssh_config."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ssh_config"
    path.write_text(text)
    return path


def test_connects(server: sshd.Sshd) -> None:
    client = open_client(server.host())
    transport = client.get_transport()
    assert transport is not None
    assert transport.is_authenticated()
    client.close()


def test_an_unknown_key_names_the_line_that_makes_it_known(server: sshd.Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known hosts"
    known.write_text("")
    host = server.host(ssh_known_hosts_file=str(known))
    with pytest.raises(Refused, match=r"the host key of 127\.0\.0\.1 is not known: ssh-ed25519 SHA256:") as error:
        open_client(host)
    assert error.value.exit_code is Exit.REFUSED
    assert known.read_text() == ""
    line = error.value.hint.partition("then run: ")[2]
    subprocess.run(["sh", "-c", line], check=True)
    open_client(host).close()


def test_another_key_than_the_known_one(server: sshd.Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {sshd.make_key(tmp_path / 'other')}\n")
    with pytest.raises(Refused, match=r"127\.0\.0\.1 shows another host key than the known one"):
        open_client(server.host(ssh_known_hosts_file=str(known)))


def test_files_that_cannot_be_used(server: sshd.Sshd, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ssh_known_hosts_file .*/none is not a file"):
        open_client(server.host(ssh_known_hosts_file=str(tmp_path / "none")))
    with pytest.raises(BadInput, match=r"ssh_key .*/none is not a file"):
        open_client(server.host(ssh_key=str(tmp_path / "none")))
    with pytest.raises(BadInput, match=r"ssh_config cannot be used"):
        open_client(server.host(), config(tmp_path, "Match nonsense\n"))
    (tmp_path / "garbage").write_text("this is no key")
    with pytest.raises(BadInput, match=r"the private key for 127\.0\.0\.1 cannot be used: not a valid"):
        open_client(server.host(ssh_key=str(tmp_path / "garbage")))


def test_a_key_that_is_not_let_in(server: sshd.Sshd, tmp_path: Path) -> None:
    sshd.make_key(tmp_path / "stranger")
    with pytest.raises(Forbidden, match=rf"127\.0\.0\.1 at 127\.0\.0\.1:{server.port} does not let us in"):
        open_client(server.host(ssh_key=str(tmp_path / "stranger")))


def test_a_key_with_a_passphrase(server: sshd.Sshd, tmp_path: Path) -> None:
    sshd.make_key(tmp_path / "locked", b"secret")
    with pytest.raises(Forbidden, match="has a passphrase") as error:
        open_client(server.host(ssh_key=str(tmp_path / "locked")))
    assert "ssh-add" in error.value.hint


def test_unreachable(server: sshd.Sshd) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"cannot be reached by SSH: .*"):
            open_client(server.host(ssh_port=free.getsockname()[1]))
    with pytest.raises(Unreachable, match=r"no\.such\.host\.invalid.* cannot be reached by SSH"):
        open_client(server.host(name="no.such.host.invalid"))


def test_something_that_is_no_ssh_server(server: sshd.Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshwright.ssh_client._TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unreachable, match="by SSH"):
        open_client(server.host(ssh_port=silent.getsockname()[1]))


def block(server: sshd.Sshd, name: str, *more: str) -> str:
    """A Host block of ssh_config with all that is needed to reach `server`."""
    lines = [
        f"Host {name}",
        "HostName 127.0.0.1",
        f"Port {server.port}",
        f"User {getpass.getuser()}",
        f"IdentityFile {server.folder}/id",
        f"UserKnownHostsFile {server.known_hosts}",
        *more,
    ]
    return "\n  ".join(lines) + "\n"


def test_everything_may_come_from_ssh_config(server: sshd.Sshd, tmp_path: Path) -> None:
    open_client(Host(name="shop"), config(tmp_path, block(server, "shop"))).close()


@pytest.fixture
def inner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    made = sshd.start(tmp_path_factory.mktemp("inner"))
    yield made
    made.stop()


@pytest.mark.parametrize("jump", ["bastion", "first,bastion"])
def test_by_way_of_bastions(server: sshd.Sshd, inner: sshd.Sshd, tmp_path: Path, jump: str) -> None:
    text = block(server, "bastion") + block(server, "first") + block(inner, "shop", f"ProxyJump {jump}")
    client = open_client(Host(name="shop"), config(tmp_path, text))
    transport = client.get_transport()
    assert transport is not None
    assert transport.get_remote_server_key().get_base64() in inner.host_key
    client.close()


def test_a_bastion_is_checked_as_strictly(server: sshd.Sshd, inner: sshd.Sshd, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    text = block(server, "bastion").replace(str(server.known_hosts), str(empty))
    text += block(inner, "shop", "ProxyJump bastion")
    with pytest.raises(Refused, match="the host key of bastion is not known"):
        open_client(Host(name="shop"), config(tmp_path, text))


def test_a_host_that_the_bastion_cannot_reach(server: sshd.Sshd, inner: sshd.Sshd, tmp_path: Path) -> None:
    inner.stop()
    text = block(server, "bastion") + block(inner, "shop", "ProxyJump bastion")
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{inner.port} cannot be reached from bastion"):
        open_client(Host(name="shop"), config(tmp_path, text))


def test_bastions_in_a_circle(server: sshd.Sshd, tmp_path: Path) -> None:
    text = block(server, "a", "ProxyJump b") + block(server, "b", "ProxyJump a")
    with pytest.raises(BadInput, match="ProxyJump goes round in circles"):
        open_client(Host(name="a"), config(tmp_path, text))


def test_by_way_of_a_command(server: sshd.Sshd, tmp_path: Path) -> None:
    pump = tmp_path / "pump.py"
    pump.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "def out():\n"
        "    while data := s.recv(65536): os.write(1, data)\n"
        "threading.Thread(target=out, daemon=True).start()\n"
        "while data := os.read(0, 65536): s.sendall(data)\n"
    )
    command = shlex.join([sys.executable, str(pump), str(server.port)])
    open_client(Host(name="shop"), config(tmp_path, block(server, "shop", f"ProxyCommand {command}"))).close()
