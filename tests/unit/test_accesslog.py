"""Access logs on and off."""

from __future__ import annotations

import pytest
import yaml
from fakes import FakeSession, FakeTarget, environment

from meshwright import accesslog, cluster, taken
from meshwright.errors import BadInput, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.plan import Action

ENV = environment()


def telemetry(name, namespace, **spec):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": metadata, "spec": spec}


def config(**mesh):
    metadata = {"name": "istio", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": yaml.safe_dump(mesh)}}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "reviews-v1", "namespace": "bookinfo"},
    "spec": {"selector": {"matchLabels": {"app": "reviews", "version": "v1"}}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "reviews-v1-5c4d-x2",
        "namespace": "bookinfo",
        "labels": {"app": "reviews", "version": "v1", "team": "a", "pod-template-hash": "5c4d"},
        "ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": "reviews-v1-5c4d"}],
    },
    "spec": {"containers": [{"name": "istio-proxy"}]},
}


@pytest.fixture
def mesh(project, monkeypatch):
    session = FakeSession(config(), namespace("istio-system"), namespace("bookinfo"), DEPLOYMENT, POD)
    monkeypatch.setattr(cluster, "session", lambda *_: session)
    monkeypatch.setattr(taken, "look", lambda *_: None)
    monkeypatch.setattr(taken, "wait", lambda *_: None)
    return session


@pytest.fixture
def host(project):
    target = FakeTarget(project)
    yield target
    target.close()


def planned(host, to, scope="", provider=""):
    host.shared.options = Options(to=to, scope=scope, format=provider)
    return accesslog.step.plan(host, ENV)


def switch(host, to, scope="", provider=""):
    plan = planned(host, to, scope, provider)
    accesslog.step.apply(host, ENV, plan)
    return [(change.action, change.name) for change in plan.changes]


def specs(session):
    listed = session.list("telemetry.istio.io/v1", "Telemetry")
    return {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": obj["spec"] for obj in listed}


ON, OFF = [{"providers": [{"name": "envoy"}]}], [{"disabled": True}]


def test_on_and_off_for_the_mesh_leaves_nothing(host, mesh):
    assert switch(host, "on") == [(Action.ADD, "istio-system/meshwright-accesslog")]
    assert specs(mesh) == {"istio-system/meshwright-accesslog": {"accessLogging": ON}}
    assert planned(host, "on").empty
    assert switch(host, "off") == [(Action.DESTROY, "istio-system/meshwright-accesslog")]
    assert specs(mesh) == {}
    assert planned(host, "off").empty


def test_off_says_so_where_the_meshs_configuration_has_them_on(host, mesh):
    mesh.put(config(accessLogFile="/dev/stdout"))
    switch(host, "off")
    assert specs(mesh) == {"istio-system/meshwright-accesslog": {"accessLogging": OFF}}


def test_off_for_a_namespace_in_a_mesh_that_logs(host, mesh):
    switch(host, "on")
    switch(host, "off", "bookinfo")
    assert specs(mesh)["bookinfo/meshwright-accesslog"] == {"accessLogging": OFF}
    assert switch(host, "reset") == [
        (Action.DESTROY, "bookinfo/meshwright-accesslog"),
        (Action.DESTROY, "istio-system/meshwright-accesslog"),
    ]
    assert specs(mesh) == {}


def test_a_workload_is_selected_as_its_deployment_selects_it(host, mesh):
    switch(host, "on", "bookinfo/reviews")
    assert specs(mesh) == {
        "bookinfo/meshwright-accesslog-reviews-v1": {
            "selector": {"matchLabels": {"app": "reviews", "version": "v1"}},
            "accessLogging": ON,
        }
    }


def test_another_format_must_be_one_that_the_mesh_has(host, mesh):
    mesh.put(config(extensionProviders=[{"name": "json", "envoyFileAccessLog": {}}, {"name": "zipkin", "zipkin": {}}]))
    switch(host, "on", provider="json")
    assert specs(mesh)["istio-system/meshwright-accesslog"]["accessLogging"] == [{"providers": [{"name": "json"}]}]
    with pytest.raises(BadInput, match="no log format 'zipkin'") as raised:
        planned(host, "on", provider="zipkin")
    assert "envoy, json" in raised.value.hint


def test_beside_somebody_elses_for_the_same_scope_ours_would_do_nothing(host, mesh):
    mesh.put(telemetry("default", "istio-system", metrics=[]))
    with pytest.raises(Refused, match="istio-system/default is for the mesh already"):
        planned(host, "on")
    assert not planned(host, "on", "bookinfo").empty


@pytest.mark.parametrize(("to", "scope", "sentence"), [
    ("", "", "nothing says whether"),
    ("maybe", "", "cannot be switched 'maybe'"),
    ("on", "nowhere", "there is no namespace 'nowhere'"),
    ("on", "bookinfo/reviwes", "belongs to a workload 'bookinfo/reviwes'"),
    ("on", "istio-system", "is the mesh's root namespace"),
])  # fmt: skip
@pytest.mark.usefixtures("mesh")
def test_what_cannot_be_switched(host, to, scope, sentence):
    with pytest.raises(MeshwrightError, match=sentence):
        planned(host, to, scope)


def test_without_a_mesh_it_is_known_later(host, mesh, monkeypatch):
    mesh.unknown.add(("telemetry.istio.io/v1", "Telemetry"))
    assert planned(host, "on").after == "istio"
    monkeypatch.setattr(cluster, "session", lambda *_: None)
    assert planned(host, "on").after == "cluster"
