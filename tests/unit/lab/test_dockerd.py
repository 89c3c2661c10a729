from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import HEADER

from meshwright.errors import MeshwrightError, Refused
from meshwright.lab import dockerd, store
from meshwright.lab.api import Answer, ping
from meshwright.project import Project
from meshwright.target import Local

# Stands for dockerd: it believes its pid file, listens, answers, and takes a moment to end.
_ENGINE = """{header}import os, pathlib, signal, socket, sys
given = dict(word.split("=", 1) for word in sys.argv[1:])
print("begin", *sys.argv[1:], flush=True)
if pathlib.Path({broken!r}).exists():
    print("level=info msg=a")
    sys.exit('level=fatal msg="no cgroup"')
pid = pathlib.Path(given["--pidfile"])
if pid.exists():
    sys.exit("failed to start daemon: pid file found")
pid.parent.mkdir(parents=True, exist_ok=True)
pid.write_text(str(os.getpid()))
server = socket.socket(socket.AF_UNIX)
server.bind(given["--host"].removeprefix("unix://"))
server.listen(8)
def end(*_):
    pid.unlink()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    connection, _ = server.accept()
    connection.recv(1024)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nOK")
    connection.close()
"""
_IPTABLES = """#!/bin/sh
# Stands for iptables: a file with the rules.
rules={rules}; touch "$rules"; action=$2; shift 2
case $action in
  -C) grep -qxF -- "$*" "$rules";;
  -I) echo "$*" >> "$rules";;
  -D) grep -vxF -- "$*" "$rules" > "$rules.new"; mv "$rules.new" "$rules";;
esac
"""


class World:
    """A project with a lab, and programs on PATH that stand for dockerd and iptables."""

    def __init__(self, own: Project, folder: Path) -> None:
        self.folder = folder
        self.target = Local(own)
        self.places = dockerd.places(own)
        self.rules = folder / "rules"
        self.broken = folder / "broken"
        self._program("dockerd", _ENGINE.format(header=HEADER, broken=str(self.broken)))
        self._program("iptables", _IPTABLES.format(rules=shlex.quote(str(self.rules))))

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def answers(self) -> bool:
        return ping(str(self.places.socket), 1) is Answer.YES


@pytest.fixture
def world(own: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Not in pytest's own folder: a socket's path has to fit into 108 bytes.
    with tempfile.TemporaryDirectory(prefix="mw") as name:
        folder = Path(name)
        monkeypatch.setattr(dockerd, "_RUN", folder / "run")
        monkeypatch.setattr(dockerd, "_DATA", folder / "var")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        made = World(own, folder)
        yield made
        if (pid := dockerd.process(made.places)) is not None:
            os.kill(pid, signal.SIGKILL)


def test_names_carry_the_digest_of_the_project_and_fit_into_a_socket(own):
    one = dockerd.places(own)
    other = dockerd.places(Project(own.root.parent / "another"))
    assert own.digest in str(one.socket)
    assert own.digest in str(one.data)
    assert {one.run, one.data}.isdisjoint({other.run, other.data})
    assert one.state.is_relative_to(own.state)
    assert len(f"{dockerd._RUN / own.digest}/exec/containerd/containerd-debug.sock") < 100
    assert one.host == f"unix://{one.socket}"


def test_started_once_detached_and_ended(world):
    dockerd.start(world.target)
    pid = dockerd.process(world.places)
    assert world.answers
    assert pid is not None
    assert os.getsid(pid) not in (os.getsid(0), 0)
    dockerd.start(world.target)
    assert dockerd.process(world.places) == pid
    assert world.places.log.read_text().count("begin") == 1
    assert dockerd.stop(world.target)
    assert dockerd.process(world.places) is None
    assert not world.answers
    assert not dockerd.stop(world.target)


def test_killed_it_is_started_again_over_what_it_left(world):
    dockerd.start(world.target)
    pid = dockerd.process(world.places)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while dockerd.process(world.places) is not None:
        time.sleep(0.01)
    assert (world.places.run / "docker.pid").exists()
    assert world.places.socket.exists()
    dockerd.start(world.target)
    assert world.answers


def test_a_process_that_has_the_number_of_a_dead_engine_is_not_touched(world):
    with subprocess.Popen(["sleep", "60"]) as other:
        world.places.run.mkdir(parents=True)
        (world.places.run / "docker.pid").write_text(str(other.pid))
        assert dockerd.process(world.places) is None
        assert not dockerd.stop(world.target)
        dockerd.start(world.target)
        assert dockerd.stop(world.target)
        assert other.poll() is None
        other.kill()


def test_the_engine_of_another_clone_is_not_touched(world, tmp_path):
    dockerd.start(world.target)
    other = Local(Project(tmp_path / "another clone"))
    assert not dockerd.stop(other)
    assert world.answers


def test_rules_come_once_with_the_engine_and_go_with_it(world):
    dockerd.start(world.target)
    dockerd.start(world.target)
    rules = world.rules.read_text().splitlines()
    assert len(rules) == len(set(rules)) == 4
    assert all(rule.startswith("FORWARD ") and world.target.project.digest in rule for rule in rules)
    dockerd.stop(world.target)
    assert world.rules.read_text() == ""


def test_why_it_does_not_come_up(world):
    world.broken.touch()
    with pytest.raises(MeshwrightError, match='does not come up: level=fatal msg="no cgroup"') as raised:
        dockerd.start(world.target)
    assert str(world.places.log) in raised.value.hint
    world.broken.unlink()
    dockerd.start(world.target)
    assert world.answers


def test_only_root_and_only_with_dockerd(world, monkeypatch):
    (world.folder / "bin" / "dockerd").unlink()
    monkeypatch.setenv("PATH", str(world.folder / "bin"))
    with pytest.raises(MeshwrightError, match="dockerd is not installed"):
        dockerd.start(world.target)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MeshwrightError, match="needs root"):
        dockerd.start(world.target)


def test_two_starts_at_once_are_refused(world):
    held = dockerd.lock.acquire(f"engine-{world.target.project.digest}", "another start", world.places.run)
    with pytest.raises(Refused, match="another start"):
        dockerd.start(world.target)
    held.release()
    dockerd.start(world.target)


@pytest.mark.parametrize("lacking", [True, False])
def test_the_wrapper_is_there_only_where_the_capability_is_not(world, monkeypatch, lacking):
    monkeypatch.setattr(dockerd, "lacks_sys_resource", lambda _: lacking)
    dockerd.start(world.target)
    settings = json.loads((world.places.state / "daemon.json").read_text())
    wrapper = world.places.state / "runc-without-sys-resource"
    assert wrapper.exists() is lacking
    assert settings.get("default-runtime") == ("reduced" if lacking else None)
    if lacking:
        assert settings["runtimes"]["reduced"]["path"] == str(wrapper)
        assert os.access(wrapper, os.X_OK)


def test_it_manages_no_packet_filter_and_no_bridge_of_its_own():
    settings = dockerd.configuration("")
    assert settings["iptables"] is False
    assert settings["ip-forward"] is False
    assert settings["bridge"] == "none"


def test_everything_is_removed(world):
    dockerd.start(world.target)
    (world.places.data / "docker" / "volumes").mkdir(parents=True)
    dockerd.remove(world.target)
    assert not world.places.data.exists()
    assert not world.places.run.exists()
    assert dockerd.process(world.places) is None
    dockerd.remove(world.target)


def test_what_a_killed_engine_left_running_is_ended_by_a_new_one(world):
    left = ["sh", "-c", "sleep 60; :", f"{world.places.run}/exec/containerd/containerd.sock"]
    with subprocess.Popen(left, start_new_session=True) as keeper:
        while not dockerd._left_over(world.places):
            time.sleep(0.01)
        assert dockerd.stop(world.target)
        assert world.places.log.read_text().count("begin") == 1
        os.killpg(keeper.pid, signal.SIGKILL)


def test_mounts_below_a_folder_are_found(monkeypatch, tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "30 22 0:25 / /run/meshwright/abc/exec/net rw - nsfs nsfs rw\n"
        "31 22 0:26 / /run/meshwright/abcd/x rw - nsfs nsfs rw\n"
        "32 22 0:27 / /run/meshwright/abc/a\\040b rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(dockerd, "_PROC", tmp_path)
    assert dockerd._mounts_below(Path("/run/meshwright/abc")) == [
        "/run/meshwright/abc/exec/net",
        "/run/meshwright/abc/a b",
    ]


@given(st.integers(0, 2**41 - 1))
def test_the_capability_is_read_from_the_bounding_set(mask):
    status = f"Name:\tx\nCapEff:\t{2**41 - 1:016x}\nCapBnd:\t{mask:016x}\n"
    assert dockerd.lacks_sys_resource(status) is (mask & 1 << 24 == 0)


def test_a_status_without_capabilities_lacks_nothing():
    assert not dockerd.lacks_sys_resource("Name:\tx\n")


def test_the_wrapper_comes_from_the_project(world):
    assert (store.sources(world.target) / "node" / "runc-without-sys-resource").is_file()
