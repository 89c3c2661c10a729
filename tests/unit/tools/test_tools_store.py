from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from releases import BOOKINFO, Away, Here, World, environment, k3d

from meshwright.plan import Action
from meshwright.tools import istio_samples, step, store

Damage = Callable[[Path, Path], object]
"""Gets the tool's file and its plain name."""


ENV = environment(bookinfo=False)


@pytest.fixture
def installed(world: World, target: Here | Away) -> Here | Away:
    world.releases()
    world.install(target, ENV)
    assert step.plan(target, ENV, world.catalog).empty
    return target


def replace(path: Path, data: bytes) -> None:
    new = path.with_name("by hand")
    new.write_bytes(data)
    new.chmod(0o755)
    new.replace(path)


def rewrite_in_place(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\n#" + data[11:])


DAMAGES: dict[str, tuple[Damage, str]] = {
    "removed": (lambda tool, _: tool.unlink(), "it is not installed"),
    "truncated": (lambda tool, _: os.truncate(tool, 20), "its sha256 differs"),
    "emptied": (lambda tool, _: os.truncate(tool, 0), "its sha256 differs"),
    "replaced": (lambda tool, _: replace(tool, k3d("5.9.0") + b"# not ours"), "its sha256 differs"),
    "rewritten, same length": (lambda tool, _: rewrite_in_place(tool), "its sha256 differs"),
    "not executable": (lambda tool, _: tool.chmod(0o644), "is not an executable file"),
    "a folder": (lambda tool, _: (tool.unlink(), tool.mkdir()), "is not an executable file"),
    "a dangling link": (lambda tool, _: (tool.unlink(), tool.symlink_to("nowhere")), "it is not installed"),
    "no record": (lambda tool, _: tool.with_name("installed.json").unlink(), "there is no record of how"),
    "half a record": (lambda tool, _: os.truncate(tool.with_name("installed.json"), 30), "there is no record of how"),
    "no plain name": (lambda _, named: named.unlink(), "bin/k3d is missing"),
    "plain name dangling": (lambda _, named: (named.unlink(), named.symlink_to("x/k3d")), "bin/k3d is missing"),
    "plain name replaced": (lambda _, named: replace(named, b"#!/bin/sh\n"), "is not the link that Meshwright made"),
    "plain name led away": (
        lambda _, named: (named.unlink(), named.symlink_to("/bin/sh")),
        "is not the link that Meshwright made",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_is_a_planned_change_with_its_reason_and_apply_repairs_it(
    world: World, installed: Here | Away, name: str
) -> None:
    damage, why = DAMAGES[name]
    tool, named = (Path(f(installed, "k3d", *v)) for f, v in ((store.file, ("5.9.0",)), (store.link, ())))
    damage(tool, named)

    plan = step.plan(installed, ENV, world.catalog)
    assert [(c.kind, c.name) for c in plan.changes] == [("Tool", "k3d")]
    assert why in plan.changes[0].why
    if "plain name" in name:
        assert plan.changes[0].why.endswith(why), "no source is named where none is needed"

    if name == "a folder":
        tool.rmdir()
    step.apply(installed, ENV, plan, world.catalog)
    assert step.plan(installed, ENV, world.catalog).empty
    assert tool.read_bytes() == k3d("5.9.0")
    assert named.resolve() == tool


def test_a_folder_in_the_place_of_a_tool_is_one_sentence(world: World, installed: Here | Away) -> None:
    tool = Path(store.file(installed, "k3d", "5.9.0"))
    tool.unlink()
    tool.mkdir()
    (tool / "somebody's file").write_text("keep")
    plan = step.plan(installed, ENV, world.catalog)
    if installed.local:
        with pytest.raises(Exception, match=r"cannot put .*/k3d in place: Is a directory"):
            step.apply(installed, ENV, plan, world.catalog)
    assert (tool / "somebody's file").read_text() == "keep"


def test_a_new_stamp_alone_is_settled_by_the_sha256(world: World, installed: Here | Away) -> None:
    tool = Path(store.file(installed, "k3d", "5.9.0"))
    os.utime(tool, (1, 1))
    assert step.plan(installed, ENV, world.catalog).empty
    replace(tool, tool.read_bytes())
    assert step.plan(installed, ENV, world.catalog).empty


def test_a_killed_run_between_record_and_rename_is_seen(world: World, here: Here) -> None:
    """The record tells of the new file, the old one is still there: it is installed again."""
    world.releases()
    world.install(here, ENV)
    tool = Path(store.file(here, "k3d", "5.9.0"))
    replace(tool, b"#!/bin/sh\necho an older build\n")
    assert "its sha256 differs" in step.plan(here, ENV, world.catalog).changes[0].why


def test_a_converged_plan_starts_no_process_and_reads_no_tool(
    world: World, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.releases()
    world.install(here, ENV)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a converged plan must cost nothing")

    monkeypatch.setattr(here, "run", never)
    monkeypatch.setattr(store, "sha256", never)
    assert step.plan(here, ENV, world.catalog).empty


def test_samples_without_bookinfo_are_put_anew(world: World, installed: Here | Away) -> None:
    world.install(installed, environment())
    folder = Path(istio_samples.folder(installed, "1.30.3"))
    (folder / "mine").write_text("not of the release")
    (folder / BOOKINFO).unlink()
    plan = step.plan(installed, environment(), world.catalog)
    assert [(c.action, c.kind, c.name, c.fields) for c in plan.changes] == [(Action.CHANGE, "Samples", "istio", ())]
    assert f"{BOOKINFO} is missing" in plan.changes[0].why
    step.apply(installed, environment(), plan, world.catalog)
    assert step.plan(installed, environment(), world.catalog).empty
    assert not (folder / "mine").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["samples"]


def test_a_place_that_cannot_be_looked_at_is_not_absent(
    world: World, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", forbidden)
    with pytest.raises(Exception, match=r"cannot look at .*k3d: Permission denied"):
        step.plan(here, ENV, world.catalog)
