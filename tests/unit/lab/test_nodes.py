from __future__ import annotations

import pytest
from fakes import environment

from meshwright import cluster, engine, k3d
from meshwright.errors import MeshwrightError
from meshwright.lab import images, nodes, store

FOUND = engine.Found("lab", {"DOCKER_HOST": "unix:///run/x/docker.sock"}, "because")
NAMES = ("k3d-x-server-0", "k3d-x-agent-0")
MARK = "/var/lib/rancher/k3s/agent/bundles/tests.key"


@pytest.fixture
def up(monkeypatch):
    seen = k3d.Seen("x", tuple(k3d.Node(name, "server", True, {}) for name in NAMES), {})
    monkeypatch.setattr(cluster, "view", lambda *_: cluster.View(cluster.State.UP, seen))
    monkeypatch.setattr(engine, "find", lambda *_: FOUND)


@pytest.fixture
def packed(host):
    archive = images.archive(host, "tests")
    made = host.project.root / "made"
    made.write_bytes(b"archive")
    store.publish(made, archive, images.key(host, "tests"))
    return archive


@pytest.fixture
def containers(host, packed):
    """The nodes: what they were given last."""
    marks: dict[str, str] = {}

    def read(command, _input):
        assert command[:2] == ["docker", "exec"]
        assert command[3:] == ["cat", MARK]
        return marks.get(command[2], "")

    def take(command, _input):
        assert "ctr images import /var/lib/rancher/k3s/agent/images/bundles/tests.tar " in command[-1]
        marks[command[2]] = packed.with_name("tests.tar.key").read_text()
        return ""

    for name in NAMES:
        host.answer(f"docker exec {name} cat", read)
        host.answer(f"docker exec {name} sh", take)
    return marks


@pytest.mark.usefixtures("up")
def test_every_node_is_given_the_archive_once(host, env, containers):
    step = nodes.load("tests")
    plan = step.plan(host, env)
    assert [c.name for c in plan.changes] == [f"tests in {name}" for name in NAMES]
    step.apply(host, env, plan)
    assert set(containers) == set(NAMES)
    assert step.plan(host, env).empty


@pytest.mark.usefixtures("up")
def test_a_node_that_was_made_anew_and_one_with_an_older_archive_are_given_it_again(host, env, containers):
    step = nodes.load("tests")
    step.apply(host, env, step.plan(host, env))
    containers[NAMES[0]] = "sha256:0 7"
    del containers[NAMES[1]]
    assert len(step.plan(host, env).changes) == 2


@pytest.mark.usefixtures("up")
def test_what_was_not_made_yet_is_known_after_it(host, env):
    plan = nodes.load("tests").plan(host, env)
    assert plan.after == "tests images"


def test_without_a_cluster_it_is_known_after_it(host, env, packed, monkeypatch):
    monkeypatch.setattr(cluster, "view", lambda *_: cluster.View(cluster.State.ABSENT))
    assert nodes.load("tests").plan(host, env).after == "cluster"


@pytest.mark.usefixtures("up", "packed")
def test_an_archive_that_a_node_does_not_take_is_one_sentence(host, env):
    host.answer("docker exec cat", (1, "no such file"))
    host.answer("docker exec sh", (1, "ctr: image is broken"))
    step = nodes.load("tests")
    plan = step.plan(host, env)
    with pytest.raises(MeshwrightError, match="k3d-x-server-0 does not take the images of the tests: ctr: image is br"):
        step.apply(host, env, plan)


def test_images_of_a_registry_are_not_ours_to_give(host):
    assert nodes.load("tests").plan(host, environment()).empty
