"""What Git knows of a file of values: whether it has changes that no commit has, and who wrote the last change."""

from __future__ import annotations

from pathlib import Path

from meshwright import process
from meshwright.errors import MeshwrightError, ProcessError

__all__ = ["authors", "changed", "here"]

# Nothing is written, not even Git's own index; file names come as they are.
_ENVIRON = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _git(root: Path, *words: str) -> str:
    return process.run(["git", *words], cwd=str(root), env=_ENVIRON, timeout=20).text


def here(root: Path) -> bool:
    """Whether the project folder is in a checkout. Without Git, it is not."""
    try:
        return _git(root, "rev-parse", "--is-inside-work-tree").strip() == "true"
    except MeshwrightError:
        return False


def changed(root: Path, file: str) -> bool:
    """Whether a file has changes that no commit has, one that Git does not know yet included. Raises MeshwrightError:
    Git could not say."""
    return bool(_git(root, "status", "--porcelain", "--untracked-files=all", "--ignored", "--", file).strip())


def authors(root: Path, file: str, commit: str | None = None) -> set[str]:
    """The addresses of who wrote and committed the last change of a file, as of `commit` (of the newest where absent);
    none where it is in no commit. Raises MeshwrightError: Git does not know the commit."""
    try:
        said = _git(root, "log", "-1", "--format=%ae%n%ce", commit or "HEAD", "--", file)
    except ProcessError as error:
        name = (commit or "HEAD")[:12]
        raise MeshwrightError(
            f"Git does not know the commit {name}, so nobody knows who wrote the change",
            hint="Fetch it, or promote what is in a commit that is here",
        ) from error
    return {line.strip().lower() for line in said.splitlines() if line.strip()}
