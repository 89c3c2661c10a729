"""Who keeps an object: tools that would take back what we change (DESIGN 4).

What each writes is from its sources: Helm (pkg/action/validate.go), Flux (kustomize-controller and helm-controller
label all that they apply, flux-operator does for a ResourceSet), Argo CD (util/argo/resource_tracking.go), the Sail
operator (pkg/helm/postrenderer.go), Flagger (pkg/router/istio.go), Argo Rollouts (its sources,
rollout/trafficrouting/istio/istio.go, and argo-rollouts#3854). `app.kubernetes.io/managed-by: Helm` says nothing:
istioctl renders the charts and writes that label without any Helm.
"""

from __future__ import annotations

from typing import Any

from meshwright import managed

__all__ = ["owner"]

Object = dict[str, Any]

# The API group of an owner reference, and who has it.
_OWNERS = {
    "sailoperator.io": "the Sail operator",
    "operator.istio.io": "the Sail operator",
    "flagger.app": "Flagger",
    "argoproj.io": "Argo Rollouts",
}
# A key of labels or annotations, and the sentence; `{}` is its value. The first that is there counts: Sail and Flux
# install by Helm, so who would take a change back is Sail or Flux.
_MARKS = (
    ("operator-sdk/primary-resource", "the Sail operator ({})"),
    ("helm.toolkit.fluxcd.io/name", "Flux (HelmRelease {})"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux (Kustomization {})"),
    ("resourceset.fluxcd.controlplane.io/name", "Flux (ResourceSet {})"),
    ("argocd.argoproj.io/instance", "Argo CD (application {})"),
    ("argo-rollouts.argoproj.io/managed-by-rollouts", "Argo Rollouts (Rollout {})"),
    ("meta.helm.sh/release-name", "Helm (release {})"),
)
_TRACKING = "argocd.argoproj.io/tracking-id"
# Managers that shift traffic by writing into routes that they leave no mark on.
_SHIFTERS = {"rollouts-controller": "Argo Rollouts", "flagger": "Flagger"}
_ROUTES = "networking.istio.io"
# With label tracking, Argo CD shares this label with charts; only its own writes tell the two apart.
_ARGO_MANAGERS = frozenset({"argocd-controller", "argocd-application-controller"})
_INSTANCE = "app.kubernetes.io/instance"


def owner(obj: Object) -> str | None:
    """Who keeps this object, in words; None when nobody but an operator at a terminal does."""
    metadata = obj["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        group = reference["apiVersion"].partition("/")[0]
        if group in _OWNERS:
            return f"{_OWNERS[group]} ({reference['kind']} {reference['name']})"
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    application = _tracked(obj, str(annotations.get(_TRACKING, "")))
    if application:
        return f"Argo CD (application {application})"
    marks = {**labels, **annotations}
    for mark, sentence in _MARKS:
        if mark in marks:
            return sentence.format(marks[mark])
    return _writer(obj, labels)


def _tracked(obj: Object, tracking: str) -> str:
    """The application in a tracking id, APPLICATION:GROUP/KIND:NAMESPACE/NAME; "" where it is of another object:
    controllers copy annotations to what they make, and Argo CD does not count these either."""
    application, _, rest = tracking.partition(":")
    kind, _, name = rest.partition(":")
    group = obj["apiVersion"].rpartition("/")[0]
    same = kind == f"{group}/{obj['kind']}" and name.rpartition("/")[2] == obj["metadata"]["name"]
    namespace = obj["metadata"].get("namespace")
    return application if same and namespace in (None, name.rpartition("/")[0]) else ""


def _writer(obj: Object, labels: dict[str, str]) -> str | None:
    for entry in managed.entries(obj):
        who = entry.get("manager", "")
        if who in _ARGO_MANAGERS and _INSTANCE in labels:
            return f"Argo CD (application {labels[_INSTANCE]})"
        if who in _SHIFTERS and obj["apiVersion"].partition("/")[0] == _ROUTES and "f:spec" in entry["fieldsV1"]:
            return _SHIFTERS[who]
    return None
