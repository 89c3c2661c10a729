"""The project folder and the names that derive from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from meshwright.errors import BadInput, Exit
from meshwright.project import Project


def test_the_nearest_parent_with_both_folders_is_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = project.root / "deploys" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "inventory").mkdir()  # one of the two is not enough
    assert Project.find(deep) == project
    monkeypatch.chdir(deep)
    assert Project.find() == project


def test_a_link_into_a_project_is_the_project(project: Project, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(project.root)
    assert Project.find(link) == project
    assert Project.find(link).digest == project.digest


def test_outside_a_project_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        Project.find(tmp_path)
    assert caught.value.message == (
        f"{tmp_path} is not inside a Meshwright project: neither it nor a parent has inventory/ and group_data/"
    )
    assert caught.value.hint == "Change into your project folder and run the command again"
    assert caught.value.exit_code is Exit.BAD_INPUT


def test_a_file_of_that_name_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "inventory").write_text("")
    (tmp_path / "group_data").mkdir()
    with pytest.raises(BadInput):
        Project.find(tmp_path)


def test_the_digest_is_of_the_path_and_keeps_two_clones_apart(tmp_path: Path) -> None:
    one, other = Project(tmp_path / "one"), Project(tmp_path / "other")
    assert one.digest == hashlib.sha256(str(tmp_path / "one").encode()).hexdigest()[:8]
    assert one.digest != other.digest


def test_state_lies_under_one_git_ignored_folder(project: Project) -> None:
    assert project.state == project.root / ".meshwright"
    assert project.bin == project.state / "bin"
    assert project.of("lab") == project.state / "lab"


def test_environments_are_the_inventories(project: Project) -> None:
    for name in ("prod.py", "dev.py", "_shared.py", "notes.md"):
        (project.root / "inventory" / name).write_text("")
    assert project.environments == ["dev", "prod"]
