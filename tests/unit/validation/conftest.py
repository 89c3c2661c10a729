"""Validating an environment that has these resources."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes import FakeSession, FakeTarget

from meshwright.environment import load
from meshwright.project import Project
from meshwright.validation import Validated, validate

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {shop: {}, bookinfo: {}}
bookinfo: {enabled: false}
"""

Look = Callable[..., Validated]


@pytest.fixture
def look(project: Project, host: FakeTarget) -> Look:
    """Validates an environment with these resources, and with further `values`."""

    def validated(
        resources: str, manifests: str = "", session: FakeSession | None = None, values: str = ""
    ) -> Validated:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL)
        if manifests:
            (project.root / "m.yaml").write_text(manifests)
            resources = "manifests: [m.yaml]\n" + resources
        lines = "".join(f"  {line}\n" for line in resources.strip().splitlines())
        (project.root / "group_data" / "lab.yaml").write_text((f"resources:\n{lines}" if lines else "") + values)
        host.shared.look_again()  # each is a command of its own
        return validate(host, load(project, "lab").env, session)

    return validated
