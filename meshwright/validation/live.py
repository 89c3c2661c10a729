"""What a cluster adds to the objects of an environment: those of others, pods, and what its API server says."""

from __future__ import annotations

import re
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

__all__ = ["Refusal", "Seen", "refused", "same", "seen"]

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


@dataclass(frozen=True)
class Refusal:
    """Something that the API server says against an object: a sentence, and the field that it is about, () for none."""

    manifest: Manifest
    sentence: str
    path: tuple[str | int, ...] = ()


def refused(session: Session, own: Sequence[Manifest], skipped: list[str]) -> tuple[list[Refusal], list[Manifest]]:
    """What the API server refuses of `own`, by a dry run of each: unknown fields, CEL rules, istiod's webhook. And
    those that it could not be asked about."""
    if waits_for := prerequisites.unknown(session, own):
        skipped.append(f"what the API server says: the step {waits_for} comes first")
        return [], list(own)

    def tried(manifest: Manifest) -> list[Refusal] | None:
        obj = prerequisites.scoped(session, manifest.obj)
        if session.resource(obj["apiVersion"], obj["kind"]) is None:
            return None
        try:
            session.apply(obj, force=True, dry_run=True)
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            return _said(manifest, error)
        return []

    found: list[Refusal] = []
    unasked = []
    for manifest, said in zip(own, session.map(tried, own), strict=True):
        if said is None:
            unasked.append(manifest)
        else:
            found += said
    if unasked:
        names = ", ".join(f"{manifest.obj['kind']} {objects.title(manifest.obj)}" for manifest in unasked[:3])
        more = ", ..." if len(unasked) > 3 else ""
        skipped.append(f"what the API server says of {names}{more}: its kind or namespace is not there yet")
    return found, unasked


def _said(manifest: Manifest, error: ApiError) -> list[Refusal]:
    """Each field that is wrong, where the server names them; else what it said. Which object it is, a finding says."""
    causes = [(str(cause.get("field") or ""), str(cause.get("message") or "")) for cause in error.causes]
    # Beside what is wrong it says that this kept it from looking at the rest.
    fields = [(field, said) for field, said in causes if "some validation rules were not checked" not in said]
    if fields and all(field.startswith(("spec", "metadata")) and said for field, said in fields):
        return [Refusal(manifest, f"{field}: {said}", _path(field)) for field, said in fields]
    return [Refusal(manifest, error.message if error.webhook else error.text or error.message)]


def _path(field: str) -> tuple[str | int, ...]:
    """The path of a field as the API server writes it: spec.http[0].timeout."""
    parts = re.findall(r"[^.\[\]]+", field)
    return tuple(int(part) if part.isdigit() else part for part in parts)
