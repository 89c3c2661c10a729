"""The lock of a host behind SSH: taken there, and gone with the connection, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd

from meshwright import lock
from meshwright.errors import MeshwrightError, Refused
from meshwright.project import Project
from meshwright.ssh import SshTarget, connect
from meshwright.target import Local

pytestmark = pytest.mark.skipif(
    sshd.BINARY is None and not os.environ.get("CI"), reason="needs an SSH server (the package openssh-server)"
)

HOLD = """
import sys, time
from pathlib import Path
from meshwright.environment.model import Host
from meshwright.project import Project
from meshwright.ssh import connect
target = connect(Host.model_validate_json(sys.argv[1]), Project(Path(sys.argv[2])))
held = target.lock("mw-lab", "lab: site", "another run")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the user of that host."""
    return tmp_path_factory.mktemp("state there")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, there: Path) -> Iterator[sshd.Sshd]:
    made = sshd.start(tmp_path_factory.mktemp("sshd"), f'SetEnv "XDG_STATE_HOME={there}"')
    yield made
    made.stop()


@pytest.fixture
def target(server: sshd.Sshd, tmp_path: Path) -> Iterator[SshTarget]:
    target = connect(server.host(), Project(tmp_path))
    yield target
    target.close()


def taken(target: SshTarget, run: str = "") -> lock.Lock:
    """The lock, as soon as it is free; the host needs a moment to see that a connection has ended."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return target.lock("mw-lab", "mine", run)
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_it_is_taken_on_the_host_and_not_here(target: SshTarget, there: Path) -> None:
    held = taken(target)
    note = json.loads((there / "meshwright" / "locks" / "mw-lab.lock").read_text())
    assert (note["purpose"], note["pid"]) == ("mine", os.getpid())
    assert (there / "meshwright" / "locks" / "mw-lab.lock").stat().st_mode & 0o777 == 0o600
    assert not (lock.folder() / "mw-lab.lock").exists()
    held.release()


def test_another_run_is_refused_and_told_by_whom(server: sshd.Sshd, target: SshTarget, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, server.host().model_dump_json(), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Refused) as caught:
            target.lock("mw-lab", "mine", "this run")
        assert re.fullmatch(
            rf"another run is changing mw-lab: lab: site, process {process.pid} on \S+, since \d\d:\d\d:\d\d",
            caught.value.message,
        )
        target.lock("mw-dev", "mine", "this run").release()
        process.send_signal(signal.SIGKILL)
        process.wait()
        taken(target).release()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_ends_with_the_connection(server: sshd.Sshd, target: SshTarget, tmp_path: Path) -> None:
    other = connect(server.host(), Project(tmp_path))
    taken(other)
    other.close()
    taken(target).release()


def test_who_works_on_the_host_itself_is_kept_apart_too(
    target: SshTarget, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(there))
    far = taken(target, "one run")
    with pytest.raises(Refused, match="another run is changing mw-lab: mine, process"):
        Local(Project(tmp_path)).lock("mw-lab", "here", "another run")
    near = Local(Project(tmp_path)).lock("mw-lab", "here", "one run")
    assert near.where() == far.where(), "the same lock by two ways"
    far.release()
    deadline = time.monotonic() + 10
    while True:
        try:
            near = lock.acquire("mw-lab", "here", run="third")
            break
        except Refused:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with pytest.raises(Refused, match="mw-lab: here, process"):
        target.lock("mw-lab", "mine", "one run")
    target.lock("mw-lab", "mine", "third").release()
    with pytest.raises(Refused):
        target.lock("mw-lab", "mine", "one run")
    near.release()


def test_by_perl_where_there_is_no_flock(tmp_path: Path) -> None:
    """The script itself, with a PATH that has no flock."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "mkdir", "perl", "readlink", "tr", "uname"):
        found = next(Path(f) / name for f in os.environ["PATH"].split(":") if (Path(f) / name).exists())
        (tools / name).symlink_to(found)
    environ = {"PATH": str(tools), "XDG_STATE_HOME": str(tmp_path)}

    def start() -> subprocess.Popen[str]:
        command = [str(tools / "sh"), "-c", lock.REMOTE, "sh", "mw-lab", lock.note("perl")]
        return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    first, second = start(), None
    try:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("held\t")
        second = start()
        out, _ = second.communicate(timeout=10)
        assert out.startswith("busy\t")
        assert '"purpose": "perl"' in out
        first.communicate(timeout=10)
        (tools / "perl").unlink()
        third = start()
        out, _ = third.communicate(timeout=10)
        assert out.startswith("failed\t")
        assert "it has neither flock (util-linux) nor perl" in out
    finally:
        for process in filter(None, (first, second)):
            process.kill()


def test_a_place_that_cannot_be_written_is_a_sentence(target: SshTarget, there: Path) -> None:
    taken(target).release()
    locks = there / "meshwright" / "locks"
    locks.rename(there / "away")
    locks.write_text("")
    try:
        with pytest.raises(
            MeshwrightError, match=r"^the lock mw-lab cannot be taken on 127.0.0.1: .* cannot be opened$"
        ):
            target.lock("mw-lab", "mine", "")
    finally:
        locks.unlink()
        (there / "away").rename(locks)
