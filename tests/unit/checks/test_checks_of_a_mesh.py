"""Each check of what is in a cluster: true on a healthy mesh, and not on one that is broken in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import mesh
import pytest
from fakes import CA, UID, environment, existing

from meshwright import cluster, identity
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import ApiError, Identity

FAILED, WARNING, UNKNOWN = State.FAILED, State.WARNING, State.NOT_VERIFIED


def drop(world: Any, kind: str, name: str = "") -> None:
    for key in [key for key in world.session.objects if key[1] == kind and name in (key[3], "")]:
        del world.session.objects[key]


def env_of(world: Any, env: Environment) -> None:
    world.env = env


def broken_gateway_budget(world: Any) -> None:
    env_of(world, existing())
    world.session.put(mesh.istiod_pod("istiod-2"))
    world.session.put(mesh.gateway_pod("istio-ingressgateway-2"))
    drop(world, "PodDisruptionBudget", "gateway")


def unsynced(**state: str) -> Callable[[Any], None]:
    def breaks(world: Any) -> None:
        rows = mesh.synced(world.session)
        rows[0]["resources"]["type.googleapis.com/envoy.config.listener.v3.Listener"] = state
        world.istiod["/debug/syncz"] = rows

    return breaks


def put(*objects: Any) -> Callable[[Any], None]:
    def breaks(world: Any) -> None:
        for obj in objects:
            world.session.put(obj)

    return breaks


def failing(what: str, error: Exception) -> Callable[[Any], None]:
    return lambda world: world.session.failing.update({what: error})


BOTH = mesh.namespace("shop", **{"istio-injection": "enabled", "istio.io/rev": "canary"})
NO_ANSWER = Unreachable("the API server gives no answer")
NO_RIGHT = Forbidden("context prod may not list Pod (403)")

BROKEN: list[tuple[str, Callable[[Any], None], State, str]] = [
    # The cluster
    ("api-server-ready", lambda w: setattr(w, "state", cluster.State.ABSENT), FAILED, "is absent"),
    ("api-server-ready", lambda w: setattr(w, "state", cluster.State.STOPPED), FAILED, "is stopped"),
    ("api-server-ready", lambda w: w.__dict__.update(state=cluster.State.UNKNOWN, after="engine"), UNKNOWN, "`engine`"),
    ("api-server-ready", lambda w: setattr(w.session, "ready", lambda: False), FAILED, "says that it is not"),
    ("api-server-ready", failing("ready", NO_ANSWER), UNKNOWN, "gives no answer"),
    ("nodes-ready", put(mesh.node("n2", "False")), FAILED, "1 of 2 nodes not Ready: n2"),
    ("nodes-ready", lambda w: drop(w, "Node"), FAILED, "no nodes"),
    ("nodes-ready", failing("list Node", NO_RIGHT), UNKNOWN, "may not list"),
    ("kubectl-skew", lambda w: setattr(w.session, "version", lambda: "v1.33.1+k3s1"), WARNING, "v1.33.1+k3s1"),
    ("kubectl-skew", lambda w: setattr(w.session, "version", lambda: "devel"), UNKNOWN, "devel"),
    # The control plane
    ("istiod-available", put(mesh.istiod(available=0)), FAILED, "Deployment istiod: 0 of 1 available"),
    ("istiod-available", put(mesh.istiod(replicas=0)), FAILED, "scaled to nothing"),
    ("istiod-available", lambda w: drop(w, "Deployment", "istiod"), FAILED, "no Deployment with app=istiod"),
    ("istiod-available", failing("list Deployment", NO_ANSWER), UNKNOWN, "gives no answer"),
    (
        "istiod-version",
        lambda w: w.istiod.update({"/version": b"1.30.30-abc-Clean"}),
        FAILED,
        "says that it is 1.30.30",
    ),
    ("istiod-version", lambda w: w.istiod.update({"/version": (503, b"")}), UNKNOWN, "answers 503"),
    ("istiod-version", lambda w: w.istiod.update({"/version": NO_RIGHT}), UNKNOWN, "may not"),
    ("istiod-version", put(mesh.istiod_pod(ready=False)), FAILED, "is ready"),
    (
        "webhooks-closed",
        put(mesh.webhooks("ValidatingWebhookConfiguration", "validator", "Ignore")),
        FAILED,
        "validator.istio.io of ValidatingWebhookConfiguration validator lets everything through",
    ),
    (
        "webhooks-closed",
        put(mesh.webhooks("MutatingWebhookConfiguration", "injector", bundle="")),
        FAILED,
        "has no caBundle",
    ),
    ("webhooks-closed", lambda w: drop(w, "MutatingWebhookConfiguration"), FAILED, "no MutatingWebhookConfiguration"),
    ("one-injection-label", put(BOTH), FAILED, "shop: istio-injection wins"),
    ("namespaces-labelled", put(mesh.namespace("bookinfo")), FAILED, "bookinfo has istio-injection not at all"),
    ("namespaces-labelled", lambda w: drop(w, "Namespace", "bookinfo"), FAILED, "bookinfo is not there"),
    ("redundant", lambda w: env_of(w, existing()), WARNING, "istiod has 1 ready; istio-ingressgateway has 1 ready"),
    ("redundant", broken_gateway_budget, WARNING, "istio-ingressgateway has no PodDisruptionBudget"),
    # The data plane
    (
        "sidecars-injected",
        put(mesh.pod("old-1", sidecar=False)),
        FAILED,
        "1 of 5 pods without: bookinfo/old-1",
    ),
    ("sidecars-injected", put(mesh.namespace("bookinfo")), UNKNOWN, "no pod runs where istiod gives sidecars"),
    ("sidecars-injected", failing("list Pod", NO_RIGHT), UNKNOWN, "may not list"),
    ("proxies-ready", put(mesh.pod("new-1", ready=False)), FAILED, "1 of 6 proxies not ready: bookinfo/new-1"),
    ("proxies-ready", lambda w: drop(w, "Pod"), FAILED, "no proxy"),
    ("proxies-synced", unsynced(sent="v2", acked="v1"), FAILED, "it has not taken the last Listener yet"),
    ("proxies-synced", unsynced(sent="v2", acked="v1", lastError="bad port"), FAILED, "it refused Listener: bad port"),
    ("proxies-synced", lambda w: w.istiod.update({"/debug/syncz": []}) or _away(w), FAILED, "5 of 5 proxies not conn"),
    ("proxies-synced", lambda w: w.istiod.update({"/debug/syncz": (401, b"no")}), UNKNOWN, "answers 401"),
    ("proxies-synced", lambda w: w.istiod.update({"/debug/syncz": b"<html>"}), UNKNOWN, "not with a list"),
    # The sample
    ("bookinfo-ready", lambda w: drop(w, "Deployment", "ratings-v1"), FAILED, "no Deployment of ratings"),
    (
        "bookinfo-ready",
        put(mesh.deployment("details-v1", "bookinfo", {"app": "details"}, 0)),
        FAILED,
        "Deployment details-v1 is scaled to nothing",
    ),
    (
        "bookinfo-ready",
        put(mesh.deployment("details-v1", "bookinfo", {"app": "details"}, 1, 0)),
        FAILED,
        "Deployment details-v1: 0 of 1 available",
    ),
    (
        "bookinfo-ready",
        put(mesh.pod("details-v1-2", sidecar=False, labels={"app": "details"})),
        FAILED,
        "without a sidecar: bookinfo/details-v1-2",
    ),
    ("bookinfo-in-mesh", lambda w: setattr(w, "inside", (7, b"", b"curl: (7) refused\n")), FAILED, "curl: (7) refused"),
    ("bookinfo-in-mesh", lambda w: setattr(w, "inside", (0, b"hello", b"")), FAILED, "the page has no <title>"),
    ("bookinfo-in-mesh", lambda w: drop(w, "Pod", "ratings-v1-1"), FAILED, "no pod of ratings is ready"),
    (
        "bookinfo-analyzed",
        lambda w: w.host.answer(
            "analyze",
            json.dumps([{"code": "IST0101", "level": "Error", "origin": "VirtualService x", "message": "not found"}]),
        ),
        FAILED,
        "1 finding, first IST0101 VirtualService x: not found",
    ),
    ("bookinfo-analyzed", lambda w: w.host.answer("analyze", ""), UNKNOWN, "no output"),
    # The ingress
    ("ingress-address", lambda w: drop(w, "Service"), FAILED, "there is no Service istio-system/istio-ingressgateway"),
    ("ingress-address", failing("get Service", NO_ANSWER), UNKNOWN, "gives no answer"),
    ("ingress-answers", lambda w: setattr(w, "page", (503, "no healthy upstream")), FAILED, "answers 503: 'no healthy"),
    (
        "ingress-answers",
        lambda w: setattr(w, "page", (200, mesh.GOOD_PAGE + "product ratings are currently unavailable")),
        FAILED,
        "the page says 'unavailable'",
    ),
]


def _away(world: Any) -> None:
    # An empty list, not "as it should be".
    world.istiod["/debug/syncz"] = b"[]"


def test_everything_holds_on_a_healthy_mesh(world: Any) -> None:
    results = world.all()
    assert {anchor: result.detail for anchor, result in results.items() if result.state is not State.OK} == {}
    assert len(results) == 23


@pytest.mark.parametrize(
    ("anchor", "breaks", "state", "words"), BROKEN, ids=[f"{i}-{b[0]}" for i, b in enumerate(BROKEN)]
)
def test_what_is_broken_is_found(
    world: Any, anchor: str, breaks: Callable[[Any], None], state: State, words: str
) -> None:
    breaks(world)
    result = world.check(anchor)
    assert words in result.detail
    assert result.state is state


def test_every_check_that_asks_the_cluster_can_break() -> None:
    """The table has each check at least once, so that none is true whatever happens; some have files of their own."""
    credentials = {"credential-lasts", "credential-renewed"}
    here = {row[0] for row in BROKEN} | {"cluster-identity", "rate-limits", *credentials}
    from meshwright import checks

    assert here == {each.anchor for each in checks.CHECKS if each.group not in ("host", "tools")}


def test_info_of_istioctl_analyze_is_no_finding(world: Any) -> None:
    world.host.answer("analyze", json.dumps([{"code": "IST0102", "level": "Info", "message": "x"}]))
    assert world.check("bookinfo-analyzed").state is State.OK


def test_pods_that_have_ended_need_no_sidecar(world: Any) -> None:
    ended = mesh.pod("job-1", sidecar=False)
    ended["status"]["phase"] = "Succeeded"
    world.session.put(ended)
    assert world.check("sidecars-injected").state is State.OK


def test_older_istiods_say_only_pairs(world: Any) -> None:
    rows = [{"proxy": row["proxy"], "cluster_sent": "2", "cluster_acked": "2"} for row in mesh.synced(world.session)]
    world.istiod["/debug/syncz"] = rows
    assert world.check("proxies-synced").state is State.OK
    rows[0]["cluster_acked"] = "1"
    result = world.check("proxies-synced")
    assert (result.state, "the last cluster" in result.detail) == (State.FAILED, True)


def test_a_version_with_dashes(world: Any) -> None:
    world.env = environment(istio={"version": "1.31-alpha.eed52ebb66ad", "hub": "h"})
    world.istiod["/version"] = b"1.31-alpha.eed52ebb66ad-unknown-unknown"
    assert world.check("istiod-version").state is State.OK


def test_a_revision_looks_at_its_own_istiod(world: Any) -> None:
    world.env = environment(istio={"version": mesh.VERSION, "hub": "h", "revision": "canary"})
    result = world.check("istiod-available")
    assert (result.state, "istio.io/rev=canary" in result.detail) == (State.FAILED, True)


def test_profiles_without_a_control_plane_are_not_asked_for_one(world: Any) -> None:
    world.env = environment(istio={"version": mesh.VERSION, "hub": "h", "profile": "remote"})
    assert not {"istiod-available", "istiod-version", "webhooks-closed", "proxies-synced"} & set(world.all())


def test_redundant_enough(world: Any) -> None:
    world.env = existing()
    world.session.put(mesh.istiod_pod("istiod-2"))
    world.session.put(mesh.gateway_pod("istio-ingressgateway-2"))
    result = world.check("redundant")
    assert (result.state, result.detail) == (State.OK, "istiod: 2, istio-ingressgateway: 2")


# The identity


def test_the_right_cluster_by_what_is_pinned(world: Any) -> None:
    world.env = existing()
    assert world.check("cluster-identity").detail == f"uid {UID}"


def test_another_cluster(world: Any) -> None:
    world.env = existing()
    world.session.who = Identity("00000000-0000-0000-0000-000000000000", CA)
    result = world.check("cluster-identity")
    assert result.state is State.FAILED
    assert "another cluster than prod means" in result.detail


def test_nothing_pinned_is_not_verified(world: Any) -> None:
    world.env = environment(cluster={"kind": "existing", "context": "somewhere"})
    result = world.check("cluster-identity")
    assert (result.state, result.fatal) == (State.NOT_VERIFIED, True)


def test_another_k3d_cluster_than_the_recorded_one(world: Any) -> None:
    identity.record(world.host, world.env, world.session)
    assert world.check("cluster-identity").state is State.OK
    world.session.who = Identity(UID, "cd" * 32)
    assert "its CA is" in world.check("cluster-identity").detail


# What a check needs


def test_without_a_cluster_nothing_else_is_looked_at(world: Any) -> None:
    world.state = cluster.State.ABSENT
    results = world.all()
    assert {a for a, r in results.items() if r.check.group not in ("host", "tools") and not r.skipped} == {
        "api-server-ready"
    }
    assert world.session.asked == []


def test_an_api_error_fails_with_its_own_hint(world: Any) -> None:
    world.session.failing["list Node"] = ApiError("cannot list Node: boom", status=500, body={}, hint="Look there")
    result = world.check("nodes-ready")
    assert (result.state, result.check.hint) == (State.FAILED, "Look there")
