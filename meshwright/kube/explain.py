"""Why pods are not ready: which one, which container, which image, what it waits for, its last events."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from meshwright.errors import MeshwrightError
from meshwright.kube.session import Session

__all__ = ["explain", "selector"]

Object = dict[str, Any]

_PODS_SHOWN = 3
_EVENTS_SHOWN = 3
# Reasons that say only that something else comes first.
_VAGUE = frozenset({"PodInitializing", "ContainerCreating"})


def selector(obj: Object) -> str:
    """The label selector of a workload (Deployment, StatefulSet, DaemonSet) as text; empty when it has none."""
    wanted = (obj.get("spec") or {}).get("selector") or {}
    terms = [f"{k}={v}" for k, v in (wanted.get("matchLabels") or {}).items()]
    for term in wanted.get("matchExpressions") or []:
        key, operator, values = term.get("key"), term.get("operator"), ",".join(term.get("values") or [])
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(str(words.get(operator, f"!{key}")))
    return ",".join(terms)


def explain(session: Session, namespace: str, labels: str) -> list[str]:
    """Lines for a person: for each pod with `labels` that is not ready (three at most) what is wrong with it, then its
    last events. The first line is the most telling. Never raises: what could not be looked at is said in a line."""
    try:
        pods = session.list("v1", "Pod", namespace, labels=labels)
        waiting = [(pod, found) for pod in pods if (found := _problem(session, pod))]
        if not pods:
            return _no_pods(session, namespace, labels)
        lines: list[str] = []
        for pod, found in waiting[:_PODS_SHOWN]:
            lines += [f"pod {namespace}/{pod['metadata']['name']}: {found}"]
            lines += _events(session, namespace, "Pod", pod["metadata"]["name"])
        if len(waiting) > _PODS_SHOWN:
            lines.append(f"and {len(waiting) - _PODS_SHOWN} more pods that are not ready")
        return lines
    except MeshwrightError as error:
        return [f"why could not be looked up: {error.message}"]


def _problem(session: Session, pod: Object) -> str:
    """What is wrong with a pod; empty when nothing is."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return ""
    if pod["metadata"].get("deletionTimestamp"):
        return "is being deleted"
    if status.get("phase") == "Failed":
        return f"failed: {_words(status)}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes it: {condition.get('message') or condition.get('reason')}"
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    found = [text for c in statuses if (text := _container(session, pod, c))]
    clear = [text for text in found if not any(word in text for word in _VAGUE)]
    if clear or found:
        return (clear or found)[0]
    return "" if statuses else "its containers have not been started"


def _container(session: Session, pod: Object, container: Object) -> str:
    state = container.get("state") or {}
    at = f"container {container.get('name')} (image {container.get('image')})"
    if waiting := state.get("waiting"):
        last = (container.get("lastState") or {}).get("terminated")
        text = f"{at} waits: {_words(waiting)}"
        return f"{text}; {_ended(session, pod, container, last)}" if last else text
    if ended := state.get("terminated"):
        return "" if ended.get("exitCode") == 0 else f"{at} {_ended(session, pod, container, ended)}"
    return "" if container.get("ready") else f"{at} runs but is not ready"


def _ended(session: Session, pod: Object, container: Object, ended: Object) -> str:
    """How a container ended, with the last line that it wrote."""
    text = f"it ended with {ended.get('exitCode')} ({ended.get('reason')})"
    metadata = pod["metadata"]
    previous = "waiting" in (container.get("state") or {})
    query = {"container": container.get("name"), "tailLines": 1, "previous": "true" if previous else "false"}
    path = f"/api/v1/namespaces/{quote(metadata['namespace'])}/pods/{quote(metadata['name'])}/log?{urlencode(query)}"
    try:
        line = session.get_raw(path).decode(errors="replace").strip()
    except MeshwrightError:
        return text
    return f"{text} after writing: {line[-300:]}" if line else text


def _words(state: Object) -> str:
    reason, message = state.get("reason"), " ".join(str(state.get("message") or "").split())
    return f"{reason} ({message[:300]})" if message and message != reason else str(reason or "no reason given")


def _events(session: Session, namespace: str, kind: str, name: str) -> list[str]:
    fields = f"involvedObject.kind={kind},involvedObject.name={name}"
    events = sorted(session.list("v1", "Event", namespace, fields=fields), key=_when)
    # What went well ("Pulled", "Scheduled") is no news while there are warnings.
    shown = [e for e in events if e.get("type") == "Warning"] or events
    return [f"  {_when(e)} {_words(e)}" for e in shown[-_EVENTS_SHOWN:]]


def _when(event: Object) -> str:
    last = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(last or (event.get("metadata") or {}).get("creationTimestamp") or "")[:19]


def _no_pods(session: Session, namespace: str, labels: str) -> list[str]:
    """No pod was even made: the ReplicaSets know why (a quota, pod security, a missing service account)."""
    lines = [f"namespace {namespace} has no pod with {labels}"]
    for replica_set in session.list("apps/v1", "ReplicaSet", namespace, labels=labels):
        name = replica_set["metadata"]["name"]
        if (replica_set.get("spec") or {}).get("replicas"):
            lines += [f"ReplicaSet {namespace}/{name} made none", *_events(session, namespace, "ReplicaSet", name)]
    return lines
