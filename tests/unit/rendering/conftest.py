"""Environments with objects, and the CRDs of the pinned Istio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gomodules
import pytest

from meshwright.environment import Environment, load
from meshwright.project import Project

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {injection: enabled}}
"""


@pytest.fixture
def environment(project: Project) -> Callable[..., Environment]:
    """Loads an environment with these values."""

    def loaded(values: str, shared: str = "") -> Environment:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL + shared, encoding="utf-8")
        (project.root / "group_data" / "lab.yaml").write_text(values, encoding="utf-8")
        return load(project, "lab").env

    return loaded


@pytest.fixture(scope="session")
def crds() -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas of specs by apiVersion and kind, from the Go modules that the lab is built from."""
    of_istio, of_api = gomodules.crds_of_istio(), gomodules.crds_of_gateway_api()
    if of_istio is None or not of_api:
        pytest.skip("the Go module of Istio is not here: `make e2e` downloads it")
    return {
        (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]): version["schema"][
            "openAPIV3Schema"
        ]["properties"]["spec"]
        for file in (of_istio, *of_api)
        for crd in gomodules.documents(file)
        for version in crd["spec"]["versions"]
    }
