"""Whether an object has become what it was asked to be: the rules, as pure functions of its JSON.

The rules are those of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus), which kubectl's and Argo CD's are close to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Progress", "progress"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far an object is. `why` says what it waits for, or why it `failed` (it says itself that it gave up)."""

    done: bool
    why: str = ""
    failed: bool = False


_DONE = Progress(True)


def progress(obj: Object) -> Progress:
    """How far an object of one of `KINDS` is."""
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Progress(False, "it is being deleted")
    if obj["kind"] != "CustomResourceDefinition" and status.get("observedGeneration", 0) < metadata.get(
        "generation", 0
    ):
        return Progress(False, "its controller has not seen the change yet")
    return _RULES[obj["kind"]](obj.get("spec") or {}, status)


def _deployment(spec: Object, status: Object) -> Progress:
    moving = _condition(status, "Progressing")
    if moving.get("reason") == "ProgressDeadlineExceeded":
        return Progress(False, str(moving.get("message") or "its progress deadline is exceeded"), failed=True)
    wanted = spec.get("replicas", 1)
    have, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    if updated >= wanted and have > updated:
        return Progress(False, f"{have - updated} old pods are still there")
    found = _short(
        wanted,
        ("updated", updated),
        ("available", status.get("availableReplicas", 0)),
        ("ready", status.get("readyReplicas", 0)),
    )
    if found.done and wanted and _condition(status, "Available").get("status", "True") != "True":
        return Progress(False, "it is not available")
    return found


def _stateful_set(spec: Object, status: Object) -> Progress:
    wanted, ready = spec.get("replicas", 1), ("ready", status.get("readyReplicas", 0))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return _short(wanted, ready)
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if partition:
        updated = status.get("updatedReplicas", 0)
        found = _short(wanted, ready)
        return found if not found.done else _short(max(wanted - partition, 0), ("updated", updated))
    found = _short(wanted, ready)
    if found.done and status.get("currentRevision") != status.get("updateRevision"):
        return Progress(False, f"{status.get('updatedReplicas', 0)} of {wanted} updated")
    return found


def _daemon_set(spec: Object, status: Object) -> Progress:
    wanted = status.get("desiredNumberScheduled", 0)
    counts = [
        ("scheduled", status.get("currentNumberScheduled", 0)),
        ("updated", status.get("updatedNumberScheduled", 0)),
        ("available", status.get("numberAvailable", 0)),
        ("ready", status.get("numberReady", 0)),
    ]
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        counts = [c for c in counts if c[0] != "updated"]
    return _short(wanted, *counts)


def _crd(_spec: Object, status: Object) -> Progress:
    names = _condition(status, "NamesAccepted")
    if names.get("status") == "False":
        return Progress(False, str(names.get("message") or "its names are not accepted"), failed=True)
    if _condition(status, "Established").get("status") == "True":
        return _DONE
    return Progress(False, "it is not established")


def _short(wanted: int, *counts: tuple[str, int]) -> Progress:
    """The first count that is below `wanted`."""
    for word, count in counts:
        if count < wanted:
            return Progress(False, f"{count} of {wanted} {word}")
    return _DONE


def _condition(status: Object, kind: str) -> Object:
    conditions: Iterable[Object] = status.get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


_RULES: dict[str, Callable[[Object, Object], Progress]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "CustomResourceDefinition": _crd,
}
KINDS = dict.fromkeys(_RULES, "apps/v1") | {"CustomResourceDefinition": "apiextensions.k8s.io/v1"}
"""The kinds that have a rule, with their apiVersion."""
