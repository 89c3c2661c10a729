"""The lock between runs, held and asked for by real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshwright import lock
from meshwright.errors import Exit, MeshwrightError, Refused

HOLD = (
    "import sys, time; from pathlib import Path; from meshwright import lock\n"
    "held = lock.acquire(sys.argv[2], 'apply lab', Path(sys.argv[1]))\n"
    "print('held', flush=True); time.sleep(60)"
)
TRY = (
    "import sys; from pathlib import Path; from meshwright import lock; from meshwright.errors import Refused\n"
    "try:\n"
    "    lock.acquire(sys.argv[2], 'second', Path(sys.argv[1])); print('got it')\n"
    "except Refused as refused:\n"
    "    print(refused)"
)


@contextmanager
def holder(where: Path, name: str = "mw-lab") -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(where), name], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def attempt(where: Path, name: str = "mw-lab") -> str:
    return subprocess.run(
        [sys.executable, "-c", TRY, str(where), name], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_second_process_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with holder(tmp_path) as process, pytest.raises(Refused) as caught:
        lock.acquire("mw-lab", "apply lab", tmp_path)
    assert re.fullmatch(
        rf"another run is changing mw-lab: apply lab, process {process.pid} on \S+, since \d\d:\d\d:\d\d",
        caught.value.message,
    )
    assert caught.value.hint == "Wait until it has ended, then run this again"
    assert caught.value.exit_code is Exit.REFUSED


def test_a_refused_attempt_leaves_the_holders_name(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        attempt(tmp_path)
        assert f"process {process.pid} " in attempt(tmp_path)


def test_kill_9_lets_go(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert attempt(tmp_path).startswith("another run is changing mw-lab")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert attempt(tmp_path) == "got it"


def test_release_lets_go_and_leaves_the_file(tmp_path: Path) -> None:
    held = lock.acquire("mw-lab", "x", tmp_path)
    assert "another run is changing" in attempt(tmp_path)
    held.release()
    assert attempt(tmp_path) == "got it"
    assert (tmp_path / "mw-lab.lock").exists()


def test_another_cluster_is_another_lock(tmp_path: Path) -> None:
    with holder(tmp_path):
        lock.acquire("mw-dev", "x", tmp_path).release()


def test_a_child_of_the_holder_does_not_inherit_the_lock(tmp_path: Path) -> None:
    held = lock.acquire("mw-lab", "x", tmp_path)
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        held.release()
        assert attempt(tmp_path) == "got it"
    finally:
        child.kill()
        child.wait()


def test_a_shorter_note_replaces_a_longer_one(tmp_path: Path) -> None:
    lock.acquire("mw-lab", "a long purpose " * 20, tmp_path).release()
    held = lock.acquire("mw-lab", "short", tmp_path)
    assert f"mw-lab: short, process {os.getpid()} on" in attempt(tmp_path)
    held.release()


@pytest.mark.parametrize("note", ["", "not json", "{}", "[]", '{"since": "x", "purpose": 1}'])
def test_a_holder_that_has_not_written_its_name_yet(tmp_path: Path, note: str) -> None:
    held = lock.acquire("mw-lab", "x", tmp_path)
    (tmp_path / "mw-lab.lock").write_text(note)
    with pytest.raises(Refused, match="another run is changing mw-lab: it has just started"):
        lock.acquire("mw-lab", "y", tmp_path)
    held.release()


def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    lock.acquire("mw-lab", "x", tmp_path).release()
    assert (tmp_path / "mw-lab.lock").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MeshwrightError, match=r"^the lock .*/mw-lab.lock cannot be opened: Not a directory$"):
        lock.acquire("mw-lab", "x", tmp_path / "file" / "locks")


def test_locks_are_the_users_outside_any_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert lock.folder() == Path("/var/state/meshwright/locks")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/op")
    assert lock.folder() == Path("/home/op/.local/state/meshwright/locks")
