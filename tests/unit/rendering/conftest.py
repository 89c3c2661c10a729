"""Environments with objects, and the CRDs of the pinned Istio."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshwright.environment import Environment, load
from meshwright.project import Project
from meshwright.tools.table import TOOLS

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {injection: enabled}}
"""
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(project: Project) -> Callable[..., Environment]:
    """Loads an environment with these values."""

    def loaded(values: str, shared: str = "") -> Environment:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL + shared, encoding="utf-8")
        (project.root / "group_data" / "lab.yaml").write_text(values, encoding="utf-8")
        return load(project, "lab").env

    return loaded


def _modules() -> Iterator[Path]:
    """The folder of downloaded Go modules, where there is one."""
    go = shutil.which("go")
    if go is not None:
        done = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True)
        if done.returncode == 0:
            yield Path(done.stdout.strip())
    if "GOMODCACHE" in os.environ:
        yield Path(os.environ["GOMODCACHE"])


def _documents(file: Path) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader) if document]


@pytest.fixture(scope="session")
def crds() -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas of specs by apiVersion and kind, from the Go modules that the lab is built from."""
    istio, api = TOOLS["istioctl"].module, "sigs.k8s.io/gateway-api"
    pinned = next(
        line.split()[1]
        for line in (ROOT / istio.folder / "go.mod").read_text().splitlines()
        if line.split()[:1] == [api]
    )
    for modules in _modules():
        of_istio = modules / f"{istio.module}@{istio.pinned}/manifests/charts/base/files/crd-all.gen.yaml"
        of_api = modules / f"{api}@{pinned}/config/crd/standard"
        if of_istio.is_file() and of_api.is_dir():
            found = _documents(of_istio)
            for file in sorted(of_api.glob("*.yaml")):
                found += [document for document in _documents(file) if document["kind"] == "CustomResourceDefinition"]
            return {
                (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]): version["schema"][
                    "openAPIV3Schema"
                ]["properties"]["spec"]
                for crd in found
                for version in crd["spec"]["versions"]
            }
    pytest.skip("the Go module of Istio is not here: `make e2e` downloads it")
