"""What a cluster adds to the objects of an environment: those of others, pods, and what its API server says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshwright import applyset, objects, prerequisites, resources
from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import ApiError, Session
from meshwright.manifests import Manifest
from meshwright.validation.world import CLUSTER

__all__ = ["refused", "seen"]

_ISTIO, _SECURITY, _API = "networking.istio.io/v1", "security.istio.io/v1", "gateway.networking.k8s.io/v1"
# Kind by kind; of those that are long or secret the names and labels do.
_KINDS = (
    ("v1", "Service", False),
    ("v1", "Pod", True),
    ("v1", "Secret", True),
    *((_ISTIO, kind, False) for kind in ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar")),
    *((_SECURITY, kind, False) for kind in ("PeerAuthentication", "AuthorizationPolicy")),
    *((_API, kind, False) for kind in ("Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute")),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", False),
)


def seen(
    session: Session, env: Environment, own: Iterable[Manifest], skipped: list[str]
) -> tuple[list[Manifest], set[str], set[str]]:
    """The live objects beside those of `own`, and the kinds of which all are known, and those that
    may not be listed. What an apply would delete is not
    among them. What may not be listed is said in `skipped`. Raises Unreachable."""
    keys = {_key(manifest.obj) for manifest in own}
    label = applyset.identifier(resources.set_name(env))
    found: list[Manifest] = []
    known: set[str] = set()
    hidden: set[str] = set()

    def listed(kind: tuple[str, str, bool]) -> list[objects.Object] | Forbidden:
        try:
            return session.list(kind[0], kind[1], metadata_only=kind[2])
        except Forbidden as error:
            return error

    for (api, kind, _), objs in zip(_KINDS, session.map(listed, _KINDS), strict=True):
        if isinstance(objs, Forbidden):
            skipped.append(f"{kind} of {api}: {objs.message}")
            hidden.add(kind)
            continue
        known.add(kind)
        for obj in objs:
            ours = (obj["metadata"].get("labels") or {}).get("applyset.kubernetes.io/part-of") == label
            if not ours and _key(obj) not in keys:
                found.append(Manifest(obj, CLUSTER))
    return found, known - hidden, hidden


def _key(obj: objects.Object) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    group = str(obj["apiVersion"]).rpartition("/")[0]
    return group, str(obj["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def refused(session: Session, own: Sequence[Manifest], skipped: list[str]) -> list[tuple[Manifest, str]]:
    """What the API server refuses of `own`, by a dry run of each: unknown fields, CEL rules, istiod's webhook."""
    if waits_for := prerequisites.unknown(session, own):
        skipped.append(f"what the API server says: the step {waits_for} comes first")
        return []

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
            unasked.append(f"{manifest.obj['kind']} {objects.title(manifest.obj)}")
        elif said:
            found.append((manifest, said))
    if unasked:
        names = ", ".join(unasked[:3]) + (", ..." if len(unasked) > 3 else "")
        skipped.append(f"what the API server says of {names}: its kind or namespace is not there yet")
    return found
