"""Checks that find what is broken in a real mesh, each broken in one way and mended again (#3, parts 6, 7 and 9)."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from meshwright import check, checks
from meshwright.check import State
from meshwright.kube import wait


def look(lab, anchor):
    """One check, once."""
    [found] = [each for each in checks.CHECKS if each.anchor == anchor]
    [result] = check.run([replace(found, needs=(), retry=0)], lab.target, lab.env)
    return result


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.3)


def scaled(lab, name, replicas):
    namespace = lab.env.bookinfo.namespace
    lab.session.patch("apps/v1", "Deployment", name, namespace, body={"spec": {"replicas": replicas}})
    app = name.partition("-")[0]
    until(lambda: len(lab.session.list("v1", "Pod", namespace, labels=f"app={app}")) == replicas)
    wait.ready(lab.session, [wait.Ref("Deployment", name, namespace)], timeout=120)


@pytest.fixture
def pod(lab, scratch):
    """A pod without a sidecar in a namespace that is labelled for injection afterwards."""
    [ratings, *_] = lab.session.list("v1", "Pod", lab.env.bookinfo.namespace, labels="app=ratings")
    [image] = [c["image"] for c in ratings["spec"]["containers"] if c["name"] == "ratings"]
    container = {"name": "app", "image": image, "command": ["sleep", "600"]}
    metadata = {"name": "plain", "namespace": scratch}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    lab.session.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    labels = {"metadata": {"labels": {"istio-injection": "enabled"}}}
    lab.session.patch("v1", "Namespace", scratch, body=labels)
    return f"{scratch}/plain"


def test_a_pod_without_a_sidecar_is_named(lab, scratch, pod):
    result = look(lab, "sidecars-injected")
    assert result.state is State.FAILED
    assert pod in result.detail
    labels = {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}
    lab.session.patch("v1", "Pod", "plain", scratch, body=labels)
    assert look(lab, "sidecars-injected").state is State.OK


def test_a_namespace_with_both_labels_is_named(lab, scratch):
    labels = {"metadata": {"labels": {"istio-injection": "enabled", "istio.io/rev": "canary"}}}
    lab.session.patch("v1", "Namespace", scratch, body=labels)
    result = look(lab, "one-injection-label")
    assert (result.state, scratch in result.detail) == (State.FAILED, True)


def test_configuration_that_istioctl_refuses(lab):
    namespace = lab.env.bookinfo.namespace
    metadata = {"name": "broken", "namespace": namespace}
    route = {"route": [{"destination": {"host": "nobody"}}]}
    spec = {"hosts": ["nobody"], "gateways": ["no-such-gateway"], "http": [route]}
    api = "networking.istio.io/v1"
    lab.session.create({"apiVersion": api, "kind": "VirtualService", "metadata": metadata, "spec": spec})
    try:
        result = look(lab, "bookinfo-analyzed")
        assert (result.state, "IST0101" in result.detail) == (State.FAILED, True)
    finally:
        lab.session.delete(api, "VirtualService", "broken", namespace)
    assert look(lab, "bookinfo-analyzed").state is State.OK


def test_a_service_behind_the_page_that_is_away(lab):
    scaled(lab, "details-v1", 0)
    try:
        assert "details-v1 is scaled to nothing" in look(lab, "bookinfo-ready").detail
        for anchor in ("ingress-answers", "bookinfo-in-mesh"):
            until(lambda anchor=anchor: look(lab, anchor).state is State.FAILED)
            assert "a service behind productpage does not answer" in look(lab, anchor).detail
    finally:
        scaled(lab, "details-v1", 1)
    until(lambda: look(lab, "ingress-answers").state is State.OK)


def test_the_command_fails_with_the_check(lab, pod):
    done = lab.driver.meshwright("check", "lab", "--group", "data-plane", "--json")
    assert done.code == 1, done.out
    document = done.document
    assert not document["ok"]
    failed = {row["check"]: row["detail"] for row in document["checks"] if row["state"] == "failed"}
    assert list(failed) == ["sidecars-injected"]
    assert pod in failed["sidecars-injected"]


def test_every_check_of_a_k3d_environment_was_really_made(lab):
    document = lab.driver.meshwright("check", "lab", "--json").document
    made = {row["check"]: row for row in document["checks"]}
    assert list(made) == [each.anchor for each in checks.CHECKS if each.applies(lab.env)]
    assert {row["state"] for row in made.values()} <= {"ok", "warning"}
    assert made["proxies-ready"]["detail"] == "8 proxies"
    assert made["sidecars-injected"]["detail"] == "6 pods"
