from __future__ import annotations

from typing import Any

import pytest

from meshwright.kube.rollout import Progress, progress

GOOD: dict[str, dict[str, Any]] = {
    "Deployment": {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2},
    "StatefulSet": {
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": "b",
        "updateRevision": "b",
    },
    "DaemonSet": {
        "desiredNumberScheduled": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberReady": 2,
    },
}


def made(kind: str, status: dict[str, Any], **spec: Any) -> Progress:
    return progress(
        {
            "kind": kind,
            "metadata": {"generation": 3},
            "spec": {"replicas": 2, **spec},
            "status": {"observedGeneration": 3, **GOOD.get(kind, {}), **status},
        }
    )


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


@pytest.mark.parametrize("kind", GOOD)
def test_done(kind: str) -> None:
    assert made(kind, {}) == Progress(True)


@pytest.mark.parametrize("kind", GOOD)
def test_a_change_that_the_controller_has_not_seen_is_not_done(kind: str) -> None:
    assert made(kind, {"observedGeneration": 2}).why == "its controller has not seen the change yet"


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_being_deleted_is_not_done(kind: str) -> None:
    found = progress({"kind": kind, "metadata": {"deletionTimestamp": "now"}, "status": GOOD[kind]})
    assert (found.done, found.why) == (False, "it is being deleted")


@pytest.mark.parametrize(
    ("kind", "status", "spec", "why"),
    [
        ("Deployment", {"updatedReplicas": 1}, {}, "1 of 2 updated"),
        ("Deployment", {"replicas": 3}, {}, "1 old pods are still there"),
        ("Deployment", {"availableReplicas": 0}, {}, "0 of 2 available"),
        ("Deployment", {"readyReplicas": 1}, {}, "1 of 2 ready"),
        ("Deployment", condition("Available", "False"), {}, "it is not available"),
        ("StatefulSet", {"readyReplicas": 1}, {}, "1 of 2 ready"),
        ("StatefulSet", {"currentRevision": "a", "updatedReplicas": 1}, {}, "1 of 2 updated"),
        (
            "StatefulSet",
            {"updatedReplicas": 0},
            {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
            "0 of 1 updated",
        ),
        ("DaemonSet", {"currentNumberScheduled": 1}, {}, "1 of 2 scheduled"),
        ("DaemonSet", {"updatedNumberScheduled": 0}, {}, "0 of 2 updated"),
        ("DaemonSet", {"numberAvailable": 1}, {}, "1 of 2 available"),
        ("CustomResourceDefinition", {}, {}, "it is not established"),
    ],
)
def test_what_it_waits_for(kind: str, status: dict[str, Any], spec: dict[str, Any], why: str) -> None:
    assert made(kind, status, **spec) == Progress(False, why)


@pytest.mark.parametrize(
    ("kind", "status", "spec"),
    [
        ("StatefulSet", {"currentRevision": "a"}, {"updateStrategy": {"type": "OnDelete"}}),
        ("DaemonSet", {"updatedNumberScheduled": 0}, {"updateStrategy": {"type": "OnDelete"}}),
        ("Deployment", dict.fromkeys(GOOD["Deployment"], 0), {"replicas": 0}),
        ("CustomResourceDefinition", condition("Established", "True"), {}),
    ],
)
def test_what_needs_no_more(kind: str, status: dict[str, Any], spec: dict[str, Any]) -> None:
    assert made(kind, status, **spec).done


def test_what_gave_up() -> None:
    late = condition("Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out")
    assert made("Deployment", late) == Progress(False, "ReplicaSet has timed out", failed=True)
    taken = condition("NamesAccepted", "False", message="plural is taken")
    assert made("CustomResourceDefinition", taken) == Progress(False, "plural is taken", failed=True)
