"""An environment with addons, their samples in a folder, and a cluster that is a dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, environment

from meshwright import cluster, ingress, taken, tools
from meshwright.environment import Environment

SAMPLE = """\
apiVersion: v1
kind: Service
metadata: {{name: {service}, namespace: istio-system}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: {port}, targetPort: 1234, name: http}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: istio-system}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      initContainers: [{{name: before, image: "docker.io/x/before:1"}}]
      containers: [{{name: {name}, image: "docker.io/x/{name}:v1"}}]
"""
CLAIMING = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: loki, namespace: istio-system}
spec:
  selector: {matchLabels: {app: loki}}
  template: {metadata: {labels: {app: loki}}, spec: {containers: [{name: loki, image: "docker.io/x/loki:3"}]}}
  volumeClaimTemplates: [{metadata: {name: storage}}]
"""
OTHERS = (
    ("prometheus", "prometheus", 9090),
    ("grafana", "grafana", 3000),
    ("jaeger", "tracing", 80),
    ("kiali", "kiali", 20001),
)
Object = dict[str, Any]


def settled(obj: Object) -> Object:
    """What the controllers would say."""
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    if obj["kind"] == "Deployment":
        return obj | {"status": counts | {"conditions": [{"type": "Available", "status": "True"}]}}
    return obj | {"status": counts} if obj["kind"] == "StatefulSet" else obj


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "samples" / "addons"
    folder.mkdir(parents=True)
    for name, service, port in OTHERS:
        (folder / f"{name}.yaml").write_text(SAMPLE.format(name=name, service=service, port=port))
    (folder / "loki.yaml").write_text(CLAIMING)
    monkeypatch.setattr(tools, "samples", lambda _target, _env: str(folder.parent))
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    return folder


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("istio-system", "meshwright")
    ]
    made = FakeSession(*namespaces, defaults=settled)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    monkeypatch.setattr(taken, "wait", lambda *_: None)
    address = ingress.Address("127.0.0.1", 8080, 8443, ingress.How.PUBLISHED)
    monkeypatch.setattr(ingress, "address", lambda *_, **__: address)
    return made


@pytest.fixture
def with_addons() -> Callable[..., Environment]:
    """An environment with these addons."""
    return lambda **addons: environment(addons=addons, namespaces={"bookinfo": {}})
