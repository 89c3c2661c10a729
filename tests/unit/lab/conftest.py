"""What the tests of the lab share: a project with a copy of lab/, a host whose processes are scripted, its environment,
and the programs of lab/node and lab/apps as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fakes import FakeTarget, environment

from meshwright.environment import Environment
from meshwright.lab import dockerd
from meshwright.lab.recipes import ISTIO
from meshwright.project import Project
from meshwright.target import Platform

REPOSITORY = Path(__file__).parents[3]
NODE = REPOSITORY / "lab" / "node"

if str(NODE) not in sys.path:
    sys.path.append(str(NODE))


class Host(FakeTarget):
    platform = Platform("linux", "amd64")


@pytest.fixture
def own(project: Project) -> Project:
    """A project with a lab/ folder of its own."""
    shutil.copytree(REPOSITORY / "lab", project.root / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    return project


@pytest.fixture
def host(own: Project) -> Iterator[Host]:
    target = Host(own)
    yield target
    target.close()


@pytest.fixture
def env() -> Environment:
    """An environment that needs the lab."""
    return environment(
        engine={"kind": "lab"},
        cluster={"kind": "k3d", "image": "meshwright.lab/stand-in/k3s:1.35.4"},
        istio={"version": ISTIO.builds, "hub": "meshwright.lab/istio"},
    )


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Engines below a folder of the test, not in the machine's own /run and /var/lib."""
    monkeypatch.setattr(dockerd, "_RUN", tmp_path / "run")
    monkeypatch.setattr(dockerd, "_DATA", tmp_path / "var")
    return tmp_path


def program(path: Path) -> ModuleType:
    """A Python file of lab/ as a module, whatever its name ends with."""
    name = path.stem.replace("-", "_")
    spec = importlib.util.spec_from_loader(name, importlib.machinery.SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def wrapper() -> ModuleType:
    """lab/node/runc-without-sys-resource."""
    return program(NODE / "runc-without-sys-resource")


@pytest.fixture(scope="session")
def bookinfo() -> ModuleType:
    """lab/apps/bookinfo.py."""
    return program(REPOSITORY / "lab" / "apps" / "bookinfo.py")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads lab/apps/NAME.py, which finds what lies beside it."""
    apps = REPOSITORY / "lab" / "apps"
    monkeypatch.syspath_prepend(str(apps))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return lambda name: program(apps / f"{name}.py")


@pytest.fixture
def repository() -> Path:
    """The checkout that these tests are from."""
    return REPOSITORY
