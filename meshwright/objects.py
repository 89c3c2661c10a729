"""Kubernetes objects: desired against live, and bringing the live ones to the desired.

Istio's own kinds have no defaults, so they are compared here. For other kinds only the API server knows what it would
make of an object: they are compared with the answer to a dry run (DESIGN 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import difference, foreign
from meshwright.errors import MeshwrightError, Refused
from meshwright.kube import ApiError, Session
from meshwright.plan import Action, Change

__all__ = ["Adjust", "Compared", "Object", "apply", "compare", "key", "live", "title"]

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
    "PeerAuthentication",
    "RequestAuthentication",
    "AuthorizationPolicy",
    "ServiceEntry",
    "DestinationRule",
    "Gateway",
    "VirtualService",
)


def key(obj: Object) -> Key:
    """What names an object in a cluster: apiVersion, kind, namespace ("" for none), name."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def title(obj: Object) -> str:
    """NAMESPACE/NAME, or NAME."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def live(session: Session, wanted: Iterable[Object]) -> dict[Key, Object]:
    """The live objects under the keys of `wanted`, by one LIST per kind and namespace; absent ones are not in it."""
    groups: dict[tuple[str, str, str], set[Key]] = defaultdict(set)
    for obj in wanted:
        api, kind, namespace, _ = key(obj)
        groups[api, kind, namespace].add(key(obj))
    found: dict[Key, Object] = {}
    for listed in session.map(lambda group: session.list(group[0], group[1], group[2] or None), list(groups)):
        found.update({key(obj): obj for obj in listed})
    keys = set().union(*groups.values()) if groups else set()
    return {k: obj for k, obj in found.items() if k in keys}


@dataclass(frozen=True)
class Compared:
    """What applying would change, and sentences about fields that are somebody else's."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]


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
        return Change(Action.CHANGE, obj["kind"], title(obj), fields, payload=obj) if fields else None

    ordered = _in_order(wanted)
    changes = tuple(found for found in session.map(change, ordered) if found is not None)
    notes = [s for obj in ordered if key(obj) in there for s in foreign.sentences(there[key(obj)], obj, manager)]
    return Compared(changes, tuple(notes))


def _predicted(session: Session, now: Object, wanted: Object, manager: str, force: bool) -> Object:
    """The object as it would be after the apply."""
    if _same(now, wanted):
        return now
    if session.resource(wanted["apiVersion"], wanted["kind"]) is None:
        return wanted
    try:
        return session.apply(wanted, manager=manager, force=force, dry_run=True)
    except ApiError as error:
        raise _explained(error, wanted) from None


def _same(now: Object, wanted: Object) -> bool:
    """True when an apply provably changes nothing and needs no question to the API server: Istio's kinds and CRDs,
    whose content the server stores as it was sent."""
    group = wanted["apiVersion"].partition("/")[0]
    if not (group.endswith("istio.io") or wanted["kind"] == "CustomResourceDefinition"):
        return False
    for part in ("labels", "annotations"):
        have = now["metadata"].get(part) or {}
        if any(have.get(k) != v for k, v in (wanted["metadata"].get(part) or {}).items()):
            return False
    spec = dict(now.get("spec") or {})
    if wanted["kind"] == "CustomResourceDefinition":
        spec.pop("conversion", None)  # the one default that the API server adds
    return spec == (wanted.get("spec") or {})


def apply(session: Session, changes: Iterable[Change], *, manager: str = "meshwright", force: bool = False) -> None:
    """Applies the payloads of `changes` in order. Raises Refused (conflict) and what a session raises."""
    for change in changes:
        try:
            session.apply(change.payload, manager=manager, force=force)
        except ApiError as error:
            raise _explained(error, change.payload) from None


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


def _in_order(objects: Iterable[Object]) -> list[Object]:
    rank = {kind: index for index, kind in enumerate(_ORDER)}
    return sorted(objects, key=lambda obj: rank.get(obj["kind"], len(rank)))
