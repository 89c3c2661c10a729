"""Whether a new pod would get its sidecar: a pod is tried out at the API server, which calls istiod's webhook for it.

A dry run: nothing is stored, no kubelet hears of it. It proves that the API server trusts the webhook's certificate,
that istiod answers, and that the sidecar would find its roots.
"""

from __future__ import annotations

from typing import Any

from meshwright import pods
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import ROOT_CONFIGMAP, Mesh
from meshwright.check import State
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import ApiError, Session
from meshwright.rights import OWN

__all__ = ["findings", "refusals", "wrong"]

Object = dict[str, Any]

_NAME = "meshwright-injection"
_HINT = "No new pod would start: is istiod ready, and does its webhook configuration trust its certificate?"


def refusals(live: Session, mesh: Mesh) -> list[Finding]:
    """Those revisions whose pods would not get a sidecar, or of which it could not be seen. Raises Unreachable."""
    return [each for each in findings(live, mesh) if each.state in (State.FAILED, State.NOT_VERIFIED)]


def findings(live: Session, mesh: Mesh) -> list[Finding]:
    """One for each revision of istiod. Raises Unreachable: the API server gives no answer."""
    if not mesh.planes:
        return []
    there = {each["metadata"]["name"] for each in mesh.namespaces}
    # The role for certificates may try out pods in our own namespace only; before the first run there is none.
    namespace = OWN if OWN in there else "default"
    return [_tried(live, mesh, revision, namespace) for revision in sorted({plane.revision for plane in mesh.planes})]


def _tried(live: Session, mesh: Mesh, revision: str, namespace: str) -> Finding:
    subject = f"new pod of revision {revision}"
    image = next((each.image for each in mesh.istiods if each.revision == revision and each.image), "istiod")
    try:
        answer = live.create(_pod(revision, namespace, image), dry_run=True)
    except Unreachable:
        raise
    except Forbidden as error:
        return Finding(State.WARNING, subject, f"it was not tried out: {error.message}")
    except ApiError as error:
        return Finding(State.FAILED, subject, f"the API server refuses it: {error.message}", _HINT)
    except MeshwrightError as error:
        return Finding(State.NOT_VERIFIED, subject, error.message)
    why = wrong(answer)
    return Finding(State.FAILED if why else State.OK, subject, why, _HINT if why else "")


def _pod(revision: str, namespace: str, image: str) -> Object:
    labels = {pods.INJECT: "true"} | ({} if revision == "default" else {pods.REVISION: revision})
    context = {
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "app", "image": image, "securityContext": context}
    metadata = {"name": _NAME, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def wrong(pod: Object) -> str:
    """What is missing in a pod as the API server would store it; "" where its sidecar would work."""
    if pods.proxy(pod) is None:
        return "it would get no sidecar: the webhook was not called, or does nothing"
    sources = [
        source
        for volume in pod["spec"].get("volumes") or []
        for source in [volume, *((volume.get("projected") or {}).get("sources") or [])]
    ]
    for source in sources:
        if (source.get("configMap") or {}).get("name") == ROOT_CONFIGMAP or "clusterTrustBundle" in source:
            return ""
    return f"its sidecar would not have ConfigMap {ROOT_CONFIGMAP} mounted"
