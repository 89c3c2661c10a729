"""The checks of credentials: certificates that are there and last, and Certificates that cert-manager calls Ready."""

from __future__ import annotations

import base64
from typing import Any

import pki
import pytest
from fakes import FakeSession, FakeTarget

from meshwright import check
from meshwright.check import State
from meshwright.checks import credentials
from meshwright.environment import load
from meshwright.errors import Forbidden
from meshwright.project import Project

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
bookinfo: {enabled: false}
"""
MADE = "{kind: self_signed, hosts: [a.example.com]}"
MANAGED = "{kind: cert_manager, hosts: [a.example.com], issuer: {name: i}}"


def secret(days: float) -> dict[str, Any]:
    made = pki.make("a.example.com", ca=False, days=(-30, days))
    data = {"tls.crt": base64.b64encode(made.pem.encode()).decode(), "tls.key": "eA=="}
    metadata = {"name": "c", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def managed(**status: Any) -> dict[str, Any]:
    metadata = {"name": "c", "namespace": "istio-system"}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "status": status}


@pytest.fixture
def looked(project: Project, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> Any:
    """State and detail of both checks, with this credential and these objects."""

    def look(session: FakeSession, credential: str = MADE) -> list[tuple[State, str]]:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL)
        values = f"resources: {{credentials: {{istio-system/c: {credential}}}}}\n" if credential else "{}\n"
        (project.root / "group_data" / "lab.yaml").write_text(values)
        monkeypatch.setattr(credentials, "session", lambda _target, _env: session)
        env = load(project, "lab").env
        found = [(each.find, each) for each in credentials.CHECKS if each.applies(env)]
        states = []
        for _, each in found:
            state, detail, _hint = check._look(each, host, env)
            states.append((state, detail))
        return states

    return look


def test_without_credentials_nothing_is_looked_at(looked: Any) -> None:
    assert looked(FakeSession(), "") == []


@pytest.mark.parametrize(
    ("days", "states"),
    [
        (80.5, [State.OK, State.OK]),
        (12.5, [State.OK, State.WARNING]),
        (3.5, [State.FAILED, State.WARNING]),
        (-1, [State.FAILED, State.WARNING]),
    ],
)
def test_the_thresholds_are_those_of_gateways(looked: Any, days: float, states: list[State]) -> None:
    found = looked(FakeSession(secret(days)))
    assert [state for state, _ in found] == states
    if days == 12.5:
        assert "has 12 days left, fewer than 21" in found[1][1]
    if days < 0:
        assert "has expired" in found[0][1]


def test_what_is_not_there_and_what_cannot_be_seen(looked: Any) -> None:
    assert looked(FakeSession())[0] == (State.FAILED, "there is no Secret istio-system/c")
    broken = secret(1)
    broken["data"]["tls.crt"] = "AAAA"
    assert looked(FakeSession(broken))[0][1] == "Secret istio-system/c has no certificate that can be read"
    hidden = FakeSession(secret(80))
    hidden.failing["get Secret"] = Forbidden("secrets is forbidden")
    state, detail = looked(hidden)[0]
    assert (state, detail) == (
        State.NOT_VERIFIED,
        "istio-system/c: secrets is forbidden, and no gateway presents it",
    )


def test_what_cert_manager_says(looked: Any) -> None:
    ready = managed(conditions=[{"type": "Ready", "status": "True"}], notAfter="2027-01-02T03:04:05Z")
    state, detail = looked(FakeSession(secret(80), ready), MANAGED)[1]
    assert state is State.OK
    assert detail.endswith("Certificate istio-system/c: Ready, until 2027-01-02 03:04 UTC")
    waits = managed(conditions=[{"type": "Ready", "status": "False", "message": "no issuer"}])
    assert looked(FakeSession(secret(80), waits), MANAGED)[1] == (
        State.WARNING,
        "Certificate istio-system/c: not Ready: no issuer",
    )
    without = FakeSession(secret(80))
    without.unknown.add(("cert-manager.io/v1", "Certificate"))
    assert "whose CRDs are not in the cluster" in looked(without, MANAGED)[1][1]
