"""What keeps a pod, how much an update of it takes away at once, and when it gives no new pods at all."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from fakes import FakeSession

from meshwright.certs import workloads
from meshwright.certs.selectors import matches
from meshwright.certs.workloads import Budget, Workload, at_once, obstacle, of_pods, room
from meshwright.errors import MeshwrightError

Object = dict[str, Any]


def keeper(kind: str, **spec: Any) -> Object:
    return objects.made("apps/v1", kind, "it", "bookinfo", spec={"replicas": 4} | spec)


def rolling(**values: Any) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": values}


@pytest.mark.parametrize(
    ("obj", "taken"),
    [
        (keeper("Deployment"), 1),
        (keeper("Deployment", replicas=1), 0),
        (keeper("Deployment", replicas=3), 0),
        (keeper("Deployment", replicas=8), 2),
        (keeper("Deployment", strategy={"type": "Recreate"}), 4),
        (keeper("Deployment", strategy=rolling(maxUnavailable=0, maxSurge=1)), 0),
        (keeper("Deployment", strategy=rolling(maxUnavailable="50%")), 2),
        (keeper("Deployment", strategy=rolling(maxUnavailable="10%", maxSurge=0)), 1),
        (keeper("StatefulSet"), 1),
        (keeper("StatefulSet", updateStrategy=rolling(maxUnavailable=2)), 2),
        (keeper("DaemonSet"), 1),
        (keeper("DaemonSet", updateStrategy=rolling(maxUnavailable="50%")), 2),
        (keeper("DaemonSet", updateStrategy=rolling(maxSurge=1, maxUnavailable=0)), 0),
    ],
)
def test_how_many_pods_are_away_at_once(obj: Object, taken: int) -> None:
    assert at_once(obj, 4) == taken


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (keeper("Deployment"), ""),
        (keeper("Deployment", paused=True), "it is paused"),
        (keeper("Deployment", strategy={"type": "Recreate"}), ""),
        (keeper("StatefulSet"), ""),
        (keeper("StatefulSet", updateStrategy={"type": "OnDelete"}), "OnDelete"),
        (keeper("StatefulSet", updateStrategy=rolling(partition=2)), "below partition 2"),
        (keeper("StatefulSet", updateStrategy=rolling(partition=0)), ""),
        (keeper("DaemonSet", updateStrategy={"type": "OnDelete"}), "OnDelete"),
        (keeper("DaemonSet"), ""),
    ],
)
def test_an_update_that_replaces_no_pods(obj: Object, why: str) -> None:
    said, hint = obstacle(obj)
    assert why in said
    assert bool(said) is bool(why) is bool(hint)


@pytest.mark.parametrize(("taken", "design", "fine"), [(0, 0, True), (1, 0, False), (1, 1, True), (2, 1, False)])
def test_budgets_are_for_evictions_so_they_are_asked_here(taken: int, design: int, fine: bool) -> None:
    budget = Budget("bookinfo", "keep", {"matchLabels": {"app": "x"}}, design, design)
    said, hint = room(taken, [budget])
    assert (said == "") is fine
    assert fine or ("PodDisruptionBudget keep" in said and hint)


def test_whom_a_budget_is_over() -> None:
    labels = {"app": "x"}
    assert Budget("a", "b", {"matchLabels": labels}, 0, 0).covers("a", labels)
    assert Budget("a", "b", {}, 0, 0).covers("a", labels)
    assert not Budget("a", "b", {}, 0, 0).covers("other", labels)
    assert not Budget("a", "b", None, 0, 0).covers("a", labels)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "app", "operator": "In", "values": ["x", "y"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["x"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_selectors(expression: Object, holds: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"app": "x"}) is holds
    with pytest.raises(MeshwrightError, match="unknown operator Gt"):
        matches({"matchExpressions": [{"key": "app", "operator": "Gt"}]}, {"app": "x"})


def owned(kind: str, name: str, pod: str = "p-1") -> Object:
    found = objects.pod(pod)
    if kind:
        reference = {"apiVersion": "x/v1", "kind": kind, "name": name, "controller": True}
        found["metadata"]["ownerReferences"] = [reference]
    return found


def kept(session: FakeSession, *pods: Object) -> list[Workload]:
    return of_pods(pods, lambda _: False, workloads.read(session))


def replica_set(name: str, kind: str = "", above: str = "") -> Object:
    metadata = {"ownerReferences": [{"kind": kind, "name": above, "controller": True}]} if kind else {}
    return objects.made("apps/v1", "ReplicaSet", name, "bookinfo", metadata=metadata)


def test_pods_of_a_deployment_are_one_workload() -> None:
    session = FakeSession(keeper("Deployment"), replica_set("it-abc", "Deployment", "it"))
    [found] = kept(session, owned("ReplicaSet", "it-abc", "p-1"), owned("ReplicaSet", "it-abc", "p-2"))
    assert (str(found), found.pods, found.replicas, found.obstacle) == (
        "Deployment bookinfo/it",
        ("p-1", "p-2"),
        4,
        "",
    )


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("", "nothing keeps it"),
        ("Job", "a Job's pod is never restarted"),
        ("ReplicaSet", "what keeps it replaces no pods by itself"),
        ("ReplicationController", "what keeps it replaces no pods by itself"),
        ("Node", "the kubelet runs it from a file"),
        ("Rollout", "a Rollout keeps it"),
    ],
)
def test_pods_that_nobody_restarts_are_named_one_by_one(kind: str, why: str) -> None:
    [found] = kept(FakeSession(replica_set("x")), owned(kind, "x"))
    assert str(found) == "Pod bookinfo/p-1"
    assert why in found.obstacle
    assert found.hint


def test_a_replica_set_of_somebody_elses_kind() -> None:
    [found] = kept(FakeSession(replica_set("x", "Rollout", "shop")), owned("ReplicaSet", "x"))
    assert "a Rollout keeps it" in found.obstacle


def test_a_budget_that_never_lets_go() -> None:
    daemon = keeper("DaemonSet")
    daemon["spec"]["template"] = {"metadata": {"labels": {"app": "it"}}}
    budget = objects.budget("never", "bookinfo", {"app": "it"}) | {"status": {"expectedPods": 2, "desiredHealthy": 2}}
    [found] = kept(FakeSession(daemon, budget), owned("DaemonSet", "it"))
    assert "PodDisruptionBudget never allows 0" in found.obstacle
    assert found.guarded


def test_how_long_a_pod_takes() -> None:
    session, pod = FakeSession(keeper("StatefulSet")), owned("StatefulSet", "it")
    pod["metadata"]["creationTimestamp"] = "2026-11-22T20:00:00Z"
    [condition] = pod["status"]["conditions"]
    condition["lastTransitionTime"] = "2026-11-22T20:00:07Z"
    [found] = kept(session, pod)
    assert (found.startup, found.seconds) == (7, 28)
    condition["lastTransitionTime"] = "2026-11-22T21:00:07Z"
    assert kept(session, pod)[0].startup == 10


def test_gateways_come_last() -> None:
    names = ["b", "a", "gate"]
    session = FakeSession(*(objects.deployment(name, "bookinfo", {}) for name in names))
    pods = [owned("Deployment", name, name) for name in names]
    found = of_pods(pods, lambda pod: pod["metadata"]["name"] == "gate", workloads.read(session))
    assert [each.name for each in found] == ["a", "b", "gate"]
