"""What the tests of tools share: a world with a release host, targets here and "elsewhere", a Go that only pretends."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import releases
from releases import REPOSITORY, Away, FakeGo, Here, ReleaseHost, World

from meshwright.target import Platform
from meshwright.tools import golang
from meshwright.tools.table import TOOLS


@pytest.fixture
def host() -> Iterator[ReleaseHost]:
    running = ReleaseHost()
    yield running
    running.stop()


@pytest.fixture
def world(tmp_path: Path, host: ReleaseHost, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with a space in its name, and a PATH with nothing on it but what a test puts there and the system."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = World(tmp_path / "a project", host)
    system = tmp_path / "system"
    system.mkdir()
    needed = "sh cp mv rm ln mkdir chmod head stat readlink sha256sum shasum tar gzip test printf cat tr sleep"
    for name in needed.split():
        if real := shutil.which(name):
            (system / name).symlink_to(real)
    monkeypatch.setenv("PATH", f"{made.path}:{system}")
    # What is on the disk after a power cut is not what these tests are about, and waiting for it is most of their time.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    # The real Go of the machine that runs the tests is not to be found.
    monkeypatch.setattr("meshwright.tools.golang.find", lambda: [])
    return made


@pytest.fixture
def here(world: World) -> Here:
    return Here(world.project)


@pytest.fixture
def away(world: World, tmp_path: Path) -> Away:
    return Away(world.project, tmp_path / "elsewhere" / "state", Platform("darwin", "arm64"))


@pytest.fixture(params=["here", "away"])
def target(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Here | Away:
    """Both kinds of targets, both linux-amd64."""
    if request.param == "here":
        return Here(world.project)
    return Away(world.project, tmp_path / "elsewhere" / "state", Platform("linux", "amd64"))


@pytest.fixture
def go(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """A new enough Go, and the project's pinned modules."""
    fake = FakeGo(tmp_path / "go here")
    monkeypatch.setattr(golang, "find", lambda: [golang.Go(str(fake.path), (1, 99, 0))])
    for tool in TOOLS.values():
        folder = world.project.root / tool.module.folder
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(
            f"module example\n\ngo 1.26.0\n\nrequire (\n\t{tool.module.module} {tool.module.pinned}\n)\n"
        )
    return fake


@pytest.fixture
def child(world: World) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process that installs what `environment(bookinfo=False)` wants."""
    code = "import releases, sys; releases.install_in_a_process(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(world.project.root), world.host.url]
    return command, {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{Path(releases.__file__).parent}"}
