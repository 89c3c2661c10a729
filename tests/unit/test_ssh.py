from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd

from meshwright.errors import MeshwrightError, ProcessError, Unreachable
from meshwright.project import Project
from meshwright.ssh import SshTarget, connect
from meshwright.target import Local

pytestmark = pytest.mark.skipif(
    sshd.BINARY is None and not os.environ.get("CI"), reason="needs an SSH server (the package openssh-server)"
)
MEGABYTES = 3_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    made = sshd.start(tmp_path_factory.mktemp("sshd"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def target(server: sshd.Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshTarget]:
    target = connect(server.host(), Project(tmp_path_factory.mktemp("project")))
    yield target
    target.close()


@contextlib.contextmanager
def own(tmp_path: Path, *options: str) -> Iterator[tuple[sshd.Sshd, SshTarget]]:
    """A server and a target of the test's own, to be broken."""
    (tmp_path / "own").mkdir()
    server = sshd.start(tmp_path / "own", *options)
    target = connect(server.host(), Project(tmp_path))
    try:
        yield server, target
    finally:
        target.close()
        server.stop()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # it ended, and whoever must take note of that has not yet
        time.sleep(0.05)
    return False


# The host


def test_what_the_host_is(target: SshTarget) -> None:
    home = pwd.getpwnam(getpass.getuser()).pw_dir
    assert target.name == "127.0.0.1"
    assert not target.local
    assert target.platform == Local(target.project).platform
    assert target.state == f"{home}/.meshwright/{target.project.digest}"
    assert target.expand("~/.kube/config") == f"{home}/.kube/config"
    assert target.expand("~") == home
    assert target.expand("/etc/x") == "/etc/x"
    assert target.expand("a/../b") == f"{home}/b"


# Processes


def test_arguments_arrive_as_they_are(target: SshTarget) -> None:
    words = ["a b", "$HOME", "'", '"', "*", "", "\\", "ä", "a\nb", "; exit 3", "`id`", "-n"]
    done = target.run(["printf", "%s\\0", *words])
    assert done.stdout.decode().split("\0")[:-1] == words
    assert done.stderr == b""
    assert done.command == ("printf", "%s\\0", *words)


def test_both_streams_and_the_code(target: SshTarget) -> None:
    done = target.run(["sh", "-c", "echo out; echo err >&2; exit 7"], ok=None)
    assert (done.code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    with pytest.raises(ProcessError, match="sh exited with 7: err") as error:
        target.run(["sh", "-c", "echo err >&2; exit 7"], hint="look there")
    assert (error.value.code, error.value.hint) == (7, "look there")


def test_input_and_no_input(target: SshTarget) -> None:
    assert target.run(["cat"], input=b"a\0b\n").stdout == b"a\0b\n"
    assert target.run(["cat"], input=b"").stdout == b""
    assert target.run(["cat"], timeout=5).stdout == b""


def test_megabytes_in_every_direction_at_once(target: SshTarget) -> None:
    copy = (
        "import sys\n"
        "while data := sys.stdin.buffer.read1(65536):\n"
        "    sys.stdout.buffer.write(data); sys.stderr.buffer.write(data)\n"
    )
    data = os.urandom(MEGABYTES)
    done = target.run([sys.executable, "-c", copy], input=data, timeout=60)
    digest = hashlib.sha256(data).digest()
    assert hashlib.sha256(done.stdout).digest() == digest
    assert hashlib.sha256(done.stderr).digest() == digest


def test_input_that_is_not_read_does_not_matter(target: SshTarget) -> None:
    assert target.run(["true"], input=b"x" * MEGABYTES).code == 0


def test_environment_and_folder(target: SshTarget, tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    script = 'printf "%s|%s|%s" "$A" "$KUBECONFIG" "$PWD"'
    done = target.run(["sh", "-c", script], env={"A": "x y'z"}, cwd=str(folder))
    assert done.text == f"x y'z||{folder}"
    assert target.run(["sh", "-c", 'echo "$KUBECONFIG"'], env={"KUBECONFIG": "mine"}).text == "mine\n"


def test_what_cannot_be_started(target: SshTarget, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"cannot start no-such-tool on 127\.0\.0\.1: no such command") as error:
        target.run(["no-such-tool", "x"], ok=None)
    assert error.value.code is None
    with pytest.raises(ProcessError, match=r"cannot start true on .*/none: no such folder"):
        target.run(["true"], cwd=str(tmp_path / "none"))
    # 127 may also be what a command says itself.
    assert target.run(["sh", "-c", "exit 127"], ok=None).code == 127


@pytest.mark.parametrize("given", [None, b"x"])
def test_out_of_time_ends_the_whole_group(target: SshTarget, given: bytes | None) -> None:
    start = time.monotonic()
    with pytest.raises(ProcessError, match="did not end within 3 s on") as error:
        target.run(["sh", "-c", "echo $$; sleep 60 & echo $!; wait"], input=given, timeout=3)
    assert time.monotonic() - start < 20
    pids = [int(line) for line in error.value.output.split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_signal_is_no_success(target: SshTarget) -> None:
    assert target.run(["sh", "-c", "kill -9 $$"], ok=None).code == -1


def test_what_a_command_leaves_in_a_session_of_its_own_goes_on(target: SshTarget, tmp_path: Path) -> None:
    """A daemon (the lab's engine) is meant to outlive the command that starts it."""
    pid = tmp_path / "pid"
    target.run(["sh", "-c", f"setsid sh -c 'echo $$ > {pid}; exec sleep 60' >/dev/null 2>&1 </dev/null &"])
    deadline = time.monotonic() + 5
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    number = int(pid.read_text())
    time.sleep(0.3)
    os.kill(number, 0)
    os.kill(number, 9)


def test_what_a_profile_prints_is_not_the_commands_output(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.write_text('#!/bin/sh\necho hello; echo warning >&2\neval "$SSH_ORIGINAL_COMMAND"\n')
    noisy.chmod(0o755)
    with own(tmp_path, f"ForceCommand {noisy}") as (_, target):
        done = target.run(["sh", "-c", "echo out; echo err >&2"])
        assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_an_account_without_a_shell(tmp_path: Path) -> None:
    with own(tmp_path, "ForceCommand echo This account is not available") as (_, target):
        with pytest.raises(ProcessError, match=r"cannot start true on .*: This account is not available"):
            target.run(["true"])
        with pytest.raises(MeshwrightError):
            _ = target.platform


def test_many_at_once(target: SshTarget) -> None:
    codes = []
    threads = [
        threading.Thread(target=lambda n=n: codes.append(target.run(["sh", "-c", f"exit {n}"], ok=None).code))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(20))


def test_a_lost_connection_is_unreachable_and_ends_what_ran(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with own(tmp_path) as (_, target):
        transport = target._client.get_transport()
        assert transport is not None

        def cut() -> None:
            while not (note.exists() and note.read_text().strip()):
                time.sleep(0.05)
            assert isinstance(transport.sock, socket.socket)
            transport.sock.shutdown(socket.SHUT_RDWR)

        cutter = threading.Thread(target=cut)
        cutter.start()
        with pytest.raises(Unreachable, match=r"the connection to 127\.0\.0\.1 was lost while sh ran there"):
            target.run(["sh", "-c", f"echo $$ > {note}; sleep 60"], timeout=30)
        cutter.join()
        assert gone(int(note.read_text()))
        for act in (
            lambda: target.run(["true"]),
            lambda: target.read("/etc/hosts"),
            lambda: target.write(str(tmp_path / "x"), b""),
            lambda: target.connect("127.0.0.1", 1),
        ):
            with pytest.raises(Unreachable):
                act()


# Files


def test_files(target: SshTarget, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert target.read(str(path)) is None
    target.write(str(path), b"one", 0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o640)
    data = os.urandom(MEGABYTES)
    target.write(str(path), data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert target.read(str(path)) == data
    assert list(path.parent.iterdir()) == [path]
    target.remove(str(path))
    target.remove(str(path))
    assert not path.exists()


def test_files_that_cannot_be_used(target: SshTarget, tmp_path: Path) -> None:
    with pytest.raises(MeshwrightError, match=rf"cannot read {tmp_path} on 127\.0\.0\.1: Is a directory") as error:
        target.read(str(tmp_path))
    assert not isinstance(error.value, Unreachable)
    (tmp_path / "file").write_text("")
    with pytest.raises(MeshwrightError, match=f"cannot write {tmp_path}/file/x on"):
        target.write(f"{tmp_path}/file/x", b"")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    with pytest.raises(MeshwrightError, match=f"cannot write {tmp_path}/folder on"):
        target.write(f"{tmp_path}/folder", b"")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_file_is_the_old_one_or_the_new_one_at_every_instant(target: SshTarget, tmp_path: Path) -> None:
    path = tmp_path / "file"
    old, new = b"a" * MEGABYTES, b"b" * MEGABYTES
    path.write_bytes(old)
    writer = threading.Thread(target=target.write, args=(str(path), new))
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in (old, new)
    writer.join()
    assert path.read_bytes() == new


# Connections


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets, then ends when the other side does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=one, args=(client,), daemon=True).start()

        def one(client: socket.socket) -> None:
            with client:
                while data := client.recv(65536):
                    client.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_a_connection_carries_megabytes_both_ways(target: SshTarget, echo: int) -> None:
    data = os.urandom(MEGABYTES)
    with target.connect("127.0.0.1", echo) as stream:

        def send() -> None:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while part := stream.recv(65536):
            got += part
        sender.join()
    assert got == data


def test_connections_leave_nothing_behind(target: SshTarget, echo: int) -> None:
    before = threading.active_count()
    for _ in range(5):
        with target.connect("127.0.0.1", echo) as stream:
            stream.sendall(b"x")
            assert stream.recv(1) == b"x"
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 1


def test_a_port_that_nobody_listens_on(target: SshTarget) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(
            Unreachable, match=rf"127.0.0.1:{port} cannot be reached from 127\.0\.0\.1: nothing answers"
        ):
            target.connect("127.0.0.1", port)


def test_a_server_that_forwards_nothing(tmp_path: Path, echo: int) -> None:
    with own(tmp_path, "AllowTcpForwarding no") as (_, target):
        with pytest.raises(Unreachable, match="does not forward connections") as error:
            target.connect("127.0.0.1", echo)
        assert "AllowTcpForwarding" in error.value.hint


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from meshwright.environment.model import Host
from meshwright.project import Project
from meshwright.ssh import connect

target = connect(Host.model_validate_json(sys.argv[1]), Project(Path.cwd()))
data = b"x" * 1_000_000
assert target.run(["cat"], input=data).stdout == data
target.write(sys.argv[3], data)
assert target.read(sys.argv[3]) == data
with target.connect("127.0.0.1", int(sys.argv[2])) as stream:
    stream.sendall(b"hello")
    print(stream.recv(100))
target.close()
"""


def test_all_of_it_under_gevent_as_pyinfra_runs_it(server: sshd.Sshd, echo: int, tmp_path: Path) -> None:
    arguments = [server.host().model_dump_json(), str(echo), str(tmp_path / "file")]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "b'hello'\n"), done.stderr
