"""A project with two environments and values that travel."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshwright.project import Project

ALL = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.2, hub: docker.io/istio}
namespaces: {bookinfo: {injection: enabled}}
"""
DEV = """\
cluster: {kind: k3d, image: "docker.io/rancher/k3s:v1"}
istio: {version: 1.30.3}
resources:
  virtual_services:
    bookinfo/web:
      hosts: [web]
      http:
        - timeout: 5s
          route:
            - {destination: {host: web, subset: v1}, weight: 50}
            - {destination: {host: web, subset: v2}, weight: 50}
"""
STAGING = """\
# staging, kept by its own people
cluster: {kind: existing, context: staging}   # theirs

promotion: {from: dev, soak: 1d}

resources:
  pace: 5
  virtual_services:
    bookinfo/web:
      hosts: [web]
      http:
        # the only route
        - timeout: 10s
          route:
            - {destination: {host: web, subset: v1}, weight: 90}   # mostly
            - {destination: {host: web, subset: v2}, weight: 10}
    bookinfo/old: {hosts: [old], http: [{redirect: {uri: /}}]}

local:
  resources:
    virtual_services:
      bookinfo/web: {hosts: [web.staging.example.com]}
"""


@pytest.fixture
def two(tmp_path: Path) -> Project:
    """The environments dev and staging."""
    root = tmp_path / "a project"
    for folder in ("inventory", "group_data", "deploys"):
        (root / folder).mkdir(parents=True)
    (root / "group_data" / "all.yaml").write_text(ALL)
    for name, text in (("dev", DEV), ("staging", STAGING)):
        (root / "inventory" / f"{name}.py").touch()
        (root / "group_data" / f"{name}.yaml").write_text(text)
    return Project(root)
