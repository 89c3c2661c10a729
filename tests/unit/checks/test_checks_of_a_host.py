"""The checks of the host and its tools."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import environment, existing

from meshwright import checks, disk
from meshwright.check import State
from meshwright.errors import MeshwrightError, ProcessError, Unreachable
from meshwright.target import Platform

GIB = 2**20  # in df's blocks


def df(*rows: tuple[int, str]) -> str:
    lines = [f"/dev/x{i} 999 1 {available} 50% {mount}" for i, (available, mount) in enumerate(rows)]
    return "\n".join(["Filesystem 1024-blocks Used Available Capacity Mounted on", *lines])


# The engine


def test_an_engine_that_answers_says_which_it_is(world: Any) -> None:
    assert world.check("engine-answers").detail == "the engine at unix:///x answers"


def test_the_labs_own_engine_that_does_not_run(world: Any) -> None:
    world.engine = None
    result = world.check("engine-answers")
    assert (result.state, result.detail) == (State.FAILED, "the lab's own engine does not run")
    assert "`meshwright apply lab cluster`" in result.check.hint


def test_an_engine_that_gives_no_answer_is_not_known_to_be_down(world: Any) -> None:
    world.engine = Unreachable("the container engine at unix:///x does not answer", hint="Start it")
    result = world.check("engine-answers")
    assert (result.state, result.check.hint) == (State.NOT_VERIFIED, "Start it")


def test_existing_clusters_have_no_host_to_look_at(world: Any) -> None:
    world.env = existing()
    assert not {result.check.group for result in world.all().values()} & {"host"}


# The disk


def test_the_fullest_disk_counts(world: Any) -> None:
    world.host.answer("sh -c", df((9 * GIB, "/"), (1 * GIB, "/var")))
    result = world.check("disk-space")
    assert (result.state, result.detail) == (State.WARNING, "1.0 GiB free on /var, at least 2 are needed")


def test_a_mount_point_with_a_space(world: Any) -> None:
    world.host.answer("sh -c", df((9 * GIB, "/my disk")))
    assert world.check("disk-space").detail == "9.0 GiB free on /my disk"


def test_df_that_cannot_be_understood_is_no_free_disk(world: Any) -> None:
    world.host.answer("sh -c", "no such thing")
    assert world.check("disk-space").state is State.WARNING


def test_the_real_df_knows_folders_that_are_not_there_yet(tmp_path: Any) -> None:
    from meshwright.project import Project
    from meshwright.target import Local

    found = disk.free(Local(Project(tmp_path)), [str(tmp_path / "not" / "yet"), "/"])
    assert found
    assert all(mount.startswith("/") and free >= 0 for mount, free in found.items())


# inotify


@pytest.mark.parametrize(
    ("instances", "watches", "agents", "state"),
    [
        ("128", "65536", 0, State.OK),
        ("64", "8192", 0, State.OK),
        ("63", "8192", 0, State.WARNING),
        ("128", "8191", 0, State.WARNING),
        ("128", "65536", 2, State.WARNING),
        ("", "65536", 0, State.NOT_VERIFIED),
    ],
)
def test_inotify(
    world: Any, monkeypatch: pytest.MonkeyPatch, instances: str, watches: str, agents: int, state: State
) -> None:
    limits = {"max_user_instances": instances, "max_user_watches": watches}
    monkeypatch.setattr(world.host, "read", lambda path: limits[path.rpartition("/")[2]].encode() or None)
    monkeypatch.setattr(type(world.host), "platform", Platform("linux", "amd64"))
    world.env = environment(cluster={"kind": "k3d", "image": "docker.io/rancher/k3s:v1.35.4-k3s1", "agents": agents})
    assert world.check("inotify-limits").state is state


def test_macos_has_no_inotify(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.host), "platform", Platform("darwin", "arm64"))
    assert world.check("inotify-limits").detail == "darwin has no such limits"


# Tools


@pytest.mark.parametrize("tool", ["k3d", "kubectl", "istioctl"])
def test_a_tool_that_is_not_installed(world: Any, tool: str) -> None:
    next(world.host.project.bin.glob(f"{tool}-*/{tool}")).unlink()
    result = world.check(f"{tool}-version")
    assert result.state is State.FAILED
    assert "is not installed" in result.detail
    assert result.check.hint == "Run `meshwright apply lab tools`"


def test_a_tool_that_says_it_is_another_version(world: Any) -> None:
    world.host.answer("version --client", json.dumps({"clientVersion": {"gitVersion": "v1.34.0"}}))
    result = world.check("kubectl-version")
    assert (result.state, "says that it is 1.34.0, 1.35.4 is wanted" in result.detail) == (State.FAILED, True)


def test_a_tool_that_cannot_be_run(world: Any) -> None:
    world.host.answer("version --client", ProcessError("cannot start kubectl: Exec format error", command=["kubectl"]))
    result = world.check("kubectl-version")
    assert (result.state, result.detail) == (State.FAILED, "cannot start kubectl: Exec format error")


def test_existing_clusters_need_no_k3d(world: Any) -> None:
    world.env = existing()
    assert {a for a, r in world.all().items() if r.check.group == "tools"} == {"kubectl-version", "istioctl-version"}


def test_the_table_covers_host_and_tools() -> None:
    assert [each.anchor for each in checks.CHECKS if each.group in ("host", "tools")] == [
        "engine-answers",
        "disk-space",
        "inotify-limits",
        "k3d-version",
        "kubectl-version",
        "istioctl-version",
    ]


def test_df_raises_for_what_it_cannot_understand(host: Any) -> None:
    host.answer("sh -c", "")
    with pytest.raises(MeshwrightError, match="df printed no line"):
        disk.free(host, ["/"])
