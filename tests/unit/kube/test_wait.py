from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fakeapi import GROUPS, FakeApi, Reply, group, status

from meshwright.errors import Exit, Forbidden, Unreachable, Unverified
from meshwright.kube import Session
from meshwright.kube.explain import explain, selector
from meshwright.kube.wait import Ref, ready, refs

Connect = Callable[..., Session]
ISTIOD = Ref("Deployment", "istiod", "istio-system")
DEPLOYMENTS = "/apis/apps/v1/namespaces/istio-system/deployments"
PODS = "/api/v1/namespaces/istio-system/pods"
EVENTS = "/api/v1/namespaces/istio-system/events"


def deployment(available: int, **condition: Any) -> dict[str, Any]:
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": available, "readyReplicas": available}
    return {
        "metadata": {"name": "istiod", "namespace": "istio-system", "generation": 1},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "istiod"}}},
        "status": {"observedGeneration": 1, **counts, "conditions": [condition] if condition else []},
    }


def listed(*items: dict[str, Any]) -> Reply:
    return Reply(body={"metadata": {}, "items": list(items)})


def pod(**state: Any) -> dict[str, Any]:
    container = {"name": "discovery", "image": "docker.io/istio/pilot:9.9.9", "ready": False, **state}
    return {
        "metadata": {"name": "istiod-1", "namespace": "istio-system"},
        "status": {"phase": "Pending", "containerStatuses": [container]},
    }


BACK_OFF = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}


def test_returns_when_all_is_ready_and_says_how_far_it_is(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", DEPLOYMENTS] = [listed(), listed(deployment(0)), listed(deployment(0)), listed(deployment(1))]
    said: list[str] = []
    ready(connect(), [ISTIOD], timeout=5, say=said.append, pause=0.01)
    assert said == [
        "0 of 1 ready, waiting for Deployment istio-system/istiod: it does not exist",
        "0 of 1 ready, waiting for Deployment istio-system/istiod: 0 of 1 available",
    ]


def test_out_of_time_names_pod_container_image_reason_and_events(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", DEPLOYMENTS] = listed(deployment(0))
    api.answers["GET", PODS] = listed(pod(**BACK_OFF))
    normal = {"type": "Normal", "reason": "Scheduled", "message": "fine", "lastTimestamp": "2026-01-01T00:00:09Z"}
    events = [
        {"type": "Warning", "reason": "Failed", "message": f"pull {n}", "lastTimestamp": f"2026-01-01T00:00:0{n}Z"}
        for n in (4, 1, 3, 2)
    ]
    api.answers["GET", EVENTS] = listed(normal, *events)
    with pytest.raises(Unverified) as error:
        ready(connect(), [ISTIOD], timeout=0.05, pause=0.01)
    assert error.value.message == (
        "Deployment istio-system/istiod is not ready after 0.05 s: 0 of 1 available; "
        "pod istio-system/istiod-1: container discovery (image docker.io/istio/pilot:9.9.9) waits: "
        "ImagePullBackOff (Back-off pulling image)"
    )
    assert error.value.hint.splitlines() == [
        "Seen there:",
        "  2026-01-01T00:00:02 Failed (pull 2)",
        "  2026-01-01T00:00:03 Failed (pull 3)",
        "  2026-01-01T00:00:04 Failed (pull 4)",
    ]
    assert error.value.exit_code is Exit.UNVERIFIED


def test_giving_up_ends_the_wait_at_once_but_not_for_an_earlier_runs_failure(api: FakeApi, connect: Connect) -> None:
    gave_up = deployment(0, type="Progressing", status="False", reason="ProgressDeadlineExceeded", message="timed out")
    api.answers["GET", PODS] = listed()
    api.answers["GET", DEPLOYMENTS] = [listed(deployment(0)), listed(gave_up)]
    with pytest.raises(Unverified, match=r"istiod gave up: timed out; namespace istio-system has no pod"):
        ready(connect(), [ISTIOD], timeout=60, pause=0.01)
    api.answers["GET", DEPLOYMENTS] = [listed(gave_up), listed(gave_up), listed(deployment(1))]
    ready(connect(), [ISTIOD], timeout=60, pause=0.01)


def test_a_short_silence_of_the_api_server_is_waited_out(
    api: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Reply(503, b"not here")
    api.answers["GET", DEPLOYMENTS] = [away, away, listed(deployment(1))]
    ready(connect(), [ISTIOD], timeout=5, pause=0.01)
    monkeypatch.setattr("meshwright.kube.wait._SILENCE", 0.05)
    api.answers["GET", DEPLOYMENTS] = away
    start = time.monotonic()
    with pytest.raises(Unreachable):
        ready(connect(), [ISTIOD], timeout=60, pause=0.01)
    assert time.monotonic() - start < 5


def test_forbidden_is_no_reason_to_wait(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", DEPLOYMENTS] = status(403, "Forbidden", 'User "op" cannot list resource "deployments"')
    with pytest.raises(Forbidden):
        ready(connect(), [ISTIOD], timeout=60)


def test_new_kinds_are_known_once_their_crds_are_established(api: FakeApi, connect: Connect) -> None:
    session = connect()
    assert session.resource("example.io/v1", "Widget") is None

    def crd(established: str) -> Reply:
        conditions = [{"type": "Established", "status": established}]
        return listed({"metadata": {"name": "widgets.example.io"}, "status": {"conditions": conditions}})

    items = [*GROUPS, group("example.io", "v1", ("Widget", "widgets", True))]
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupDiscoveryList", "items": items})
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.answers["GET", path] = [crd("False"), crd("True")]
    ready(session, [Ref("CustomResourceDefinition", "widgets.example.io")], timeout=5, pause=0.01)
    assert session.resource("example.io/v1", "Widget")


def test_refs_are_what_can_be_waited_for() -> None:
    objects = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}},
        {"apiVersion": "example.io/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": "n"}},
    ]
    assert refs(objects) == [Ref("Deployment", "d", "n")]


# What is said of a pod


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (pod(state={"running": {}}), "runs but is not ready"),
        (pod(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), "it ended with 137 (OOMKilled) after"),
        (
            pod(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
            ),
            "waits: CrashLoopBackOff; it ended with 1 (Error) after writing: cannot open config",
        ),
        (
            {
                "metadata": {"name": "istiod-1", "namespace": "istio-system"},
                "status": {
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]
                },
            },
            "no node takes it: 0/1 nodes are available",
        ),
        (
            {"metadata": {"name": "istiod-1", "namespace": "istio-system"}, "status": {"phase": "Pending"}},
            "its containers have not been started",
        ),
    ],
)
def test_what_is_wrong_with_a_pod(api: FakeApi, connect: Connect, made: dict[str, Any], line: str) -> None:
    api.answers["GET", PODS] = listed(made)
    api.answers["GET", EVENTS] = listed()
    api.answers["GET", f"{PODS}/istiod-1/log"] = Reply(body=b"cannot open config\n")
    assert line in explain(connect(), "istio-system", "app=istiod")[0]


def test_an_init_container_that_fails_is_named_before_those_that_wait_for_it(api: FakeApi, connect: Connect) -> None:
    made = pod(state={"waiting": {"reason": "PodInitializing"}})
    made["status"]["initContainerStatuses"] = [{"name": "istio-init", "image": "proxyv2", **BACK_OFF}]
    api.answers["GET", PODS] = listed(made)
    api.answers["GET", EVENTS] = listed()
    assert "container istio-init" in explain(connect(), "istio-system", "app=istiod")[0]


def test_ready_and_finished_pods_are_no_problem(api: FakeApi, connect: Connect) -> None:
    fine = pod(ready=True, state={"running": {}})
    finished = pod()
    finished["status"]["phase"] = "Succeeded"
    api.answers["GET", PODS] = listed(fine, finished)
    assert explain(connect(), "istio-system", "app=istiod") == []


def test_explaining_never_fails(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", PODS] = status(403, "Forbidden", 'User "op" cannot list resource "pods"')
    [line] = explain(connect(), "istio-system", "app=istiod")
    assert line.startswith("why could not be looked up: context lab may not list Pod")


def test_the_selector_of_a_workload(api: FakeApi, connect: Connect) -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
    ]
    wanted = selector({"spec": {"selector": {"matchLabels": {"app": "x"}, "matchExpressions": expressions}}})
    assert wanted == "app=x,tier in (a,b),!old,new"
    api.answers["GET", PODS] = listed(pod(ready=True, state={"running": {}}))
    explain(connect(), "istio-system", wanted)
    assert parse_qs(urlsplit(api.requests[-1].path).query)["labelSelector"] == [wanted]
