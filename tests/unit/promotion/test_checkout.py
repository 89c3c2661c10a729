"""What Git knows of a file, asked of a real checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from meshwright.errors import MeshwrightError
from meshwright.promotion import checkout

WHO = {"GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "c", "GIT_COMMITTER_EMAIL": "Committer@example.com"}


def git(root: Path, *words: str, author: str = "author@example.com") -> str:
    environ = {**WHO, "GIT_AUTHOR_EMAIL": author, "HOME": str(root), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run(["git", *words], cwd=root, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit, with the file f."""
    git(tmp_path, "init", "-q")
    (tmp_path / "f").write_text("1")
    git(tmp_path, "add", "f")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_file_that_is_committed_has_no_changes(repository: Path) -> None:
    assert checkout.here(repository)
    assert not checkout.changed(repository, "f")
    (repository / "f").write_text("2")
    assert checkout.changed(repository, "f")
    git(repository, "add", "f")
    assert checkout.changed(repository, "f")
    (repository / "new").touch()
    assert checkout.changed(repository, "new")


def test_who_wrote_the_last_change_of_the_file(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "f").write_text("2")
    git(repository, "commit", "-qam", "two", author="Other@Example.com")
    (repository / "g").touch()
    git(repository, "add", "g")
    git(repository, "commit", "-qm", "three", author="third@example.com")
    assert checkout.authors(repository, "f") == {"other@example.com", "committer@example.com"}
    assert checkout.authors(repository, "f", first) == {"author@example.com", "committer@example.com"}
    assert checkout.authors(repository, "nothing") == set()
    with pytest.raises(MeshwrightError, match="Git does not know the commit 0123456789ab"):
        checkout.authors(repository, "f", "0123456789abcdef")


def test_a_folder_without_git(tmp_path: Path) -> None:
    assert not checkout.here(tmp_path)
