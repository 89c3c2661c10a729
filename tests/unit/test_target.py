"""This machine as a target: files, connections, and what steps share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshwright.errors import MeshwrightError, ProcessError, Unreachable
from meshwright.project import Project
from meshwright.target import Local, Platform, Shared, write_atomically


@pytest.fixture
def here(project: Project) -> Local:
    return Local(project)


@pytest.mark.parametrize(
    ("system", "machine", "said"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
    ],
)
def test_platforms_in_the_words_of_release_files(system: str, machine: str, said: str) -> None:
    assert str(Platform.of(system, machine)) == said


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64"), ("", "")])
def test_a_platform_that_no_tool_ships_for(system: str, machine: str) -> None:
    with pytest.raises(MeshwrightError) as caught:
        Platform.of(system, machine)
    assert caught.value.message == f"{system} on {machine} is not supported"
    assert "linux and darwin" in caught.value.hint


def test_an_absent_file_is_none_and_an_unreadable_one_is_an_error(here: Local, tmp_path: Path) -> None:
    assert here.read(str(tmp_path / "no" / "such")) is None
    with pytest.raises(MeshwrightError, match=r"^cannot read .*: Is a directory$"):
        here.read(str(tmp_path))
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(MeshwrightError, match=r"^cannot read .*: Not a directory$"):
        here.read(str(file / "below"))


def test_write_makes_parents_and_sets_the_mode_whatever_the_umask(here: Local, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    old = os.umask(0o077)
    try:
        here.write(str(path), b"one")
        assert path.stat().st_mode & 0o777 == 0o600
        here.write(str(path), b"two", mode=0o755)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o755
    assert here.read(str(path)) == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_write_that_cannot_be_done_is_a_sentence_and_leaves_nothing(here: Local, tmp_path: Path) -> None:
    folder = tmp_path / "around" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(MeshwrightError, match=r"^cannot write .*/folder: Is a directory$"):
        here.write(str(folder), b"x")
    assert list((tmp_path / "around").iterdir()) == [folder]


def test_remove_is_content_with_nothing_there(here: Local, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    here.remove(str(file))
    here.remove(str(file))
    assert not file.exists()
    with pytest.raises(MeshwrightError, match="cannot remove "):
        here.remove(str(tmp_path))


def test_a_file_is_old_or_new_and_whole_when_its_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    size = 1 << 20
    script = (
        "import sys; from pathlib import Path; from meshwright.target import write_atomically\n"
        "n = 0\n"
        "while True:\n"
        f"    write_atomically(Path(sys.argv[1]), bytes([n % 256]) * {size}); n += 1"
    )
    for wait in (0.0, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        data = path.read_bytes()
        assert len(data) == size
        assert len(set(data)) == 1


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_are_relative_to_the_project_and_tilde_is_home(here: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    assert here.expand("a/b") == f"{here.project.root}/a/b"
    assert here.expand("~/.kube/config") == "/home/op/.kube/config"
    assert here.expand("/etc/x") == "/etc/x"


def test_run_runs_and_its_errors_are_ours(here: Local) -> None:
    assert here.run(["sh", "-c", "echo $A; pwd"], env={"A": "1"}, cwd="/").text == "1\n/\n"
    with pytest.raises(ProcessError):
        here.run(["false"])


def test_connect_gives_a_stream_or_unreachable(here: Local) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with here.connect("127.0.0.1", port) as stream:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"hi")
                assert stream.recv(2) == b"hi"
    with pytest.raises(Unreachable) as caught:
        here.connect("127.0.0.1", port)
    assert caught.value.message == f"127.0.0.1:{port} cannot be reached from this machine: Connection refused"


def test_state_is_in_the_project(here: Local) -> None:
    assert here.state == f"{here.project.root}/.meshwright"
    assert here.local
    assert here.name == "@local"


def test_shared_things_are_made_once_and_closed_once() -> None:
    shared = Shared()
    made: list[str] = []
    closed: list[str] = []

    def make() -> str:
        made.append("x")
        return f"thing {len(made)}"

    assert shared.get("k", make, closed.append) == shared.get("k", make, closed.append) == "thing 1"
    shared.forget("k")
    shared.forget("unknown")
    assert shared.get("k", make, closed.append) == "thing 2"
    shared.close()
    shared.close()
    assert sorted(closed) == ["thing 1", "thing 2"]


def test_what_could_not_be_made_is_tried_again() -> None:
    shared = Shared()

    def fail() -> str:
        raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        shared.get("k", fail)
    assert shared.get("k", lambda: "now") == "now"


def test_a_target_closes_what_steps_shared(here: Local) -> None:
    closed: list[str] = []
    here.shared.get("session", lambda: "s", closed.append)
    here.close()
    assert closed == ["s"]


def test_looking_again_forgets_views_and_keeps_connections() -> None:
    shared = Shared()
    closed: list[str] = []
    shared.get("view", lambda: "before")
    shared.get("session", lambda: "open", closed.append)
    shared.look_again()
    assert shared.get("view", lambda: "after") == "after"
    assert shared.get("session", lambda: "another") == "open"
    shared.close()
    assert closed == ["open"]
