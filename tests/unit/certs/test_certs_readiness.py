"""When a change of the root may not begin, each reason alone."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from certmesh import istiod_pod, plane
from pki import NOW, make, plugged, self_signed

from meshwright.certs import inventory, phase, trust
from meshwright.certs.contents import Case
from meshwright.certs.readiness import findings, keeper
from meshwright.check import State
from meshwright.errors import Unreachable


def ready(world: Any, case: Case = Case.IN_PLACE) -> dict[State, list[str]]:
    report = trust.verify(world.session, world.env, NOW)
    at = phase.where(world.session, report)
    versions = inventory.check(world.session, world.env)
    secrets = world.session.list("v1", "Secret", "istio-system", metadata_only=True)
    found: dict[State, list[str]] = {}
    for each in findings(case, report, at, versions, secrets):
        found.setdefault(each.state, []).append(f"{each.subject}: {each.detail}")
    return found


@pytest.fixture
def two(world: Any) -> Any:
    """The mesh with two istiods."""
    world.session.put(istiod_pod("istiod-2"))
    return world


@pytest.mark.parametrize("case", [Case.IN_PLACE, Case.PLUG_IN, Case.EXTEND])
def test_a_mesh_that_may_begin(two: Any, case: Case) -> None:
    assert set(ready(two, case)) == {State.OK}


def test_a_mesh_on_a_plugged_in_ca(two: Any) -> None:
    top = make("Acme")
    middle = make("Acme Int", top)
    two.session.put(plugged(middle, top))
    two.converge(top, signer=middle)
    assert set(ready(two, Case.REPLACE)) == {State.OK}
    for case in (Case.IN_PLACE, Case.PLUG_IN):
        assert "begins with a self-signed CA" in ready(two, case)[State.FAILED][0]
    assert "key of its root is not in the cluster" in ready(two, Case.EXTEND)[State.FAILED][0]
    two.session.put(plugged(top, top))
    two.converge(top, signer=top)
    assert set(ready(two, Case.EXTEND)) == {State.OK}


def test_an_authority_elsewhere(two: Any) -> None:
    two.session.put(plane(EXTERNAL_CA="ISTIOD_RA_KUBERNETES_API"))
    assert "this mesh has a signer of the Kubernetes CSR API" in ready(two)[State.FAILED][0]


def test_a_ca_that_istiod_keeps_in_cacerts(two: Any) -> None:
    two.session.put(plane(USE_CACERTS_FOR_SELF_SIGNED_CA="true", ISTIO_MULTIROOT_MESH="true"))
    two.session.put(plugged(two.root, two.root, **{"istio-generated": "x"}))
    del two.session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]
    assert "which istiod made for itself" in ready(two)[State.FAILED][0]


def test_not_at_rest(two: Any) -> None:
    two.session.put(self_signed(two.root, make("x")))
    [first, *_] = ready(two)[State.FAILED]
    assert first.startswith("phase: the mesh stands at P1")


def test_not_everybody_is_in_order(two: Any) -> None:
    name = next(iter(two.dumps))
    two.dumps[name] = Unreachable("no answer")
    [said] = ready(two)[State.FAILED]
    assert f"first proxy {name}" in said


def test_an_expired_root(two: Any) -> None:
    gone = make("cluster.local", days=(-100, -1))
    two.session.put(self_signed(gone))
    assert any("it has expired" in each for each in ready(two)[State.FAILED])


def test_a_version_in_a_trap(two: Any) -> None:
    two.pages["istiod-1", "/version"] = two.pages["istiod-2", "/version"] = b"1.25.1-x"
    assert any("splits the bundle" in each for each in ready(two)[State.FAILED])


def test_an_upgrade_under_way(two: Any) -> None:
    two.pages["istiod-2", "/version"] = b"1.31.0-x"
    assert any("not of one version" in each for each in ready(two)[State.FAILED])
    two.session.put(objects.istiod_pod("istiod-3", ready=False))
    assert any("istiod-3 not ready" in each for each in ready(two)[State.FAILED])


def test_one_replica_is_a_warning(world: Any) -> None:
    [said] = ready(world)[State.WARNING]
    assert "has one replica" in said
    assert State.FAILED not in ready(world)


def test_the_rotator_of_istiod(two: Any) -> None:
    old = make("cluster.local", days=(-850, 150))
    two.session.put(self_signed(old))
    two.converge(old, signer=old)
    [said] = ready(two)[State.FAILED]
    assert said.startswith("istiod's rotator: less than 20%")
    for settings, quiet in (
        ({"CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL": "0"}, True),
        ({"CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL": "-1s"}, True),
        ({"CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL": "10m"}, False),
        ({"CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE": "10"}, True),
    ):
        two.session.put(plane(ISTIO_MULTIROOT_MESH="true", **settings))
        assert (State.FAILED not in ready(two)) is quiet, settings


def owned(api: str, kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": api, "kind": kind, "name": "ca"}]}


def written(manager: str) -> dict[str, Any]:
    return {"managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": {"f:data": {}}}]}


@pytest.mark.parametrize(
    ("metadata", "who", "certain"),
    [
        ({}, "", True),
        (written("pilot-discovery"), "", True),
        (written("kubectl-create"), "", True),
        (written("meshwright"), "", True),
        (written("acme-sync"), "manager acme-sync", False),
        (owned("external-secrets.io/v1", "ExternalSecret"), "External Secrets (ExternalSecret ca)", True),
        (owned("bitnami.com/v1alpha1", "SealedSecret"), "Sealed Secrets (SealedSecret ca)", True),
        (owned("acme.example/v1", "Vault"), "its owner (Vault ca)", True),
        ({"annotations": {"cert-manager.io/certificate-name": "ca"}}, "cert-manager", True),
        ({"annotations": {"reflector.v1.k8s.emberstack.com/reflects": "a/b"}}, "Reflector", True),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "mesh"}}, "Flux (Kustomization mesh)", True),
    ],
)
def test_who_else_writes_the_secret(two: Any, metadata: dict[str, Any], who: str, certain: bool) -> None:
    made = self_signed(two.root)
    made["metadata"] |= metadata
    assert keeper(made) == (who, certain)
    two.session.put(made)
    found = ready(two)
    expected = State.OK if not who else State.FAILED if certain else State.WARNING
    if who:
        assert any(who in each for each in found[expected])
    else:
        assert set(found) == {State.OK}


def test_ambient(two: Any) -> None:
    pod = istiod_pod("ztunnel-1", image="hub/ztunnel:1.31.0")
    pod["metadata"]["labels"] = {"app": "ztunnel"}
    two.session.put(pod)
    assert any(each.startswith("ambient: 1 ztunnels run") for each in ready(two)[State.FAILED])
