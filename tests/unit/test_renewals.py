"""What plans say of certificates: both dates of a change, files to be replaced, and cert-manager's own word."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pki
import pytest
from fakes import FakeSession

from meshwright import applied, objects, rendering, renewals, resources
from meshwright.environment import Environment, load
from meshwright.plan import Action, Change, Plan
from meshwright.project import Project

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {istio-system: {}}
bookinfo: {enabled: false}
"""
FILES = "{kind: reference, certificate: {file: c.crt}, key: {file: c.key}}"
OF_CERT_MANAGER = "{kind: cert_manager, hosts: [a.example.com], issuer: {name: i}, duration: 2160h, renewBefore: 720h}"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
CRD = {"cert-manager.io/v1"}


@pytest.fixture
def env(project: Project) -> Callable[[str], Environment]:
    def loaded(credential: str) -> Environment:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL)
        (project.root / "group_data" / "lab.yaml").write_text(
            f"resources: {{credentials: {{istio-system/c: {credential}}}}}\n"
        )
        return load(project, "lab").env

    return loaded


def put(root: Path, days: float) -> None:
    made = pki.make("a.example.com", ca=False, days=(-30, days))
    (root / "c.crt").write_text(made.pem)
    (root / "c.key").write_text(made.key_pem)


def planned(project: Project, env: Environment, session: FakeSession) -> Plan:
    return resources.planned(session, env, rendering.rendered(project, env), "sha256:0")


def date(days: float) -> str:
    return f"{pki.NOW + dt.timedelta(days=days):%Y-%m-%d %H:%M UTC}"


def test_a_file_that_is_near_its_end_is_named_until_it_is_replaced(project: Project, env: Any) -> None:
    session = FakeSession(NAMESPACE)
    put(project.root, 9.5)
    plan = planned(project, env(FILES), session)
    [change] = [one for one in plan.changes if one.kind == "Secret"]
    assert (change.action, change.why) == (Action.ADD, "")
    session.put(change.payload, "meshwright")
    plan = planned(project, env(FILES), session)
    assert [one for one in plan.changes if one.kind == "Secret"] == []
    said = f"Secret istio-system/c: its certificate ends {date(9.5)}, in 9 days: replace file c.crt "
    said += "(group_data/lab.yaml:1) before that"
    assert said in plan.notes
    put(project.root, 80)
    plan = planned(project, env(FILES), session)
    [change] = [one for one in plan.changes if one.kind == "Secret"]
    assert change.why == f"certificate until {date(9.5)} -> until {date(80)}"
    assert not any("replace" in note for note in plan.notes)
    key = (project.root / "c.key").read_text().splitlines()[1]
    assert key not in str([change.as_json(), plan.as_json()])


def test_other_changes_of_a_secret_have_no_dates() -> None:
    def secret(data: dict[str, str]) -> dict[str, Any]:
        metadata = {"name": "a", "namespace": "b"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    same = secret({"tls.crt": base64.b64encode(pki.make("a").pem.encode()).decode(), "x": "eA=="})
    for before, after in ((same, same), (secret({}), same), (same, secret({"tls.crt": "AAAA"})), (same, secret({}))):
        change = Change(Action.CHANGE, "Secret", "b/a", payload=after)
        assert renewals.said(change, {objects.key(after): before}) is change
    assert renewals.said(Change(Action.CHANGE, "Secret", "b/a", payload=same), {}).why == ""


STATUS = {"conditions": [{"type": "Issuing"}, {"type": "Ready", "status": "True"}], "notAfter": "2027-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (None, "cert-manager has said nothing about it yet"),
        ({}, "cert-manager has said nothing about it yet"),
        (STATUS, "Ready, until 2027-01-02 03:04 UTC"),
        (
            {**STATUS, "renewalTime": "2026-12-03T03:04:05Z"},
            "Ready, until 2027-01-02 03:04 UTC, renewed at 2026-12-03 03:04 UTC",
        ),
        (
            {"conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": "no issuer i"}]},
            "not Ready: no issuer i",
        ),
        (
            {"conditions": [{"type": "Ready", "status": "Unknown"}], "notAfter": "soon"},
            "not Ready: without a reason, until soon",
        ),
    ],
)  # fmt: skip
def test_what_cert_manager_says_is_a_note(project: Project, env: Any, status: Any, sentence: str) -> None:
    session = FakeSession(NAMESPACE)
    loaded = env(OF_CERT_MANAGER)
    [manifest] = rendering.rendered(project, loaded)
    assert manifest.obj["spec"]["renewBefore"] == "720h"
    if status is not None:
        session.put({**manifest.obj, "status": status}, "meshwright")
    assert f"Certificate istio-system/c: {sentence}" in planned(project, loaded, session).notes


def test_what_is_kept_of_a_secret_are_digests(project: Project, env: Any) -> None:
    put(project.root, 80)
    [manifest] = rendering.rendered(project, env(FILES))
    text = str(applied.masked(manifest.obj))
    assert manifest.obj["data"]["tls.key"] not in text
    assert "sha256" in text
