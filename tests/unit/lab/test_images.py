from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes import environment

from meshwright import engine
from meshwright.errors import BadInput, MeshwrightError, ProcessError, Unreachable
from meshwright.lab import envoy, images, programs, recipes, rootfs, store
from meshwright.plan import Action
from meshwright.tools import golang

LABEL = "lab.meshwright.key"
FOUND = engine.Found("lab", {"DOCKER_HOST": "unix:///run/x/docker.sock"}, "because")


class Engine:
    """Stands for docker: images are names with labels, an archive is the list of names in it."""

    def __init__(self, host):
        self.images: dict[str, dict[str, str]] = {}
        self.built: list[str] = []
        host.answer("docker image inspect", self.inspect)
        host.answer("docker import", self.load)
        host.answer("docker build", self.build)
        host.answer("docker save", self.save)
        host.answer("docker image prune")

    def inspect(self, command, _input):
        names = command[3:]
        found = [
            {"RepoTags": [name], "Config": {"Labels": self.images[name] or None}}
            for name in names
            if name in self.images
        ]
        return json.dumps(found)

    def load(self, command, _input):
        name, archive = command[-1], Path(command[-2])
        assert archive.is_file()
        self._made(name, command[command.index("--change") + 1].removeprefix("LABEL "))
        return ""

    def build(self, command, _input):
        context, name = Path(command[-1]), command[command.index("--tag") + 1]
        recipe = Path(command[command.index("--file") + 1]).read_text()
        for line in re.findall(r"^COPY (.+)$", recipe, re.MULTILINE):
            assert all((context / word).exists() for word in line.split()[:-1]), name
        base = [word for word in command if word.startswith("--build-arg=BASE=")]
        assert all(word.rpartition("=")[2] in self.images for word in base)
        self._made(name, next(word for word in command if word.startswith("--label=")).removeprefix("--label="))
        return ""

    def _made(self, name, label):
        key, _, value = label.partition("=")
        self.images[name] = {key: value}
        self.built.append(name)

    def save(self, command, _input):
        names = command[command.index("--output") + 2 :]
        assert set(names) <= set(self.images)
        Path(command[command.index("--output") + 1]).write_text("\n".join(names))
        return ""


@pytest.fixture(autouse=True)
def made(host, monkeypatch, tmp_path):
    """All that images are made from is there, and the engine runs."""
    for path in (rootfs.path(host), envoy.path(host), *(programs.path(host, name) for name in programs.PROGRAMS)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    source = tmp_path / "module"
    (source / recipes.BOOTSTRAP).parent.mkdir(parents=True)
    (source / recipes.BOOTSTRAP).write_text("{}")
    monkeypatch.setattr(golang, "find", lambda: [golang.Go("/go", (1, 99, 0))])
    monkeypatch.setattr(golang, "source", lambda *_: source)
    monkeypatch.setattr(engine, "find", lambda *_: FOUND)
    monkeypatch.setattr(images.shutil, "which", lambda _: "/usr/bin/docker")


@pytest.fixture
def docker(host):
    return Engine(host)


def test_made_once_and_packed_for_the_nodes(host, env, docker):
    plan = images.build.plan(host, env)
    assert [c.action for c in plan.changes] == [Action.ADD] * 14
    images.build.apply(host, env, plan)
    assert docker.built[0] == recipes.BASE
    packed = images.archive(host).read_text().split("\n")
    assert "meshwright.lab/pause:1" in packed
    assert not any("stand-in/k3" in name for name in packed)
    again = images.build.plan(host, env)
    assert again.empty
    assert again.desired == plan.desired
    images.build.apply(host, env, again)
    assert len(docker.built) == 13


def test_every_command_talks_to_the_engine_that_was_found(host, env, docker):
    images.build.apply(host, env, images.build.plan(host, env))
    assert docker.built
    assert {environ.get("DOCKER_HOST") for environ in host.environs} == {FOUND.environ["DOCKER_HOST"]}


def test_a_changed_node_is_made_again_and_nothing_is_packed_again(host, env, docker):
    images.build.apply(host, env, images.build.plan(host, env))
    docker.built.clear()
    before = images.archive(host).stat().st_mtime_ns
    with (host.project.root / "lab/node/k3s").open("a") as file:
        file.write("\n")
    plan = images.build.plan(host, env)
    assert [(c.action, c.name) for c in plan.changes] == [(Action.CHANGE, "meshwright.lab/stand-in/k3s:1.35.4")]
    images.build.apply(host, env, plan)
    assert docker.built == ["meshwright.lab/stand-in/k3s:1.35.4"]
    assert images.archive(host).stat().st_mtime_ns == before


def test_a_changed_application_is_packed_again(host, env, docker):
    images.build.apply(host, env, images.build.plan(host, env))
    docker.built.clear()
    with (host.project.root / "lab/apps/bookinfo.py").open("a") as file:
        file.write("\n")
    images.build.apply(host, env, images.build.plan(host, env))
    assert len(docker.built) == 6
    assert images.build.plan(host, env).empty


def test_an_image_of_that_name_that_is_not_the_labs_is_replaced(host, env, docker):
    docker.images["meshwright.lab/pause:1"] = {}
    plan = images.build.plan(host, env)
    assert {c.action for c in plan.changes if c.name == "meshwright.lab/pause:1"} == {Action.CHANGE}


def test_an_archive_that_is_gone_is_packed_again(host, env, docker):
    images.build.apply(host, env, images.build.plan(host, env))
    docker.built.clear()
    images.archive(host).unlink()
    plan = images.build.plan(host, env)
    assert [c.kind for c in plan.changes] == ["Archive"]
    images.build.apply(host, env, plan)
    assert docker.built == []
    assert images.build.plan(host, env).empty


@pytest.mark.parametrize("instant", [1, 5, 12, 13])
def test_a_run_that_was_killed_goes_on_where_it_was(host, env, docker, monkeypatch, instant):
    real, calls = images.store.work, iter(range(1, 99))

    def killed(target, purpose):
        if next(calls) == instant:
            raise KeyboardInterrupt
        return real(target, purpose)

    with monkeypatch.context() as patched:
        patched.setattr(images.store, "work", killed)
        with pytest.raises(KeyboardInterrupt):
            images.build.apply(host, env, images.build.plan(host, env))
    done = len(docker.built)
    plan = images.build.plan(host, env)
    assert len(plan.changes) == 14 - done
    images.build.apply(host, env, plan)
    assert len(docker.built) == 13
    assert images.build.plan(host, env).empty


def test_missing_images_are_told_from_an_engine_in_trouble(host, env):
    host.answer("docker image inspect", (1, "Error response from daemon: No such image: a\nError: No such image: b"))
    assert len(images.build.plan(host, env).changes) == 14
    host.answer("docker image inspect", (1, "Cannot connect to the Docker daemon at unix:///run/x. Is it running?"))
    with pytest.raises(Unreachable, match="does not say which images it has: Cannot connect"):
        images.build.plan(host, env)


def test_before_the_engine_runs_it_is_known_only_that_images_come_after_it(host, env, monkeypatch):
    monkeypatch.setattr(engine, "find", lambda *_: None)
    plan = images.build.plan(host, env)
    assert plan.after == "engine"
    assert not plan.empty
    with pytest.raises(Unreachable, match="does not run"):
        images.build.apply(host, env, plan)


def test_before_docker_is_installed_too(host, env, monkeypatch):
    monkeypatch.setattr(images.shutil, "which", lambda _: None)
    assert images.build.plan(host, env).after == "engine"


@pytest.mark.parametrize("over", [{"version": "1.30.3"}, {"version": recipes.ISTIO.builds, "tag": "1.30.3"}])
def test_another_istio_than_the_labs_is_refused(host, over):
    wrong = environment(
        engine={"kind": "lab"},
        cluster={"kind": "k3d", "image": "meshwright.lab/stand-in/k3s:1.35.4"},
        istio={"hub": "meshwright.lab/istio", **over},
    )
    with pytest.raises(
        BadInput, match=r"lab wants Istio 1\.30\.3 from meshwright.lab/istio, the lab builds 1\.31-alpha"
    ):
        images.build.plan(host, wrong)


@pytest.mark.usefixtures("docker")
def test_a_recipe_that_fails_is_named_with_its_last_line(host, env):
    failed = ProcessError("docker exited with 1", command=["docker"], output="Step 3\nE: Unable to locate x\n\n")
    host.answer("docker build", failed)
    with pytest.raises(MeshwrightError, match="cannot be made: E: Unable to locate x") as raised:
        images.build.apply(host, env, images.build.plan(host, env))
    assert "node.Dockerfile" in raised.value.hint


def test_large_files_get_a_second_name_and_folders_a_copy(tmp_path):
    (tmp_path / "kube").write_bytes(b"x")
    (tmp_path / "node" / "__pycache__").mkdir(parents=True)
    (tmp_path / "node" / "k3s").write_bytes(b"y")
    images._put(tmp_path / "kube", tmp_path / "context")
    assert (tmp_path / "context").samefile(tmp_path / "kube")
    images._put(tmp_path / "node", tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["k3s"]


def test_on_another_disk_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(images.os, "link", refuse)
    (tmp_path / "kube").write_bytes(b"x")
    (tmp_path / "kube").chmod(0o755)
    images._put(tmp_path / "kube", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x"
    assert (tmp_path / "copy").stat().st_mode & 0o100


def test_an_environment_with_images_of_a_registry_needs_none(host):
    plan = images.build.plan(host, environment())
    assert plan.empty
    images.build.apply(host, environment(), plan)
    assert host.commands == []
    assert not store.folder(host).joinpath("images").exists()


def test_a_bundle_is_an_archive_of_its_own(host, env, docker):
    images.build.apply(host, env, images.build.plan(host, env))
    before = images.archive(host).read_text()
    assert "redis" not in before
    step = images.bundle("tests")
    plan = step.plan(host, env)
    assert plan.step == "tests images"
    assert {c.action for c in plan.changes} == {Action.ADD}
    step.apply(host, env, plan)
    assert "meshwright.lab/redis:7" in images.archive(host, "tests").read_text().split("\n")
    assert step.plan(host, env).empty
    assert images.build.plan(host, env).empty
    assert images.archive(host).read_text() == before
    # A node that starts reads what lies in its folder, not what lies further down.
    assert images.archive(host, "tests").parent.parent == images.archive(host).parent
