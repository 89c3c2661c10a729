"""What a cluster adds to the objects of an environment: those of others, pods, and what its API server says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from meshwright import applyset, callers, objects, prerequisites, resources
from meshwright.addons import exposure
from meshwright.addons.table import ADDONS
from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import ApiError, Session
from meshwright.manifests import Manifest
from meshwright.validation.world import CLUSTER

__all__ = ["Seen", "refused", "same", "seen"]

# Beside what names or is named; of those that are long or secret the names and labels do.
_BESIDE = (("v1", "Pod"), ("v1", "Secret"))
_KINDS = (
    *_BESIDE,
    *callers.KINDS,
    ("security.istio.io/v1", "PeerAuthentication"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
)


@dataclass(frozen=True)
class Seen:
    """The live objects that `others` keep, and those that `leave`: an apply would delete or replace them. `known` are
    the kinds of which all are known, `hidden` those that may not be listed."""

    others: list[Manifest]
    leave: list[Manifest]
    known: frozenset[str]
    hidden: frozenset[str]


def seen(session: Session, env: Environment, own: Iterable[Manifest], skipped: list[str]) -> Seen:
    """What is live. What may not be listed is said in `skipped`. Raises Unreachable."""
    leaves = same(env, own)
    others: list[Manifest] = []
    leave: list[Manifest] = []
    known: set[str] = set()
    hidden: set[str] = set()

    def listed(kind: tuple[str, str]) -> list[objects.Object] | Forbidden:
        try:
            return session.list(*kind, metadata_only=kind in _BESIDE)
        except Forbidden as error:
            return error

    for (api, kind), objs in zip(_KINDS, session.map(listed, _KINDS), strict=True):
        if isinstance(objs, Forbidden):
            skipped.append(f"{kind} of {api}: {objs.message}")
            hidden.add(kind)
            continue
        known.add(kind)
        for obj in objs:
            (leave if leaves(obj) else others).append(Manifest(obj, CLUSTER))
    return Seen(others, leave, frozenset(known - hidden), frozenset(hidden))


def same(env: Environment, own: Iterable[Manifest]) -> Callable[[objects.Object], bool]:
    """Tells of a live object whether an apply of `own` would replace or delete it."""
    keys = {_key(manifest.obj) for manifest in own}
    label, of_addons = (applyset.identifier(resources.set_name(env, name)) for name in ("resources", "addons"))
    # Of the addons' own objects only those that expose them are made here.
    exposing = {exposure.object_name(addon) for addon in ADDONS}

    def leaves(obj: objects.Object) -> bool:
        part = (obj["metadata"].get("labels") or {}).get("applyset.kubernetes.io/part-of")
        return part == label or _key(obj) in keys or (part == of_addons and obj["metadata"]["name"] in exposing)

    return leaves


def _key(obj: objects.Object) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    group = str(obj["apiVersion"]).rpartition("/")[0]
    return group, str(obj["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def refused(
    session: Session, own: Sequence[Manifest], skipped: list[str]
) -> tuple[list[tuple[Manifest, str]], list[Manifest]]:
    """What the API server refuses of `own`, by a dry run of each: unknown fields, CEL rules, istiod's webhook. And
    those that it could not be asked about."""
    if waits_for := prerequisites.unknown(session, own):
        skipped.append(f"what the API server says: the step {waits_for} comes first")
        return [], list(own)

    def tried(manifest: Manifest) -> str | None:
        obj = prerequisites.scoped(session, manifest.obj)
        if session.resource(obj["apiVersion"], obj["kind"]) is None:
            return None
        try:
            session.apply(obj, force=True, dry_run=True)
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            return error.message
        return ""

    found = []
    unasked = []
    for manifest, said in zip(own, session.map(tried, own), strict=True):
        if said is None:
            unasked.append(manifest)
        elif said:
            found.append((manifest, said))
    if unasked:
        names = ", ".join(f"{manifest.obj['kind']} {objects.title(manifest.obj)}" for manifest in unasked[:3])
        more = ", ..." if len(unasked) > 3 else ""
        skipped.append(f"what the API server says of {names}{more}: its kind or namespace is not there yet")
    return found, unasked
