"""What keeps the pods of proxies, and whether a rolling update of it gives them new certificates.

A rolling update does not ask PodDisruptionBudgets: those are for evictions. So what an update may take away at once is
compared here with what the budgets allow. How many that is, and when new pods come at all, are the rules of the
Deployment, StatefulSet and DaemonSet controllers (k8s.io/kubernetes, pkg/controller).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshwright.certs.selectors import matches
from meshwright.foreign import RESTARTED
from meshwright.kube import Session
from meshwright.pods import controller

__all__ = [
    "KINDS",
    "Budget",
    "Keeper",
    "Owners",
    "Workload",
    "at_once",
    "budgets",
    "obstacle",
    "of_pods",
    "read",
    "room",
]

Object = dict[str, Any]

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
"""Those that are restarted: by their own rolling update."""

_HELD = "nothing keeps it, so nothing would start it again"
_BARE = "what keeps it replaces no pods by itself"
# Whose pods are not replaced by an update, by the kind of the owner ("" for none): why, and what to do.
_NOT_RESTARTED: Mapping[str, tuple[str, str]] = {
    "": (_HELD, "Delete it and create it anew, or wait for its next certificate: --mode patient"),
    "Job": ("a Job's pod is never restarted", "Wait for its end, or for its next certificate: --mode patient"),
    "ReplicaSet": (_BARE, "Delete the pod: its ReplicaSet starts another"),
    "ReplicationController": (_BARE, "Delete the pod: its ReplicationController starts another"),
    "Node": ("the kubelet runs it from a file", "Restart it on its node"),
}


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget: how many pods it ever lets go at once (`design`), and how many now."""

    namespace: str
    name: str
    selector: Object | None
    design: int
    now: int

    def covers(self, namespace: str, labels: Object) -> bool:
        """Whether pods with these labels are under it; without a selector it is for none (policy/v1)."""
        return self.selector is not None and namespace == self.namespace and matches(self.selector, labels)


@dataclass(frozen=True, order=True)
class Workload:
    """What keeps pods with proxies. `gateway`: they are gateways. `pods` are their names, `replicas` how many there
    should be, `at_once` how many of them its update may take away before new ones are there. `obstacle` says why its
    update does not give them new certificates, `hint` what to do; both "" where it does. `template` is its pod
    template. `startup` is about how many seconds one of its pods takes to be ready, `guarded` whether a
    PodDisruptionBudget is over them."""

    gateway: bool
    kind: str
    namespace: str
    name: str
    replicas: int = field(default=1, compare=False)
    at_once: int = field(default=0, compare=False)
    obstacle: str = field(default="", compare=False)
    hint: str = field(default="", compare=False)
    pods: tuple[str, ...] = field(default=(), compare=False)
    template: Object = field(default_factory=dict, compare=False, repr=False)
    startup: float = field(default=10.0, compare=False)
    guarded: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def labels(self) -> Object:
        """The labels of its pods."""
        found: Object = (self.template.get("metadata") or {}).get("labels") or {}
        return found

    @property
    def restarted_for(self) -> str:
        """For which write it was restarted last ("" for none); its rolling update may still be under way."""
        return str(((self.template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED, ""))

    @property
    def seconds(self) -> float:
        """About how long its rolling update takes: pods are replaced some at a time."""
        return self.startup * max(1, math.ceil(self.replicas / max(1, self.at_once, self.replicas // 4)))


@dataclass(frozen=True)
class Owners:
    """The workloads of a cluster, and what keeps each ReplicaSet."""

    workloads: Mapping[tuple[str, str, str], Object]
    replica_sets: Mapping[tuple[str, str], Object]
    budgets: Sequence[Budget] = ()


Keeper = tuple[str, str, Object | None]
"""Kind and name of what keeps a pod, and the object where it is one of KINDS."""


def read(live: Session) -> Owners:
    """All of them, in one look. Raises Forbidden, Unreachable."""
    asked = [("apps/v1", kind, False) for kind in KINDS] + [("apps/v1", "ReplicaSet", True)]
    found = live.map(lambda each: live.list(each[0], each[1], metadata_only=each[2]), asked)
    known = {(o["kind"], *_names(o)): o for objects in found[:-1] for o in objects}
    return Owners(known, {_names(o): o for o in found[-1]}, budgets(live))


def budgets(live: Session, namespace: str | None = None) -> list[Budget]:
    """The PodDisruptionBudgets. Raises Forbidden, Unreachable."""
    found = []
    for each in live.list("policy/v1", "PodDisruptionBudget", namespace):
        status, selector = each.get("status") or {}, (each.get("spec") or {}).get("selector")
        design = status.get("expectedPods", 0) - status.get("desiredHealthy", 0)
        found.append(Budget(*_names(each), selector, max(0, design), status.get("disruptionsAllowed", 0)))
    return found


def _names(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])


def _keeper(pod: Object, owners: Owners) -> Keeper:
    namespace, owner = str(pod["metadata"]["namespace"]), controller(pod) or {}
    if owner.get("kind") == "ReplicaSet":
        above = controller(owners.replica_sets.get((namespace, owner["name"]), {"metadata": {}}))
        owner = above or owner
    kind, name = str(owner.get("kind") or ""), str(owner.get("name") or "")
    return kind, name, owners.workloads.get((kind, namespace, name))


def of_pods(pods: Iterable[Object], gateways: Callable[[Object], bool], owners: Owners) -> list[Workload]:
    """What keeps these pods, each once, gateways last; a pod that nothing keeps is one of its own."""
    kept: dict[tuple[str, str, str], list[Object]] = {}
    objects: dict[tuple[str, str, str], Object | None] = {}
    for pod in pods:
        kind, name, obj = _keeper(pod, owners)
        namespace, own = _names(pod)
        # What is not restarted is named by its pod: that is what somebody has to look at.
        key = (kind, namespace, name) if kind in KINDS and obj is not None else (kind or "Pod", namespace, own)
        kept.setdefault(key, []).append(pod)
        objects[key] = obj if key[0] in KINDS else None
    return sorted(_workload(key, objects[key], kept[key], any(map(gateways, kept[key])), owners) for key in kept)


def _workload(
    key: tuple[str, str, str], obj: Object | None, pods: Sequence[Object], gateway: bool, owners: Owners
) -> Workload:
    kind, namespace, name = key
    names = tuple(sorted(pod["metadata"]["name"] for pod in pods))
    startup = max(map(_startup, pods), default=10.0)
    if obj is None:
        why, hint = _NOT_RESTARTED.get("" if kind == "Pod" else kind, _of_another(kind))
        return Workload(gateway, "Pod", namespace, name, 1, 1, why, hint, names, startup=startup)
    template = obj["spec"].get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    replicas = obj["spec"].get("replicas", 1) if kind != "DaemonSet" else len(pods)
    taken = at_once(obj, len(pods))
    covering = [each for each in owners.budgets if each.covers(namespace, labels)]
    why, hint = obstacle(obj)
    if not why:
        why, hint = room(taken, covering)
    guarded = bool(covering)
    return Workload(gateway, kind, namespace, name, replicas, taken, why, hint, names, template, startup, guarded)


def _of_another(kind: str) -> tuple[str, str]:
    return f"a {kind} keeps it, which Meshwright does not restart", f"Restart that {kind} in its own way in each phase"


def obstacle(obj: Object) -> tuple[str, str]:
    """Why changing the pod template of a Deployment, StatefulSet or DaemonSet does not replace all its pods, and what
    to do; both "" where it does."""
    kind, spec = obj["kind"], obj["spec"]
    strategy = spec.get("updateStrategy") or {}
    if kind == "Deployment" and spec.get("paused"):
        return "it is paused, so its pods are not replaced", f"kubectl rollout resume deployment/{_names(obj)[1]}"
    if strategy.get("type") == "OnDelete":
        return (
            "its update strategy is OnDelete, so its pods are not replaced",
            "Set RollingUpdate for the change",
        )
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0) if kind == "StatefulSet" else 0
    if partition:
        return f"its update leaves out the pods below partition {partition}", "Set partition 0 for the change"
    return "", ""


def at_once(obj: Object, pods: int) -> int:
    """How many pods a rolling update may take away before others are ready in their place."""
    kind, spec = obj["kind"], obj["spec"]
    if kind == "Deployment":
        replicas, strategy = spec.get("replicas", 1), spec.get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return int(replicas)
        rolling = strategy.get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), replicas, math.ceil)
        away = _share(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
        # With neither there would be no way on, so the controller takes one (ResolveFenceposts).
        return away if surge or away else min(1, replicas)
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    if kind == "DaemonSet" and _share(rolling.get("maxSurge", 0), pods, math.ceil):
        return 0
    return max(1, _share(rolling.get("maxUnavailable", 1), pods, math.ceil))


def _share(value: int | str, whole: int, rounding: Callable[[float], int]) -> int:
    if isinstance(value, str):
        return rounding(int(value.rstrip("%")) * whole / 100)
    return value


def room(taken: int, covering: Sequence[Budget]) -> tuple[str, str]:
    """Whether the budgets over a workload ever allow what its update takes at once: why not, and what to do."""
    for each in covering:
        if taken > each.design:
            text = f"its update takes {taken} pods at a time, and PodDisruptionBudget {each.name} allows {each.design}"
            return text, "Set maxUnavailable 0 (and maxSurge 1) in its strategy, or widen the budget, for the change"
    return "", ""


def _startup(pod: Object) -> float:
    """Seconds from a pod's creation until it was ready; 10 where it does not say."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    said = next((c.get("lastTransitionTime") for c in conditions if c["type"] == "Ready" and c["status"] == "True"), "")
    begun = pod["metadata"].get("creationTimestamp")
    if not said or not begun:
        return 10.0
    seconds = (dt.datetime.fromisoformat(said) - dt.datetime.fromisoformat(begun)).total_seconds()
    # Of a pod that became ready again much later this says nothing.
    return seconds if 0 < seconds < 300 else 10.0
