"""Who and what a run comes from."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from fakes import FakeSession

from meshwright.errors import Forbidden
from meshwright.records import origin

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(root: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=op", "-c", "user.email=op@example.com", *words]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    root.mkdir()
    git(root, "init", "-q")
    (root / "values.yaml").write_text("a: 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "First")
    return root


def test_the_user_is_who_the_process_runs_as_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    monkeypatch.setenv("SUDO_USER", "ann")
    assert origin.who() == {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "sudo_user": "ann",
        "machine": socket.gethostname(),
        "kubernetes": None,
    }


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert origin.who()["user"] == str(os.getuid())


def test_the_api_server_says_who_we_are_to_it() -> None:
    assert origin.kubernetes_user(FakeSession()) == "op@example.com"


def test_an_api_server_that_does_not_say_is_no_error() -> None:
    session = FakeSession()
    session.failing["create SelfSubjectReview"] = Forbidden("no")
    assert origin.kubernetes_user(session) is None


@needs_git
def test_the_commit_of_a_clean_folder(checkout: Path) -> None:
    assert origin.commit(checkout) == {"id": git(checkout, "rev-parse", "HEAD"), "dirty": False}


@needs_git
@pytest.mark.parametrize("name", ["values.yaml", "new.yaml"])
def test_a_folder_that_differs_from_its_commit_is_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("a: 2\n")
    found = origin.commit(checkout)
    assert found is not None
    assert found["dirty"] is True


@needs_git
def test_only_the_project_itself_counts(checkout: Path) -> None:
    (checkout / "project").mkdir()
    (checkout / "values.yaml").write_text("a: 2\n")
    found = origin.commit(checkout / "project")
    assert found is not None
    assert found["dirty"] is False


@needs_git
def test_what_is_ignored_is_no_difference(checkout: Path) -> None:
    (checkout / ".gitignore").write_text(".meshwright/\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "Ignore")
    (checkout / ".meshwright").mkdir()
    (checkout / ".meshwright" / "x").write_text("")
    found = origin.commit(checkout)
    assert found is not None
    assert found["dirty"] is False


@needs_git
def test_before_the_first_commit_and_outside_a_checkout_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "none").mkdir()
    assert origin.commit(tmp_path / "none") is None
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "-q")
    assert origin.commit(tmp_path / "new") is None


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.commit(tmp_path) is None
