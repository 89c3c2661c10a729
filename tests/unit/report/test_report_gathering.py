"""What a report finds out, and what it says of that which gives no answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import certmesh
import pytest
from fakes import FakeSession, FakeTarget
from pki import NOW
from reported import bookinfo

from meshwright import cluster, drift
from meshwright.drift import Drift, Drifted, Touched
from meshwright.environment import Loaded
from meshwright.errors import Forbidden, Unreachable
from meshwright.project import Project
from meshwright.records import file
from meshwright.report import gathering, page
from meshwright.report.gathering import Gathered
from meshwright.target import Target

VALUES = """\
cluster: {kind: k3d, image: "docker.io/rancher/k3s:v1"}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {injection: enabled}, shop: {}}
windows: {timezone: Europe/Berlin, allow: {nights: {weekly: 'mon-thu 22:00-04:00'}}}
resources:
  secrets:
    shop/key: {data: {a: {file: nonesuch.key}}}
  virtual_services:
    shop/web: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
"""
DRIFT = Drift(
    "resources",
    found=(
        Drifted(
            "VirtualService", "shop/web", (Touched("spec.hosts", ["a"], ["b"], "kubectl", "2026-11-24T07:00:00Z"),)
        ),
        Drifted("Gateway", "shop/g"),
    ),
    checked=5,
    notes=("1 object was changed from outside to what the values say by now",),
)


@pytest.fixture
def one(project: Project) -> Project:
    """A project with the environment prod."""
    (project.root / "inventory" / "prod.py").touch()
    (project.root / "group_data" / "all.yaml").write_text("{}\n")
    (project.root / "group_data" / "prod.yaml").write_text(VALUES)
    (project.root / "deploys" / "site.py").write_text("steps = []\n")
    return project


def gather(project: Project, monkeypatch: pytest.MonkeyPatch, session: Any, seconds: float = 60) -> Gathered:
    @contextmanager
    def opened(_project: Project, _loaded: Loaded) -> Iterator[Sequence[Target]]:
        yield [FakeTarget(project)]

    monkeypatch.setattr(cluster, "session", session)
    monkeypatch.setattr(cluster, "no_session", lambda _target, env: f"the cluster of {env.name} is absent")
    monkeypatch.setattr(FakeSession, "version", lambda _session: "1.35", raising=False)
    monkeypatch.setattr(drift, "of", lambda *_of: iter([DRIFT]))
    [found] = gathering.gather(project, ["prod"], opened, seconds, NOW)
    json.dumps(found.as_json())
    page.rendered([found], NOW)
    return found


def test_a_mesh_that_answers(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    world = certmesh.made(monkeypatch)
    for obj in bookinfo():
        world.session.put(obj)
    found = gather(one, monkeypatch, lambda _target, _env: world.session)
    assert found.not_verified == {}
    assert found.standing.state == "up"
    lives = [each.life for each in found.certificates if each.life]
    assert sorted(each.role for each in found.certificates if each.life) == ["istiod", "root", "workload"]
    assert [life.days for life in lives] == sorted(life.days for life in lives)
    [workload] = [each.life for each in found.certificates if each.role == "workload" and each.life]
    assert workload.warn == pytest.approx(0.4 * workload.whole)
    assert found.mesh is not None
    assert found.mesh.source == "the cluster"
    assert {"bookinfo/reviews", "shop/shop"} <= {node.name for node in found.mesh.nodes}
    assert [(each.name, each.path, each.how, each.by) for each in found.drift] == [
        ("shop/web", "spec.hosts", "changed", "kubectl, 2026-11-24T07:00:00Z"), ("shop/g", "", "deleted", ""),
    ]  # fmt: skip
    assert (found.checked, found.notes["drift"]) == (5, ["resources: " + DRIFT.notes[0]])


def test_a_cluster_that_is_not_there(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"id": "prod-1", "environment": "prod"}
    began = {**about, "entry": "started", "at": "2026-11-22T10:00:00Z", "deploy": "site", "who": {"user": "op"}}
    file.append(FakeTarget(one), "prod", began)
    found = gather(one, monkeypatch, lambda _target, _env: None)
    why = "the cluster of prod is absent"
    assert found.not_verified == dict.fromkeys(("certificates", "mesh", "drift"), why)
    assert [(run.deploy, run.result) for run in found.runs] == [("site", "unknown")]
    assert found.notes["runs"] == [f"the cluster was not asked, only the file: {why}"]
    assert found.month is not None
    assert len(found.month.openings) == 5
    assert found.mesh is not None
    # From the values, for which the secret, which cannot be read, was not read.
    assert (found.mesh.source, found.mesh.left_out) == ("the values", ())
    assert "shop/web" in {node.name for node in found.mesh.nodes}


def test_one_part_that_may_not_be_looked_at(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    world = certmesh.made(monkeypatch)
    for obj in bookinfo():
        world.session.put(obj)
    world.session.failing["list VirtualService"] = Forbidden("op may not list VirtualServices")
    world.session.failing["list Deployment"] = Unreachable("it gives no answer")
    found = gather(one, monkeypatch, lambda _target, _env: world.session)
    assert found.mesh is not None
    assert found.mesh.left_out == (
        "not verified: VirtualService of networking.istio.io/v1: op may not list VirtualServices",
    )
    assert "shop/shop" in {node.name for node in found.mesh.nodes}, "the rest is drawn"
    assert found.not_verified == {"certificates": "it gives no answer"}
    assert len(found.drift) == 2, "the other parts are there"


def test_a_defect_in_one_part_hides_no_other(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    world = certmesh.made(monkeypatch)
    monkeypatch.setattr(gathering.root, "check", lambda *_of: 1 / 0)
    found = gather(one, monkeypatch, lambda _target, _env: world.session)
    assert found.not_verified == {"certificates": "a defect: ZeroDivisionError"}


def test_one_that_is_slow_keeps_what_it_has_said(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    world = certmesh.made(monkeypatch)
    monkeypatch.setattr(gathering.root, "check", lambda *_of: time.sleep(60))
    start = time.monotonic()
    found = gather(one, monkeypatch, lambda _target, _env: world.session, 5)
    assert time.monotonic() - start < 50
    assert found.mesh is not None
    assert found.mesh.source == "the cluster"
    assert found.not_verified == dict.fromkeys(("certificates", "drift"), "no answer in 5 s")


def test_values_that_cannot_be_read(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (one.root / "group_data" / "prod.yaml").write_text("clutser: 1\n")
    found = gather(one, monkeypatch, lambda _target, _env: None)
    assert set(found.not_verified) == {"windows", "runs", "certificates", "mesh", "drift"}
    assert all("clutser is not a known key" in why for why in found.not_verified.values())


def test_drift_that_is_long_is_cut(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    many = Drift("resources", found=tuple(Drifted("Gateway", f"x/{number}") for number in range(300)), checked=300)
    world = certmesh.made(monkeypatch)
    monkeypatch.setitem(globals(), "DRIFT", many)
    found = gather(one, monkeypatch, lambda _target, _env: world.session)
    assert len(found.drift) == 200
    assert found.notes["drift"] == ["100 more are not shown; `meshwright drift prod` shows them"]
