"""The IstioOperator of an environment."""

from __future__ import annotations

from typing import Any

import yaml
from fakes import environment

from meshwright.environment import Environment
from meshwright.operator_spec import operator, text

PORTS = [
    {"name": "http2", "port": 80, "target_port": 8080, "node_port": 30080, "publish": "auto"},
    {"name": "https", "port": 443, "target_port": 8443},
]
MERGED = [
    {"name": "http2", "port": 80, "targetPort": 8080, "nodePort": 30080},
    {"name": "https", "port": 443, "targetPort": 8443},
]


def made(*, ingress: dict[str, Any] | None = None, **istio: Any) -> dict[str, Any]:
    env = with_istio(ingress=ingress, **istio)
    spec: dict[str, Any] = operator(env)["spec"]
    return spec


def with_istio(*, ingress: dict[str, Any] | None = None, **istio: Any) -> Environment:
    return environment(istio={"version": "1.30.3", "hub": "docker.io/istio", **istio}, ingress=ingress or {})


def test_the_least_of_it_says_hub_and_tag() -> None:
    assert text(with_istio()) == (
        "apiVersion: install.istio.io/v1alpha1\n"
        "kind: IstioOperator\n"
        "spec:\n"
        "  profile: default\n"
        "  hub: docker.io/istio\n"
        "  tag: 1.30.3\n"
        "  namespace: istio-system\n"
    )


def test_a_tag_of_its_own_and_a_revision() -> None:
    spec = made(tag="1.30.3-distroless", revision="blue")
    assert (spec["tag"], spec["revision"]) == ("1.30.3-distroless", "blue")


def test_the_keys_of_the_file_become_those_of_istio() -> None:
    env = environment(istio={"version": "1.30.3", "hub": "h", "meshConfig": {"accessLogFile": "/dev/stdout"}})
    assert operator(env)["spec"]["meshConfig"] == {"accessLogFile": "/dev/stdout"}


def test_the_ports_of_ingress_make_the_gateway() -> None:
    assert made(ingress={"ports": PORTS})["components"] == {
        "ingressGateways": [{"name": "istio-ingressgateway", "enabled": True, "k8s": {"service": {"ports": MERGED}}}]
    }


def test_the_ports_of_ingress_go_into_the_gateway_that_is_there() -> None:
    ours = {
        "name": "istio-ingressgateway",
        "enabled": True,
        "k8s": {"replicaCount": 2, "service": {"externalTrafficPolicy": "Local"}},
    }
    other = {"name": "internal", "enabled": True}
    egress = [{"name": "istio-egressgateway", "enabled": True}]
    components = {"ingressGateways": [other, ours], "egressGateways": egress}
    assert made(ingress={"ports": PORTS}, components=components)["components"] == {
        "ingressGateways": [
            other,
            {
                "name": "istio-ingressgateway",
                "enabled": True,
                "k8s": {"replicaCount": 2, "service": {"externalTrafficPolicy": "Local", "ports": MERGED}},
            },
        ],
        "egressGateways": egress,
    }


def test_a_gateway_of_another_name_stays_beside_ours() -> None:
    gateways = made(
        ingress={"ports": PORTS, "service": "public"}, components={"ingressGateways": [{"name": "internal"}]}
    )["components"]["ingressGateways"]
    assert [gateway["name"] for gateway in gateways] == ["internal", "public"]


def test_nothing_is_added_without_ports() -> None:
    components = {"pilot": {"k8s": {"replicaCount": 2}}}
    assert made(components=components)["components"] == components


def test_another_namespace_is_told_to_every_chart() -> None:
    values = {"global": {"proxy": {"logLevel": "info"}}, "pilot": {"autoscaleMin": 2}}
    assert made(namespace="mesh", values=values)["values"] == {
        "global": {"proxy": {"logLevel": "info"}, "istioNamespace": "mesh"},
        "pilot": {"autoscaleMin": 2},
    }


def test_the_environment_is_not_touched() -> None:
    env = with_istio(
        ingress={"ports": PORTS},
        namespace="mesh",
        components={"ingressGateways": [{"name": "istio-ingressgateway", "k8s": {"service": {}}}]},
        values={"global": {}},
    )
    before = env.model_dump()
    operator(env)
    assert env.model_dump() == before


def test_the_text_is_the_object() -> None:
    env = with_istio(ingress={"ports": PORTS}, values={"pilot": {"env": {"LONG": "x" * 500, "YES": "true", "Q": "1"}}})
    assert yaml.safe_load(text(env)) == operator(env)
