"""Kubernetes objects: desired against live, and bringing the live ones to the desired.

Istio's own kinds have no defaults, so they are compared here. For other kinds only the API server knows what it would
make of an object: they are compared with the answer to a dry run (DESIGN 5).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from meshwright import difference, foreign
from meshwright.errors import MeshwrightError, Refused
from meshwright.kube import ApiError, Session
from meshwright.plan import Action, Change, Compared

__all__ = ["Adjust", "Beat", "Object", "apply", "compare", "in_order", "key", "live", "title"]

Object = dict[str, Any]
Key = tuple[str, str, str, str]
Adjust = Callable[[Object, Object], Object]
"""`adjust(live, wanted)` gives the wanted object with fields put right that somebody else owns by rule."""

_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    # A guard before what it guards.
    "PeerAuthentication",
    "RequestAuthentication",
    "AuthorizationPolicy",
    # What is named before what names it.
    "ServiceEntry",
    "WorkloadEntry",
    "DestinationRule",
    "GatewayClass",
    "Gateway",
    "ReferenceGrant",
    "VirtualService",
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "BackendTLSPolicy",
)
_TRIES = 5
_FENCES = ("resourceVersion", "uid")
_LAST = ("EnvoyFilter", "Sidecar", "Telemetry")


def key(obj: Object) -> Key:
    """What names an object in a cluster: apiVersion, kind, namespace ("" for none), name."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def title(obj: Object) -> str:
    """NAMESPACE/NAME, or NAME."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def live(session: Session, wanted: Iterable[Object]) -> dict[Key, Object]:
    """The live objects under the keys of `wanted`, by one LIST per kind; absent ones are not in it."""
    keys = {key(obj) for obj in wanted}
    namespaces: dict[tuple[str, str], set[str]] = defaultdict(set)
    for api, kind, namespace, _ in keys:
        namespaces[api, kind].add(namespace)
    # One namespace is listed alone: that needs fewer rights, and less is sent. Five hundred are not.
    groups = [(*kind, next(iter(found)) if len(found) == 1 else "") for kind, found in namespaces.items()]
    listed = session.map(lambda group: session.list(group[0], group[1], group[2] or None), groups)
    return {key(obj): obj for objs in listed for obj in objs if key(obj) in keys}


def compare(
    session: Session,
    wanted: Sequence[Object],
    *,
    manager: str = "meshwright",
    force: bool = False,
    adjust: Adjust | None = None,
) -> Compared:
    """What applying `wanted` as `manager` would change, in the order of applying. The payload of each is the object.

    Raises Refused: another manager owns a field that would change (not with `force`).
    """
    there = live(session, wanted)

    def change(obj: Object) -> Change | None:
        now = there.get(key(obj))
        if now is None:
            return Change(Action.ADD, obj["kind"], title(obj), difference.added(obj), payload=obj)
        put_right = adjust(now, obj) if adjust else obj
        after = _predicted(session, now, put_right, manager, force)
        fields = difference.between(now, after)
        return Change(Action.CHANGE, obj["kind"], title(obj), fields, payload=_fenced(obj, now)) if fields else None

    ordered = in_order(wanted)
    changes = tuple(found for found in session.map(change, ordered) if found is not None)
    notes = [s for obj in ordered if key(obj) in there for s in foreign.sentences(there[key(obj)], obj, manager)]
    return Compared(changes, tuple(notes), tuple(f"{obj['kind']}/{title(obj)}" for obj in ordered))


def _predicted(session: Session, now: Object, wanted: Object, manager: str, force: bool) -> Object:
    """The object as it would be after the apply."""
    if _same(now, wanted, manager):
        return now
    if session.resource(wanted["apiVersion"], wanted["kind"]) is None:
        return wanted
    try:
        return session.apply(wanted, manager=manager, force=force, dry_run=True)
    except ApiError as error:
        raise _explained(error, wanted) from None


def _fenced(wanted: Object, now: Object) -> Object:
    """The object bound to what was looked at: a write that comes after somebody else's is refused. The version alone
    would not do: where the object is gone, an apply with a version makes it anew, and one with a uid does not."""
    return {**wanted, "metadata": {**wanted["metadata"], **{part: now["metadata"][part] for part in _FENCES}}}


def _unfenced(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in _FENCES}}


def _same(now: Object, wanted: Object, manager: str) -> bool:
    """True when an apply provably changes nothing and needs no question to the API server: Istio's kinds and CRDs,
    whose content the server stores as it was sent."""
    group = wanted["apiVersion"].partition("/")[0]
    if not (group.endswith("istio.io") or wanted["kind"] == "CustomResourceDefinition"):
        return False
    for part in ("labels", "annotations"):
        have = now["metadata"].get(part) or {}
        want = wanted["metadata"].get(part) or {}
        if any(have.get(k) != v for k, v in want.items()) or _own(now, manager, part) - want.keys():
            return False
    spec = dict(now.get("spec") or {})
    if wanted["kind"] == "CustomResourceDefinition":
        spec.pop("conversion", None)  # the one default that the API server adds
    return spec == (wanted.get("spec") or {})


def _own(now: Object, manager: str, part: str) -> set[str]:
    """The labels or annotations that `manager` has applied: those that an apply without them takes away."""
    return {
        name.removeprefix("f:")
        for entry in now["metadata"].get("managedFields") or []
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
        for name in ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{part}") or {}
        if name.startswith("f:")
    }


def apply(
    session: Session,
    changes: Iterable[Change],
    *,
    manager: str = "meshwright",
    force: bool = False,
    pace: float | None = None,
) -> None:
    """Applies the payloads of `changes`, kind by kind in order, several of a kind at once.

    `pace` is the most writes a second; None: as fast as the API server takes them. Raises Refused (conflict, or
    changed since it was looked at) and what a session raises.
    """
    beat = Beat(pace)

    def write(change: Change) -> None:
        obj = change.payload
        for _ in range(_TRIES):
            beat.wait()
            try:
                session.apply(obj, manager=manager, force=force)
                return
            except ApiError as error:
                if error.reason != "Conflict" or error.causes:
                    raise _explained(error, obj) from None
            # Its version has changed. A status is written all the time; only another change than the one that was
            # approved is a reason to stop.
            now = session.get(*key(obj)[:2], obj["metadata"]["name"], obj["metadata"].get("namespace"))
            if (
                now is None
                or difference.between(now, _predicted(session, now, _unfenced(obj), manager, force)) != change.fields
            ):
                break
            obj = _fenced(obj, now)
        raise Refused(
            f"{obj['kind']} {title(obj)} was changed by somebody else since its plan was made",
            hint="Look at the new plan",
        )

    for _, same in groupby(changes, key=lambda change: change.kind):
        session.map(write, list(same))


class Beat:
    """Spreads calls of `wait` from several threads over time: at most `pace` a second; None: no limit."""

    def __init__(self, pace: float | None) -> None:
        self._gap = 1 / pace if pace else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when it is this caller's turn."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)


def _explained(error: ApiError, obj: Object) -> MeshwrightError:
    what = f"{obj['kind']} {title(obj)}"
    if error.reason == "Conflict" and error.causes:
        owners = "; ".join(f"{cause.get('field')}: {cause.get('message')}" for cause in error.causes)
        return Refused(
            f"{what} has fields that another manager owns: {owners}",
            hint="Take the field out of your values, or let go of it there",
        )
    if error.webhook:
        return MeshwrightError(
            f"istiod is unavailable: its webhook {error.webhook} could not be asked about {what}",
            hint="The object may be fine. `meshwright check` says what is wrong with istiod",
        )
    return error


def in_order(objects: Iterable[Object]) -> list[Object]:
    """The objects in the order in which they are applied (DESIGN 5); those of one kind as they came."""
    rank = {kind: index for index, kind in enumerate((*_ORDER, "", *_LAST))}
    # By kind too, so that those of one kind that has no place of its own come one after the other.
    return sorted(objects, key=lambda obj: (rank.get(obj["kind"], rank[""]), obj["kind"]))
