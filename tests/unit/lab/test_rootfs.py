from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import environment

from meshwright.errors import MeshwrightError, ProcessError
from meshwright.lab import rootfs, store


@pytest.fixture(autouse=True)
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def debootstrap(command, _input):
    """Stands for debootstrap: a file that is wanted and one that is not."""
    words = list(command)
    # The folder that is seen as /mnt comes right after the little shell script.
    root = Path(words[words.index("sh", words.index("-c")) + 1]) / "root"
    for name in ("bin/sh", "usr/share/doc/bash/README"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return ""


def tar(command, _input):
    """Stands for tar: writes the names that it was given."""
    [root] = [Path(word.partition("=")[2]) for word in command if word.startswith("--directory=")]
    [file] = [Path(word.partition("=")[2]) for word in command if word.startswith("--file=")]
    file.write_text("\n".join(sorted(str(one.relative_to(root)) for one in root.rglob("*"))))
    return ""


def test_made_once_without_what_nothing_reads(host, env):
    host.answer("debootstrap", debootstrap)
    host.answer("tar", tar)
    plan = rootfs.bootstrap.plan(host, env)
    assert [c.name for c in plan.changes] == ["Debian bookworm"]
    rootfs.bootstrap.apply(host, env, plan)
    names = rootfs.path(host).read_text().split("\n")
    assert "bin/sh" in names
    assert "usr/share/doc" not in names
    assert "var/lib/apt/lists/partial" in names
    assert rootfs.bootstrap.plan(host, env).empty
    rootfs.bootstrap.apply(host, env, rootfs.bootstrap.plan(host, env))
    assert len(host.commands) == 2


def test_debootstrap_never_sees_the_space_in_the_project_and_ends_with_us(host, env):
    host.answer("debootstrap", debootstrap)
    host.answer("tar", tar)
    rootfs.bootstrap.apply(host, env, rootfs.bootstrap.plan(host, env))
    words = list(host.commands[0])
    assert words[-1] == "/mnt/root"
    assert words[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert "--kill-child" in words
    assert " " in words[words.index("debootstrap") - 1]


def test_the_last_error_of_debootstrap_and_nothing_put_in_place(host, env):
    said = "I: Retrieving\nE: Failed getting release file\nmore"
    host.answer("debootstrap", ProcessError("unshare exited with 1", command=["unshare"], output=said))
    with pytest.raises(MeshwrightError, match="debootstrap failed: E: Failed getting release file"):
        rootfs.bootstrap.apply(host, env, rootfs.bootstrap.plan(host, env))
    assert not rootfs.path(host).exists()
    assert not (store.folder(host) / "work").exists()


def test_only_root_can(host, env, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    plan = rootfs.bootstrap.plan(host, env)
    with pytest.raises(MeshwrightError, match="needs root"):
        rootfs.bootstrap.apply(host, env, plan)


def test_an_environment_with_images_of_a_registry_needs_none(host):
    assert rootfs.bootstrap.plan(host, environment()).empty
