"""Certificate files of a Gateway: in a volume of its pods, or by the values of the install."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeSession, FakeTarget

from meshwright.environment import load
from meshwright.project import Project
from meshwright.validation import Validated, validate

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio%s}
bookinfo: {enabled: false}
"""
TLS = "mode: MUTUAL, serverCertificate: %s/c, privateKey: %s/k, caCertificates: %s/ca"
GATEWAY = """\
resources:
  gateways:
    istio-system/g:
      selector: {%s}
      servers:
        - port: {number: 443, name: https, protocol: HTTPS}
          hosts: [a.example.com]
          tls: {%s}
"""
OURS = "istio: ingressgateway"
MINE = ", values: {gateways: {istio-ingressgateway: {secretVolumes: [{name: m, secretName: m, mountPath: /etc/mine}]}}}"
OVER = (
    ", components: {ingressGateways: [{name: g, enabled: true, "
    "k8s: {overlays: [{patches: [{value: {mountPath: /etc/over}}]}]}}]}"
)


def looked(
    project: Project,
    host: FakeTarget,
    folder: str,
    *,
    istio: str = "",
    selector: str = OURS,
    session: FakeSession | None = None,
) -> Validated:
    (project.root / "inventory" / "lab.py").touch()
    (project.root / "group_data" / "all.yaml").write_text(ALL % istio)
    tls = TLS % (folder, folder, folder)
    (project.root / "group_data" / "lab.yaml").write_text(GATEWAY % (selector, tls))
    return validate(host, load(project, "lab").env, session)


def paths(found: Validated) -> list[str]:
    return [one.sentence for one in found.findings if one.rule == "certificate-path"]


def pod(name: str, *mounts: str, **labels: str) -> dict[str, Any]:
    containers = [
        {"name": "istio-proxy", "volumeMounts": [{"name": path, "mountPath": path} for path in mounts]},
        {"name": "beside", "volumeMounts": [{"name": "x", "mountPath": "/beside"}]},
    ]  # fmt: skip
    metadata = {"name": name, "namespace": "istio-system", "labels": labels or {"istio": "ingressgateway"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


@pytest.mark.parametrize(
    ("folder", "istio", "fine"),
    [
        ("/etc/istio/ingressgateway-certs", "", True),
        ("/etc/istio/ingressgateway-ca-certs/deeper", "", True),
        ("/etc/istio/ingressgateway-certs-2", "", False),
        ("/etc/istio/elsewhere", "", False),
        ("tls", "", False),
        (
            "/etc/mine",
            MINE,
            True,
        ),
        (
            "/etc/istio/ingressgateway-certs",
            MINE,
            False,
        ),
        (
            "/etc/over",
            OVER,
            True,
        ),
    ],
)  # fmt: skip
def test_offline_the_values_of_the_install_say_it(
    project: Project, host: FakeTarget, folder: str, istio: str, fine: bool
) -> None:
    found = paths(looked(project, host, folder, istio=istio))
    assert (found == []) is fine
    assert len(found) in (0, 3)


def test_gateways_of_others_are_not_guessed_at(project: Project, host: FakeTarget) -> None:
    found = looked(project, host, "/etc/x", selector="app: mine")
    assert paths(found) == []
    assert any("which volumes its pods have is not among these values" in sentence for sentence in found.skipped)


def test_online_every_selected_pod_must_have_the_volume(project: Project, host: FakeTarget) -> None:
    session = FakeSession(pod("one", "/etc/x"), pod("two", "/etc/y", "/etc/x/"), pod("other", "/etc/z", app="z"))
    assert paths(looked(project, host, "/etc/x", session=session)) == []
    [first, *_] = paths(looked(project, host, "/etc/y", session=session))
    assert first == "/etc/y/c is in no volume of the pod istio-system/one"
    [first, *_] = paths(looked(project, host, "/beside", session=session))
    assert first == "/beside/c is in no volume of the pod istio-system/one"
