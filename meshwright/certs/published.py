"""The roots as the API server has them: the ConfigMap in every namespace, the webhooks' caBundles."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from meshwright.certs.certificate import BrokenBundle, bundle
from meshwright.certs.mesh import ROOT_CONFIGMAP, Mesh, true
from meshwright.certs.place import Place
from meshwright.certs.selectors import matches
from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import Session

__all__ = ["config_maps", "managed", "trust_bundle", "webhooks"]

Object = dict[str, Any]

_ADMISSION = "admissionregistration.k8s.io/v1"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_KEY = "root-cert.pem"
# Where istiod never writes it (the namespace controller's ignored namespaces; kube-system is none of them).
_IGNORED = frozenset({"kube-public", "kube-node-lease", "local-path-storage"})
_BUNDLE_GROUP, _BUNDLE_NAME = "certificates.k8s.io", "istio.io:istiod-ca:root-cert"

_CONFIGMAP_HINT = "The leading istiod writes it within seconds: is it ready, and has it taken the CA Secret over?"
_WEBHOOK_HINT = "Every istiod of its revision writes it; several with different roots overwrite each other's"


def config_maps(live: Session, mesh: Mesh) -> list[Place]:
    """One place for each namespace that istiod looks after, and for each ConfigMap that there is. Raises Forbidden,
    Unreachable."""
    listed = live.list("v1", "ConfigMap", fields=f"metadata.name={ROOT_CONFIGMAP}")
    found = {each["metadata"]["namespace"]: each for each in listed if each["metadata"]["name"] == ROOT_CONFIGMAP}
    selectors = _selectors(mesh)
    places = []
    for space in mesh.namespaces:
        name = space["metadata"]["name"]
        if name in found:
            text = (found[name].get("data") or {}).get(_KEY) or ""
            places.append(_place("ConfigMap", f"{name}/{ROOT_CONFIGMAP}", text.encode(), _CONFIGMAP_HINT))
        elif managed(space, selectors):
            why = "there is none, so no pod with a proxy can start there"
            places.append(Place("ConfigMap", f"{name}/{ROOT_CONFIGMAP}", why=why, hint=_CONFIGMAP_HINT))
    return places


def trust_bundle(live: Session, mesh: Mesh) -> list[Place]:
    """The ClusterTrustBundle, where istiod keeps one instead of the ConfigMaps."""
    if not true(mesh.setting("ENABLE_CLUSTER_TRUST_BUNDLE_API")):
        return []
    kind = live.preferred(_BUNDLE_GROUP, "ClusterTrustBundle")
    found = live.get(kind.api_version, "ClusterTrustBundle", _BUNDLE_NAME) if kind else None
    if found is None:
        return [Place("ClusterTrustBundle", _BUNDLE_NAME, why="there is none", hint=_CONFIGMAP_HINT)]
    text = (found.get("spec") or {}).get("trustBundle") or ""
    return [_place("ClusterTrustBundle", _BUNDLE_NAME, text.encode(), _CONFIGMAP_HINT)]


def webhooks(live: Session, mesh: Mesh) -> list[Place]:
    """One place for each webhook configuration that calls an istiod; one for each bundle where its hooks differ."""
    places = []
    for kind in _WEBHOOKS:
        try:
            configs = live.list(_ADMISSION, kind)
        except (Forbidden, Unreachable) as error:
            places.append(Place("webhook", f"{kind} of all", error=error))
            continue
        for config in configs:
            places += _hooks(kind, config, mesh.namespace)
    return places


def _hooks(kind: str, config: Object, namespace: str) -> Iterator[Place]:
    bundles: dict[str, list[str]] = {}
    for hook in config.get("webhooks") or []:
        service = hook["clientConfig"].get("service") or {}
        if service.get("namespace") == namespace and str(service.get("name", "")).startswith("istiod"):
            bundles.setdefault(hook["clientConfig"].get("caBundle") or "", []).append(hook["name"])
    for text, hooks in bundles.items():
        name = f"{kind} {config['metadata']['name']}" + (f" ({', '.join(hooks)})" if len(bundles) > 1 else "")
        try:
            raw = base64.b64decode(text, validate=True)
        except binascii.Error:
            raw = b""
        yield _place("webhook", name, raw, _WEBHOOK_HINT)


def _place(kind: str, name: str, pem: bytes, hint: str) -> Place:
    try:
        return Place(kind, name, frozenset(bundle(pem, f"{kind} {name}")), hint=hint)
    except BrokenBundle as broken:
        return Place(kind, name, why=broken.message, hint=hint)


def _selectors(mesh: Mesh) -> list[Object]:
    found = [config.get("discoverySelectors") or [] for config in mesh.config.values()]
    # A control plane without selectors looks after all namespaces.
    return [] if any(not each for each in found) else [selector for each in found for selector in each]


def managed(space: Object, selectors: list[Object]) -> bool:
    """Whether istiod keeps its ConfigMap in this namespace: it is not on its way out, not one that istiod ignores, and
    one of the discovery selectors matches it (no selectors match all)."""
    metadata = space["metadata"]
    if "deletionTimestamp" in metadata or metadata["name"] in _IGNORED:
        return False
    labels = metadata.get("labels") or {}
    return not selectors or any(matches(selector, labels) for selector in selectors)
