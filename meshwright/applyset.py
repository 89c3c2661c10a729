"""Which objects a component of an environment keeps: an ApplySet, as kubectl knows it.

The rules are those of KEP-3659 (kubernetes/enhancements): a parent object with an id, the tool, the kinds and the
namespaces of the members; members carry the id. Only what carries the id and is no longer wanted is ever pruned, and
never a namespace or a CRD.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshwright import difference, objects, ownership
from meshwright.errors import Refused
from meshwright.kube import Resource, Session
from meshwright.plan import Action, Blocked, Change

__all__ = ["NAMESPACE", "identifier", "kept", "member", "parent", "pruned", "put_right", "unshared"]

NAMESPACE = "meshwright"
_ID = "applyset.kubernetes.io/id"
_PART_OF = "applyset.kubernetes.io/part-of"
_FIELD = f'metadata.labels."{_PART_OF}"'
_TOOLING = "applyset.kubernetes.io/tooling"
_KINDS = "applyset.kubernetes.io/contains-group-kinds"
_NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
_TOOL = "meshwright/v1"
_NEVER = ("Namespace", "CustomResourceDefinition")


def identifier(name: str) -> str:
    """The id of the ApplySet whose parent is the ConfigMap `name` in our namespace."""
    raw = hashlib.sha256(f"{name}.{NAMESPACE}.ConfigMap.".encode()).digest()
    return f"applyset-{base64.urlsafe_b64encode(raw).decode().rstrip('=')}-v1"


def member(obj: objects.Object, name: str) -> objects.Object:
    """The object with the label that makes it a member."""
    labels = {**(obj["metadata"].get("labels") or {}), _PART_OF: identifier(name)}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def _group_kind(obj: objects.Object) -> str:
    group = obj["apiVersion"].rpartition("/")[0]
    return f"{obj['kind']}.{group}" if group else str(obj["kind"])


def parent(name: str, members: Iterable[objects.Object], also: objects.Object | None = None) -> objects.Object:
    """The parent object for `members`. With `also`, the live parent, it covers that one's members too: it must, until
    those that are no longer wanted are gone, or a killed run would forget them."""
    members = list(members)
    kinds = {_group_kind(obj) for obj in members}
    namespaces = {obj["metadata"].get("namespace", "") for obj in members} - {"", NAMESPACE}
    if also is not None:
        kinds |= set(_listed(also, _KINDS))
        namespaces |= set(_listed(also, _NAMESPACES))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {_ID: identifier(name)},
            "annotations": {
                _TOOLING: _TOOL,
                _KINDS: ",".join(sorted(kinds)),
                _NAMESPACES: ",".join(sorted(namespaces)),
            },
        },
    }


def _listed(obj: objects.Object, annotation: str) -> list[str]:
    text = (obj["metadata"].get("annotations") or {}).get(annotation, "")
    return [word for word in text.split(",") if word]


def kept(session: Session, name: str) -> objects.Object | None:
    """The live parent, None where there is none. Raises Refused: it belongs to another tool."""
    found = session.get("v1", "ConfigMap", name, NAMESPACE)
    if found is not None:
        tool = (found["metadata"].get("annotations") or {}).get(_TOOLING, "")
        if tool.partition("/")[0] != "meshwright":
            raise Refused(
                f"ConfigMap {NAMESPACE}/{name} is the ApplySet of {tool or 'another tool'}, not of Meshwright"
            )
    return found


def put_right(found: objects.Object | None, name: str, members: Sequence[objects.Object]) -> list[Change]:
    """What brings the live parent to `members` where nothing else is to be done: it was deleted, or a run was killed
    before its last write. Without it nothing of the set could ever be pruned."""
    wanted = parent(name, members)
    title = objects.title(wanted)
    why = "the list of what is kept here"
    if found is None:
        return [Change(Action.ADD, "ConfigMap", title, why=why, payload=wanted)] if members else []
    annotations = {**(found["metadata"].get("annotations") or {}), **wanted["metadata"]["annotations"]}
    labels = {**(found["metadata"].get("labels") or {}), **wanted["metadata"]["labels"]}
    after = {**found, "metadata": {**found["metadata"], "annotations": annotations, "labels": labels}}
    fields = difference.between(found, after)
    return [Change(Action.CHANGE, "ConfigMap", title, fields, why=why, payload=wanted)] if fields else []


def unshared(session: Session, changes: Iterable[Change]) -> list[Change]:
    """The changes, blocked where the object is a member of another set. Each would take it from the other, and in the
    end one would prune it."""
    return [replace(change, blocked=_shared(session, change)) if _taken(change) else change for change in changes]


def _taken(change: Change) -> str:
    """The id of the other set that a change would take an object from; "" for none."""
    if change.action is not Action.CHANGE or change.blocked:
        return ""
    return next((str(field.before) for field in change.fields if field.path == _FIELD and field.before), "")


def _shared(session: Session, change: Change) -> Blocked:
    other = _taken(change)
    found = session.list("v1", "ConfigMap", labels=f"{_ID}={other}", metadata_only=True)
    names = [objects.title(parent) for parent in found] or [other]
    return Blocked(
        f"another ApplySet keeps it, {names[0]}",
        hint="Take it out of one of the two; what is pruned there can be added here afterwards",
    )


def pruned(
    session: Session,
    name: str,
    found: objects.Object | None,
    wanted: Sequence[objects.Object],
    *,
    allow_empty: bool,
    lists: objects.Lists | None = None,
) -> list[Change]:
    """The live members of the set with the live parent `found` that are not in `wanted`, in reverse order of applying.
    The payload of each is the object. What is in `lists` was listed a moment ago, and is not listed again.

    Raises Refused: nothing at all is wanted any more, and that is not allowed.
    """
    if found is None:
        return []
    stay = {_identity(obj) for obj in wanted}
    # A kind that the API server no longer knows has no objects left.
    kinds = [
        resource
        for group_kind in _listed(found, _KINDS)
        if group_kind.partition(".")[0] not in _NEVER
        and (resource := session.preferred(group_kind.partition(".")[2], group_kind.partition(".")[0]))
    ]
    listed = session.map(lambda kind: _members(session, kind, name, lists or {}), kinds)
    gone = [obj for members in listed for obj in members if _identity(obj) not in stay]
    if gone and not wanted and not allow_empty:
        raise Refused(
            f"nothing is wanted any more, which would delete all {len(gone)} objects of {name}",
            hint="If that is meant, set resources.allow_empty to true",
        )
    return [_destroyed(obj) for obj in reversed(objects.in_order(gone))]


def _members(session: Session, kind: Resource, name: str, lists: objects.Lists) -> list[objects.Object]:
    """The live members of a kind, in all namespaces."""
    known = {where: found for (*what, where), found in lists.items() if what == [kind.api_version, kind.kind]}
    mine = identifier(name)
    there = [
        obj for found in known.values() for obj in found if (obj["metadata"].get("labels") or {}).get(_PART_OF) == mine
    ]
    if "" in known:
        return there
    others = ",".join(f"metadata.namespace!={where}" for where in known)
    return [*there, *session.list(kind.api_version, kind.kind, labels=f"{_PART_OF}={mine}", fields=others)]


def _identity(obj: objects.Object) -> tuple[str, str, str]:
    """What names an object whatever the version it is asked for in."""
    return _group_kind(obj), obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _destroyed(obj: objects.Object) -> Change:
    keeper = ownership.owner(obj)
    blocked = _let_go(keeper, obj) if keeper else None
    why = "no longer in the values"
    return Change(Action.DESTROY, obj["kind"], objects.title(obj), why=why, payload=obj, blocked=blocked)


def _let_go(keeper: str, obj: objects.Object) -> Blocked:
    """A member that somebody else has taken over since: it is not ours to delete."""
    space = f"-n {obj['metadata']['namespace']} " if obj["metadata"].get("namespace") else ""
    return Blocked(
        f"{keeper} keeps it now",
        hint=f"Let go of it: `kubectl {space}label {_group_kind(obj)} {obj['metadata']['name']} {_PART_OF}-`",
        patch={"metadata": {"labels": {_PART_OF: None}}},
    )
