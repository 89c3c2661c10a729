"""The marks of other keepers."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.ownership import owner


def obj(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "istiod", **metadata}}


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"annotations": {"meta.helm.sh/release-name": "istiod"}}, "Helm (release istiod)"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "mesh:apps/x"}}, "Argo CD (mesh:apps/x)"),
        ({"labels": {"argocd.argoproj.io/instance": "mesh"}}, "Argo CD (mesh)"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}, "Flux (Kustomization infra)"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "istiod"}}, "Flux (HelmRelease istiod)"),
        (
            {"ownerReferences": [{"apiVersion": "sailoperator.io/v1", "kind": "IstioRevision", "name": "default"}]},
            "the Sail operator (IstioRevision default)",
        ),
        (
            # Flux installs by Helm; who would take a change back is Flux.
            {
                "labels": {"helm.toolkit.fluxcd.io/name": "istiod"},
                "ownerReferences": [{"apiVersion": "sailoperator.io/v1", "kind": "Istio", "name": "x"}],
            },
            "the Sail operator (Istio x)",
        ),
    ],
)
def test_a_keeper_is_named(metadata: dict[str, Any], sentence: str) -> None:
    assert owner(obj(**metadata)) == sentence


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": None, "annotations": None, "ownerReferences": None},
        # istioctl renders charts and writes this label without any Helm.
        {"labels": {"app.kubernetes.io/managed-by": "Helm", "release": "istio", "istio": "pilot"}},
        {"labels": {"operator.istio.io/managed": "Reconcile", "operator.istio.io/component": "Pilot"}},
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x"}]},
    ],
)
def test_what_nobody_keeps(metadata: dict[str, Any]) -> None:
    assert owner(obj(**metadata)) is None
