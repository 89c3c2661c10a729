"""Who keeps an object: tools that would take back what we change (DESIGN 4)."""

from __future__ import annotations

from typing import Any

__all__ = ["owner"]

# A key of labels or annotations, and the sentence; `{}` is its value. `app.kubernetes.io/managed-by: Helm` is not
# among them: istioctl renders the charts and writes that label without any Helm.
_MARKS = (
    ("meta.helm.sh/release-name", "Helm (release {})"),
    ("argocd.argoproj.io/tracking-id", "Argo CD ({})"),
    ("argocd.argoproj.io/instance", "Argo CD ({})"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux (Kustomization {})"),
    ("helm.toolkit.fluxcd.io/name", "Flux (HelmRelease {})"),
)
# The API group of an owner reference, and who has it.
_OWNERS = {"sailoperator.io": "the Sail operator", "operator.istio.io": "the Sail operator"}


def owner(obj: dict[str, Any]) -> str | None:
    """Who keeps this object, in words; None when nobody but an operator at a terminal does."""
    metadata = obj["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        group = reference["apiVersion"].partition("/")[0]
        if group in _OWNERS:
            return f"{_OWNERS[group]} ({reference['kind']} {reference['name']})"
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for mark, sentence in _MARKS:
        if mark in marks:
            return sentence.format(marks[mark])
    return None
