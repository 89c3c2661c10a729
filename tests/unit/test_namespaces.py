"""The environment's namespaces and their labels."""

from __future__ import annotations

import pytest
from fakes import FakeSession, FakeTarget, environment

from meshwright import cluster, namespaces
from meshwright.errors import MeshwrightError
from meshwright.options import Options
from meshwright.plan import Action, Field

ENV = environment(
    namespaces={
        "bookinfo": {"injection": "enabled", "labels": {"team": "shop"}},
        "canary": {"revision": "blue"},
        "plain": {},
        "gone": None,
    }
)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession()
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def test_the_objects() -> None:
    assert namespaces.wanted(ENV) == [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "bookinfo", "labels": {"team": "shop", "istio-injection": "enabled"}},
        },
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "canary", "labels": {"istio.io/rev": "blue"}}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "plain"}},
    ]


def test_before_there_is_a_cluster_it_is_known_after(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    plan = namespaces.ensure.plan(host, ENV)
    assert (plan.after, plan.changes) == ("cluster", ())


def test_what_is_missing_is_made_and_then_there_is_nothing_to_do(host: FakeTarget, session: FakeSession) -> None:
    plan = namespaces.ensure.plan(host, ENV)
    assert [(change.action, change.name) for change in plan.changes] == [
        (Action.ADD, "bookinfo"),
        (Action.ADD, "canary"),
        (Action.ADD, "plain"),
    ]
    namespaces.ensure.apply(host, ENV, plan)
    again = namespaces.ensure.plan(host, ENV)
    assert again.empty
    assert again.checked == 3
    assert again.desired == plan.desired


def test_a_label_is_put_right_and_others_labels_stay(host: FakeTarget, session: FakeSession) -> None:
    session.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "canary", "labels": {"kept": "1"}}})
    plan = namespaces.ensure.plan(host, ENV)
    [change] = [change for change in plan.changes if change.name == "canary"]
    assert change.action is Action.CHANGE
    assert change.fields == (Field('metadata.labels."istio.io/rev"', None, "blue"),)
    namespaces.ensure.apply(host, ENV, plan)
    live = session.get("v1", "Namespace", "canary")
    assert live is not None
    assert live["metadata"]["labels"] == {"kept": "1", "istio.io/rev": "blue"}


def test_a_label_that_somebody_else_set_otherwise_is_blocked(host: FakeTarget, session: FakeSession) -> None:
    session.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bookinfo", "labels": {"team": "other"}}}
    )
    [change] = [change for change in namespaces.ensure.plan(host, ENV).changes if change.name == "bookinfo"]
    assert change.blocked is not None
    assert change.blocked.reason == "metadata.labels.team is of kubectl"
    host.shared.options = Options(adopt=frozenset({"Namespace/bookinfo"}))
    plan = namespaces.ensure.plan(host, ENV)
    assert not any(change.blocked for change in plan.changes)
    namespaces.ensure.apply(host, ENV, plan)
    assert session.objects["v1", "Namespace", "", "bookinfo"]["metadata"]["labels"]["team"] == "shop"


def test_a_namespace_that_is_not_wanted_any_more_is_not_deleted(host: FakeTarget, session: FakeSession) -> None:
    namespaces.ensure.apply(host, ENV, namespaces.ensure.plan(host, ENV))
    assert namespaces.ensure.plan(host, environment(namespaces={})).empty


def test_without_a_cluster_nothing_can_be_applied(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = namespaces.ensure.plan
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    with pytest.raises(MeshwrightError):
        namespaces.ensure.apply(host, ENV, plan(host, ENV))
