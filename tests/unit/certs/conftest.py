"""The mesh that most tests of certificates begin with."""

from __future__ import annotations

import certmesh
import pytest


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> certmesh.World:
    """A mesh on its own self-signed CA in which everything is in order: 4 sidecars and a gateway."""
    return certmesh.made(monkeypatch)
