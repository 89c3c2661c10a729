"""The marks of other keepers."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.ownership import owner


def obj(api: str = "apps/v1", kind: str = "Deployment", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "istiod", "namespace": "mesh", **metadata}}


def by(manager: str, fields: dict[str, Any], operation: str = "Update", **rest: str) -> list[dict[str, Any]]:
    return [{"manager": manager, "operation": operation, "fieldsV1": fields, **rest}]


def of(api: str, kind: str, name: str) -> list[dict[str, Any]]:
    return [{"apiVersion": api, "kind": kind, "name": name, "controller": True}]


HELM = {"meta.helm.sh/release-name": "istiod", "meta.helm.sh/release-namespace": "mesh"}
TRACKING = "argocd.argoproj.io/tracking-id"
ROUTES = ("networking.istio.io/v1", "VirtualService")


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"annotations": HELM}, "Helm (release istiod)"),
        ({"annotations": {TRACKING: "shop:apps/Deployment:mesh/istiod"}}, "Argo CD (application shop)"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD (application shop)"),
        (
            {
                "labels": {"app.kubernetes.io/instance": "shop"},
                "managedFields": by("argocd-controller", {"f:spec": {}}, "Apply"),
            },
            "Argo CD (application shop)",
        ),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}, "Flux (Kustomization infra)"),
        # Flux and Sail install by Helm; who would take a change back is not Helm.
        ({"labels": {"helm.toolkit.fluxcd.io/name": "base"}, "annotations": HELM}, "Flux (HelmRelease base)"),
        ({"labels": {"resourceset.fluxcd.controlplane.io/name": "apps"}}, "Flux (ResourceSet apps)"),
        (
            {"ownerReferences": of("sailoperator.io/v1", "IstioRevision", "default"), "annotations": HELM},
            "the Sail operator (IstioRevision default)",
        ),
        (
            {"annotations": {**HELM, "operator-sdk/primary-resource": "mesh/default"}},
            "the Sail operator (mesh/default)",
        ),
        ({"ownerReferences": of("flagger.app/v1beta1", "Canary", "podinfo")}, "Flagger (Canary podinfo)"),
        ({"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "r"}}, "Argo Rollouts (Rollout r)"),
    ],
)
def test_a_keeper_is_named(metadata: dict[str, Any], sentence: str) -> None:
    assert owner(obj(**metadata)) == sentence


@pytest.mark.parametrize(("manager", "sentence"), [("rollouts-controller", "Argo Rollouts"), ("flagger", "Flagger")])
def test_who_shifts_the_traffic_of_a_route_keeps_it(manager: str, sentence: str) -> None:
    fields: dict[str, Any] = {"f:spec": {"f:http": {}}}
    assert owner(obj(*ROUTES, managedFields=by(manager, fields))) == sentence
    # They scale workloads too, which stay whose they are.
    assert owner(obj(managedFields=by(manager, {"f:spec": {"f:replicas": {}}}))) is None
    assert owner(obj(*ROUTES, managedFields=by(manager, fields, subresource="status"))) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": None, "annotations": None, "ownerReferences": None, "managedFields": None},
        # istioctl renders charts and writes this label without any Helm.
        {"labels": {"app.kubernetes.io/managed-by": "Helm", "release": "istio", "istio": "pilot"}},
        {"labels": {"operator.istio.io/managed": "Reconcile", "operator.istio.io/component": "Pilot"}},
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x"}]},
        # Charts write it as well as Argo CD.
        {"labels": {"app.kubernetes.io/instance": "shop"}},
        {"labels": {"app.kubernetes.io/instance": "shop"}, "managedFields": by("helm", {"f:spec": {}})},
        # Copied along with all annotations from the object that the id is of.
        {"annotations": {TRACKING: "shop:apps/Deployment:mesh/another"}},
        {"annotations": {TRACKING: "shop:apps/Deployment:elsewhere/istiod"}},
        {"annotations": {TRACKING: "shop:apps/StatefulSet:mesh/istiod"}},
        {"annotations": {TRACKING: "shop"}},
        # A release that was let go of: the manager stays, the annotations do not.
        {"managedFields": by("helm", {"f:spec": {}})},
    ],
)
def test_what_nobody_keeps(metadata: dict[str, Any]) -> None:
    assert owner(obj(**metadata)) is None


def test_a_thing_without_a_namespace_is_tracked_by_its_name() -> None:
    tracking = {TRACKING: "shop:rbac.authorization.k8s.io/ClusterRole:mesh/reader"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    assert owner({**role, "metadata": {"name": "reader", "annotations": tracking}}) == "Argo CD (application shop)"
