"""A pod that is only tried out: that it would get its sidecar, with its roots, and why not."""

from __future__ import annotations

from typing import Any

import certmesh
import pytest
from pki import NOW

from meshwright.certs import trust
from meshwright.certs.injected import findings, refusals, wrong
from meshwright.check import State
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import ApiError


def tried(world: Any) -> list[Any]:
    return findings(world.session, trust.verify(world.session, world.env, NOW).seen.mesh)


def test_each_revision_is_tried_and_nothing_is_stored(world: Any) -> None:
    world.session.put(certmesh.plane("istiod-canary", "canary"))
    count = len(world.session.objects)
    asked: list[Any] = []
    inject = world.session.defaults
    world.session.defaults = lambda obj: asked.append(obj) or inject(obj)
    found = tried(world)
    assert [(each.subject, each.state) for each in found] == [
        ("new pod of revision canary", State.OK),
        ("new pod of revision default", State.OK),
    ]
    assert [pod["metadata"]["labels"].get("istio.io/rev") for pod in asked] == ["canary", None]
    assert {pod["metadata"]["namespace"] for pod in asked} == {"default"}
    assert len(world.session.objects) == count


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (ApiError("x509: unknown authority", status=500, body={}), State.FAILED, "the API server refuses it: x509"),
        (Forbidden("may not create Pod"), State.WARNING, "it was not tried out"),
        (MeshwrightError("broken"), State.NOT_VERIFIED, "broken"),
    ],
)
def test_when_it_is_refused(world: Any, error: Exception, state: State, said: str) -> None:
    world.session.failing["try Pod"] = error
    [found] = tried(world)
    assert (found.state, said in found.detail) == (state, True)
    mesh = trust.verify(world.session, world.env, NOW).seen.mesh
    assert bool(refusals(world.session, mesh)) is (state is not State.WARNING)


def test_a_cluster_that_is_away(world: Any) -> None:
    world.session.failing["try Pod"] = Unreachable("no answer")
    with pytest.raises(Unreachable):
        tried(world)


def pod(*volumes: Any, sidecar: bool = True) -> Any:
    proxies = [{"name": "istio-proxy"}] if sidecar else []
    return {"spec": {"containers": [{"name": "app"}, *proxies], "volumes": list(volumes)}}


ROOTS = {"configMap": {"name": "istio-ca-root-cert"}}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (pod(ROOTS), ""),
        (pod({"projected": {"sources": [ROOTS]}}), ""),
        (pod({"projected": {"sources": [{"clusterTrustBundle": {"name": "istio.io:istiod-ca:root-cert"}}]}}), ""),
        (pod({"configMap": {"name": "other"}}), "would not have ConfigMap istio-ca-root-cert mounted"),
        (pod(), "would not have ConfigMap"),
        (pod(ROOTS, sidecar=False), "it would get no sidecar"),
    ],
)
def test_what_a_sidecar_needs(made: Any, said: str) -> None:
    assert said in wrong(made)
    assert bool(wrong(made)) is bool(said)
