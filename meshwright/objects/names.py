"""What Kubernetes objects are called, the order in which they are applied, and looking them up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshwright.kube import Session

__all__ = ["Key", "Lists", "Object", "among", "in_order", "key", "listed", "live", "named", "title"]

Object = dict[str, Any]
Key = tuple[str, str, str, str]
Lists = Mapping[tuple[str, str, str], Sequence[Object]]
"""Answers to LISTs, by apiVersion, kind and namespace ("" for all of them)."""

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
_LAST = ("EnvoyFilter", "Sidecar", "Telemetry")


def key(obj: Object) -> Key:
    """What names an object in a cluster: apiVersion, kind, namespace ("" for none), name."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def title(obj: Object) -> str:
    """NAMESPACE/NAME, or NAME."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def named(obj: Object) -> str:
    """KIND/NAMESPACE/NAME, or KIND/NAME: how a person names an object on a command line."""
    return f"{obj['kind']}/{title(obj)}"


def in_order(objects: Iterable[Object]) -> list[Object]:
    """The objects in the order in which they are applied (DESIGN 5); those of one kind as they came."""
    rank = {kind: index for index, kind in enumerate((*_ORDER, "", *_LAST))}
    # By kind too, so that those of one kind that has no place of its own come one after the other.
    return sorted(objects, key=lambda obj: (rank.get(obj["kind"], rank[""]), obj["kind"]))


def live(session: Session, wanted: Iterable[Object]) -> dict[Key, Object]:
    """The live objects under the keys of `wanted`, by one LIST per kind; absent ones are not in it."""
    wanted = list(wanted)
    return among(listed(session, wanted), wanted)


def among(lists: Lists, wanted: Iterable[Object]) -> dict[Key, Object]:
    """The objects in `lists` under the keys of `wanted`."""
    keys = {key(obj) for obj in wanted}
    return {key(obj): obj for objs in lists.values() for obj in objs if key(obj) in keys}


def listed(session: Session, wanted: Iterable[Object]) -> Lists:
    """All live objects of the kinds of `wanted`, by one LIST per kind."""
    keys = {key(obj) for obj in wanted}
    namespaces: dict[tuple[str, str], set[str]] = defaultdict(set)
    for api, kind, namespace, _ in keys:
        namespaces[api, kind].add(namespace)
    # One namespace is listed alone: that needs fewer rights, and less is sent. Five hundred are not.
    groups = [(*kind, next(iter(found)) if len(found) == 1 else "") for kind, found in namespaces.items()]
    found = session.map(lambda group: session.list(group[0], group[1], group[2] or None), groups)
    return dict(zip(groups, found, strict=True))
