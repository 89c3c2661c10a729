from __future__ import annotations

from typing import Any

import pytest
from mesh import made

from meshwright.concerned import concerned, of_istio, told
from meshwright.envoys import Proxy

Object = dict[str, Any]
ROOT = "istio-system"
NET, SEC, API = "networking.istio.io/v1", "security.istio.io/v1", "gateway.networking.k8s.io/v1"


def proxy(where: str, role: str = "sidecar", **labels: str) -> Proxy:
    namespace, pod = where.split("/")
    spelled = {key.replace("__", "/"): value for key, value in labels.items()}
    return Proxy(namespace, pod, f"uid-{pod}", role, "image", True, "default", "n1", True, spelled)


PROXIES = [
    proxy("shop/web", app="web"),
    proxy("shop/cart", app="cart", tier="back"),
    proxy("bank/till", app="till"),
    proxy("istio-system/in", "gateway", istio="ingressgateway"),
    proxy("istio-system/out", "gateway", istio="egressgateway"),
    proxy("shop/own-gw", "gateway", **{"gateway.networking.k8s.io__gateway-name": "own"}),
    proxy("bank/waypoint", "waypoint", **{"gateway.networking.k8s.io__gateway-name": "waypoint"}),
]
EVERY = "web cart till in out own-gw waypoint"
GATEWAY = made(NET, "Gateway", "front", "shop", spec={"selector": {"istio": "ingressgateway"}})


def who(obj: Object, *objects: Object) -> set[str]:
    return {each.pod for each in concerned(obj, PROXIES, ROOT, objects or (GATEWAY,))}


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        # What a policy selects.
        ((SEC, "AuthorizationPolicy"), {}, "web cart own-gw"),
        ((SEC, "AuthorizationPolicy"), {"selector": {"matchLabels": {"app": "web"}}}, "web"),
        ((SEC, "AuthorizationPolicy"), {"selector": {"matchLabels": {"app": "cart", "tier": "front"}}}, ""),
        (
            (SEC, "AuthorizationPolicy"),
            {"targetRefs": [{"kind": "Gateway", "name": "own"}]},
            "web cart in out own-gw waypoint",
        ),
        ((SEC, "RequestAuthentication"), {"selector": {"matchLabels": {"app": "cart"}}}, "cart"),
        # Clients of what it selects must know too.
        ((SEC, "PeerAuthentication"), {"selector": {"matchLabels": {"app": "cart"}}}, EVERY),
        ((NET, "Sidecar"), {"workloadSelector": {"labels": {"app": "web"}}}, "web"),
        (("networking.istio.io/v1alpha3", "EnvoyFilter"), {"workloadSelector": {"labels": {"app": "web"}}}, "web"),
        (("telemetry.istio.io/v1", "Telemetry"), {"selector": {"matchLabels": {"app": "web"}}}, "web"),
        # Whom it is exported to.
        ((NET, "DestinationRule"), {}, EVERY),
        ((NET, "DestinationRule"), {"exportTo": ["."]}, "web cart own-gw"),
        ((NET, "ServiceEntry"), {"exportTo": ["bank", "."]}, "web cart own-gw till waypoint"),
        ((NET, "ServiceEntry"), {"exportTo": ["*"]}, EVERY),
        ((NET, "ServiceEntry"), {"exportTo": ["~"]}, ""),
        # Gateways.
        ((NET, "Gateway"), {"selector": {"istio": "egressgateway"}}, "out"),
        ((NET, "Gateway"), {"selector": {"app": "web"}}, ""),
        ((NET, "VirtualService"), {"hosts": ["web"]}, "web cart till waypoint"),
        ((NET, "VirtualService"), {"hosts": ["web"], "exportTo": ["."]}, "web cart"),
        ((NET, "VirtualService"), {"hosts": ["*"], "gateways": ["front"]}, "in"),
        (
            (NET, "VirtualService"),
            {"hosts": ["*"], "gateways": ["shop/front", "mesh"], "exportTo": ["bank"]},
            "in till waypoint",
        ),
        ((NET, "VirtualService"), {"hosts": ["*"], "gateways": ["bank/front"]}, ""),
        (
            (NET, "VirtualService"),
            {"hosts": ["*"], "gateways": ["no"], "http": [{"match": [{"gateways": ["front"]}]}]},
            "in",
        ),
        ((NET, "VirtualService"), {"http": []}, EVERY),
        ((API, "HTTPRoute"), {"parentRefs": [{"name": "own"}]}, "own-gw in out"),
        ((API, "HTTPRoute"), {"parentRefs": [{"name": "own", "namespace": "bank"}]}, "in out"),
        ((API, "HTTPRoute"), {"parentRefs": [{"kind": "Service", "group": "", "name": "web"}]}, EVERY),
        # Where nothing is known, all.
        ((NET, "WorkloadEntry"), {}, EVERY),
        (("new.istio.io/v1", "Novelty"), {}, EVERY),
        # Nobody who runs already.
        (("networking.istio.io/v1beta1", "ProxyConfig"), {}, ""),
    ],
)
def test_whom_an_object_of_a_namespace_concerns(kind: tuple[str, str], spec: Object, expected: str) -> None:
    assert who(made(*kind, "x", "shop", spec=spec)) == set(expected.split())


def test_an_object_of_the_root_namespace_is_for_the_mesh() -> None:
    assert who(made(SEC, "AuthorizationPolicy", "x", ROOT, spec={})) == set(EVERY.split())
    labels = {"selector": {"matchLabels": {"app": "till"}}}
    assert who(made(SEC, "AuthorizationPolicy", "x", ROOT, spec=labels)) == {"till"}


def test_an_object_without_its_spec_may_concern_all() -> None:
    assert who(made(NET, "Gateway", "x", "shop")) == set(EVERY.split())


def test_a_gateway_of_the_gateway_api() -> None:
    assert who(made(API, "Gateway", "own", "shop", spec={"listeners": []})) == {"own-gw", "in", "out"}


@pytest.mark.parametrize(
    ("api_version", "kind", "answer"),
    [
        (NET, "Gateway", True),
        (SEC, "PeerAuthentication", True),
        (API, "HTTPRoute", True),
        ("install.istio.io/v1alpha1", "IstioOperator", False),
        ("v1", "ConfigMap", False),
        ("apps/v1", "Deployment", False),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", False),
    ],
)
def test_what_istiod_reads(api_version: str, kind: str, answer: bool) -> None:
    assert of_istio(made(api_version, kind, "x", "shop")) is answer


def test_what_running_proxies_are_told_of() -> None:
    assert told(made(NET, "Gateway", "x", "shop"))
    assert told(made("new.istio.io/v1", "Novelty", "x", "shop"))
    assert not told(made("networking.istio.io/v1beta1", "ProxyConfig", "x", "shop"))
