from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import environment, existing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright.errors import MeshwrightError
from meshwright.lab import store
from meshwright.plan import Action
from meshwright.target import Platform


class Killed(BaseException):
    """The process ends here."""


def made(folder: Path, content: bytes = b"new") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "made").write_bytes(content)
    return folder / "made"


def test_an_output_is_current_only_with_its_key(tmp_path):
    output = tmp_path / "out" / "kube"
    assert not store.current(output, "a")
    store.publish(made(tmp_path / "w"), output, "a")
    assert store.current(output, "a")
    assert not store.current(output, "b")
    assert output.read_bytes() == b"new"


def test_an_output_that_lost_its_content_is_not_current(tmp_path):
    output = tmp_path / "kube"
    store.publish(made(tmp_path / "w"), output, "a")
    output.write_bytes(b"")
    assert not store.current(output, "a")
    output.unlink()
    assert not store.current(output, "a")


@pytest.mark.parametrize("instant", range(3))
def test_killed_at_any_instant_an_old_output_never_passes_for_the_new_one(tmp_path, monkeypatch, instant):
    output = tmp_path / "kube"
    store.publish(made(tmp_path / "w", b"old"), output, "a")
    steps = iter(range(3))

    def count(real):
        def step(*arguments, **options):
            if next(steps) == instant:
                raise Killed
            return real(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", count(Path.unlink))
        patched.setattr(Path, "replace", count(Path.replace))
        patched.setattr(store, "write_atomically", count(store.write_atomically))
        with pytest.raises(Killed):
            store.publish(made(tmp_path / "w"), output, "b")
    assert not store.current(output, "b")
    assert store.current(output, "a") == (instant == 0)
    store.publish(made(tmp_path / "w"), output, "b")
    assert store.current(output, "b")


def test_what_an_output_needs(tmp_path):
    output = tmp_path / "kube"
    missing = store.change("Program", "kube", output, "a")
    assert missing is not None
    assert missing.action is Action.ADD
    store.publish(made(tmp_path / "w"), output, "a")
    assert store.change("Program", "kube", output, "a") is None
    old = store.change("Program", "kube", output, "b")
    assert old is not None
    assert (old.action, old.why) == (Action.CHANGE, "what it is made from has changed")


names = st.text("abcé ._-", min_size=1, max_size=8).filter(lambda name: name.strip(".") == name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=4), data=st.data())
def test_the_digest_of_a_folder_changes_with_what_matters_only(tmp_path_factory, files, data):
    folder = tmp_path_factory.mktemp("tree")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = store.tree(folder)
    one = folder / data.draw(st.sampled_from(sorted(files)))

    os.utime(one, (0, 0))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert store.tree(folder) == before

    one.chmod(0o755)
    executable = store.tree(folder)
    one.chmod(0o644)
    one.write_bytes(one.read_bytes() + b"!")
    changed = store.tree(folder)
    one.rename(folder / "another name")
    assert len({before, executable, changed, store.tree(folder)}) == 4


def test_a_missing_file_has_a_digest_too(tmp_path):
    assert store.tree(tmp_path / "nothing") == store.tree()


def test_a_work_folder_is_empty_and_goes_away(host):
    with store.work(host, "kube") as work:
        (work / "half").write_bytes(b"x")
    assert not work.exists()
    with pytest.raises(ZeroDivisionError), store.work(host, "kube") as work:
        (work / "half").write_text(str(1 / len(list(work.iterdir()))))
    assert not work.exists()


def test_folders_of_killed_runs_go_and_those_of_living_ones_stay(host):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    base = store.folder(host) / "work"
    left, living = base / f"rootfs.{dead.pid}", base / f"kube.{os.getppid()}"
    for folder in (left, living):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"x")
    with store.work(host, "envoy"):
        assert not left.exists()
    assert (living / "half").exists()


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("meshwright.lab/stand-in/k3s:1.35.4", True),
        ("docker.io/rancher/k3s:v1.35.4-k3s1", False),
        ("meshwright.labs.example/k3s:1", False),
    ],
)
def test_who_needs_the_lab(image, wanted):
    assert store.needed(environment(cluster={"kind": "k3d", "image": image})) is wanted


def test_an_existing_cluster_never_needs_the_lab():
    assert not store.needed(existing())


def test_the_lab_is_for_linux_and_for_this_machine(host):
    host.platform = Platform("darwin", "arm64")
    with pytest.raises(MeshwrightError, match="cannot be built on @local"):
        store.folder(host)
    host.platform, host.local, host.name = Platform("linux", "amd64"), False, "gateway-1"
    with pytest.raises(MeshwrightError, match="cannot be built on gateway-1"):
        store.folder(host)


def test_a_project_without_a_lab_folder_says_so(host):
    (host.project.root / "lab").rename(host.project.root / "elsewhere")
    with pytest.raises(MeshwrightError, match="has no lab/ folder"):
        store.sources(host)
