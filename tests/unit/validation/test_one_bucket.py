"""The rule one-bucket: whether the gateway sees a client's own address."""

from __future__ import annotations

import pytest
import yaml
from fakes import FakeTarget

from meshwright.environment import load
from meshwright.project import Project
from meshwright.validation import validate

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
namespaces: {istio-system: {}}
bookinfo: {enabled: false}
"""
VALUES = """\
resources:
  manifests: [m.yaml]
  rate_limits:
    istio-system/l:
      service: {host: r.example.com, domain: d}
      routes: [{vhost: 'a:80', rate_limits: [{actions: [{remote_address: {}}]}]}]
"""
ISTIO = "version: 1.30.3, hub: docker.io/istio"
LOCAL = "values: {gateways: {istio-ingressgateway: {externalTrafficPolicy: Local}}}"
TRUSTED = "meshConfig: {defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}}"
OURS = {"istio": "ingressgateway", "app": "gateway"}
OTHERS = {"istio": "other"}


@pytest.mark.parametrize(
    ("istio", "spec", "found"),
    [
        (ISTIO, {}, True),
        (f"{ISTIO}, {LOCAL}", {}, False),
        (f"{ISTIO}, {TRUSTED}", {}, False),
        # A Service that selects the pods says more than the values.
        (f"{ISTIO}, {LOCAL}", {"type": "LoadBalancer", "selector": OURS}, True),
        (ISTIO, {"type": "NodePort", "selector": OURS, "externalTrafficPolicy": "Local"}, False),
        (f"{ISTIO}, {LOCAL}", {"type": "LoadBalancer", "selector": OTHERS}, False),
        (f"{ISTIO}, {LOCAL}", {"type": "ClusterIP", "selector": OURS}, False),
        (f"{ISTIO}, {LOCAL}", {"type": "NodePort", "selector": "nonsense"}, False),
    ],
)
def test_whether_all_clients_share_one_bucket(
    project: Project, host: FakeTarget, istio: str, spec: dict[str, object], found: bool
) -> None:
    (project.root / "inventory" / "lab.py").touch()
    (project.root / "group_data" / "all.yaml").write_text(f"{ALL}istio: {{{istio}}}\n")
    (project.root / "group_data" / "lab.yaml").write_text(VALUES)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "istio-system"}}
    (project.root / "m.yaml").write_text(yaml.safe_dump({**service, "spec": spec}))
    made = validate(host, load(project, "lab").env)
    assert any(finding.rule == "one-bucket" for finding in made.findings) is found
