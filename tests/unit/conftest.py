"""What most unit tests start from: a project in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeTarget
from hypothesis import HealthCheck, settings

from meshwright.project import Project

# How long an example takes says more about the machine than about the code.
settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks in a folder of the test, not among the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "locks"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, in a path with a space in it."""
    root = tmp_path / "my project"
    for folder in ("inventory", "group_data", "deploys"):
        (root / folder).mkdir(parents=True)
    return Project(root)


@pytest.fixture
def host(project: Project) -> Iterator[FakeTarget]:
    """A host whose processes are scripted."""
    target = FakeTarget(project)
    yield target
    target.close()
