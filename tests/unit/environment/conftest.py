"""A project folder of the test's own, with one environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshwright.project import Project

ALL = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces:
  bookinfo: {injection: enabled}
"""
K3D = """\
cluster:
  kind: k3d
  image: example.test/k3s:1
"""


def write(root: Path, values: str | bytes, shared: str | bytes = ALL, name: str = "lab") -> Project:
    """A project in `root` whose environment `name` has these two files."""
    for folder in ("inventory", "group_data"):
        (root / folder).mkdir(exist_ok=True)
    (root / "inventory" / f"{name}.py").touch()
    for file, content in (("all", shared), (name, values)):
        raw = content if isinstance(content, bytes) else content.encode()
        (root / "group_data" / f"{file}.yaml").write_bytes(raw)
    return Project.find(root)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    return lambda *contents, **options: write(tmp_path, *contents, **options)


@pytest.fixture
def k3d() -> str:
    return K3D


@pytest.fixture(scope="session")
def shipped() -> Project:
    """The project that this test is part of."""
    return Project.find(Path(__file__).parent)
