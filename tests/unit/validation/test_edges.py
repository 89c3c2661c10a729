"""Rules at their edges: wildcards, delegates, exportTo, short names, ports, mesh, other namespaces, the Gateway API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes import FakeSession, FakeTarget

from meshwright import tools
from meshwright.validation import Level, Validated

Look = Callable[..., Validated]
ISTIO, API, SECURITY = "networking.istio.io/v1", "gateway.networking.k8s.io/v1", "security.istio.io/v1"
S = "s.shop.svc.cluster.local"
ROUND = {"loadBalancer": {"simple": "ROUND_ROBIN"}}


def obj(kind: str, name: str, spec: Any, api: str = ISTIO, namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    whole = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": api, "kind": kind, "metadata": whole, "spec": spec}


def service(name: str = "s", namespace: str = "shop", *ports: int, **spec: Any) -> dict[str, Any]:
    listed = [{"port": port} for port in ports or (80,)]
    return obj("Service", name, {"ports": listed, **spec}, "v1", namespace)


def to(host: str = S, subset: str = "", port: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {"host": host}
    if subset:
        found["subset"] = subset
    if port:
        found["port"] = {"number": port}
    return {"destination": found}


def routes(name: str, hosts: list[str], *destinations: dict[str, Any], **spec: Any) -> dict[str, Any]:
    found = {"hosts": hosts, "http": [{"route": list(destinations or (to(),))}], **spec}
    return obj("VirtualService", name, found, namespace=spec.pop("namespace", "shop"))


def gateway(name: str = "g", *hosts: str, namespace: str = "shop", **server: Any) -> dict[str, Any]:
    one = {"port": {"number": 80, "protocol": "HTTP"}, "hosts": list(hosts or ("*",)), **server}
    return obj("Gateway", name, {"selector": {"istio": "ingressgateway"}, "servers": [one]}, namespace=namespace)


def rule(name: str, *subsets: str, namespace: str = "shop", host: str = S, **spec: Any) -> dict[str, Any]:
    listed = [{"name": each, "labels": {"version": each}} for each in subsets]
    return obj("DestinationRule", name, {"host": host, "subsets": listed, **spec}, namespace=namespace)


def pod(name: str, namespace: str = "shop", notes: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": notes or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def said(look: Look, name: str, *objects: dict[str, Any], session: FakeSession | None = None) -> list[str]:
    """The sentences of one rule about these manifests."""
    found = look("", yaml.safe_dump_all(objects), session=session)
    return [one.sentence for one in found.findings if one.rule == name]


SUBSETS: list[tuple[list[dict[str, Any]], bool]] = [
    # Everybody in the mesh looks in the Service's namespace and in Istio's.
    ([rule("d", "v1"), routes("v", [S], to(subset="v1"))], True),
    ([rule("d", "v1", namespace="istio-system"), routes("v", [S], to(subset="v1"))], True),
    # The gateway is in istio-system: it sees neither the rules of a third namespace nor what is kept at home.
    ([rule("d", "v1", namespace="bookinfo"), gateway(), routes("v", ["*"], to(subset="v1"), gateways=["g"])], False),
    ([rule("d", "v1", exportTo=["."]), gateway(), routes("v", ["*"], to(subset="v1"), gateways=["g"])], False),
    (
        [rule("d", "v1", exportTo=["istio-system"]), gateway(), routes("v", ["*"], to(subset="v1"), gateways=["g"])],
        True,
    ),
    # For the namespace itself it is enough.
    ([rule("d", "v1", exportTo=["."]), routes("v", [S], to(subset="v1"), exportTo=["."])], True),
    ([rule("d", "v1", host="*.shop.svc.cluster.local"), routes("v", [S], to(subset="v1"))], True),
    ([rule("d", "v1", host="s"), routes("v", [S], to("s", subset="v1"))], True),
    ([rule("d", "v1", host="t.shop.svc.cluster.local"), routes("v", [S], to(subset="v1"))], False),
]


@pytest.mark.parametrize(("objects", "good"), SUBSETS)
def test_a_subset_is_there_for_those_who_take_the_route(look: Look, objects: Any, good: bool) -> None:
    assert bool(said(look, "subset-missing", *objects)) != good


def test_a_gateway_of_a_match_is_looked_for_too(look: Look) -> None:
    matched = {"match": [{"gateways": ["mesh", "nope"]}], "route": [to()]}
    [found] = said(look, "gateway-missing", routes("v", [S], http=[matched]))
    assert found == "there is no Gateway shop/nope (nope)"


def test_delegates(look: Look) -> None:
    root = routes("v", ["a.example.com"], http=[{"delegate": {"name": "d", "namespace": "bookinfo"}}])
    [found] = said(look, "delegate-missing", root)
    assert found == "there is no VirtualService bookinfo/d, its delegate"
    child = obj("VirtualService", "d", {"http": [{"route": [to()]}]}, namespace="bookinfo")
    assert said(look, "delegate-missing", root, child) == []
    child["spec"]["hosts"] = ["b.example.com"]
    assert said(look, "delegate-missing", root, child) == [
        "VirtualService bookinfo/d has hosts of its own, so it is nobody's delegate"
    ]


def test_ports_of_services_that_are_known(look: Look) -> None:
    api = obj("HTTPRoute", "h", {"rules": [{"backendRefs": [{"name": "s", "port": 9090}]}]}, API)
    found = said(look, "port-missing", service("s", "shop", 80), routes("v", [S], to(port=81)), api)
    assert found == [f"{S} has no port 81", f"{S} has no port 9090"]
    assert said(look, "port-missing", service("s", "shop", 80), routes("v", [S], to(port=80))) == []
    assert said(look, "port-missing", routes("v", [S], to(port=81))) == []


TWICE: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([routes("v", [S]), routes("w", [S])], ["host-twice"]),
    ([routes("v", ["s"]), routes("w", [S])], ["host-twice"]),
    # Nobody sees both.
    ([routes("v", [S], exportTo=["."]), routes("w", [S], exportTo=["bookinfo"])], []),
    ([routes("v", [S], exportTo=["."]), routes("w", [S], exportTo=["shop"])], ["host-twice"]),
    ([routes("v", [S], exportTo=["."]), routes("w", [S])], ["host-twice"]),
    # Wildcards and what is below them are two hosts.
    ([routes("v", ["*.example.com"]), routes("w", ["a.example.com"])], []),
    # A redirect at port 80 and TLS that is handed on at port 443 are for two servers.
    (
        [
            gateway(),
            routes("v", ["a.example.com"], gateways=["g"]),
            obj(
                "VirtualService",
                "w",
                {
                    "hosts": ["a.example.com"],
                    "gateways": ["g"],
                    "tls": [{"match": [{"sniHosts": ["a.example.com"]}], "route": [to()]}],
                },
            ),
        ],
        [],
    ),
    # At gateways Istio joins them, so one that takes all beside one that does not may be meant.
    (
        [
            gateway(),
            routes("v", ["a.example.com"], gateways=["g"]),
            routes("w", ["a.example.com"], gateways=["shop/g"], http=[{"match": [{"uri": {"prefix": "/b"}}]}]),
        ],
        ["host-split"],
    ),
    (
        [gateway(), *(routes(name, ["a.example.com"], gateways=["g"]) for name in "vw")],
        ["host-twice"],
    ),
    # Mesh by default, and at a gateway only.
    ([gateway(), routes("v", [S]), routes("w", [S], gateways=["g"])], []),
    ([gateway(), routes("v", [S]), routes("w", [S], gateways=["g", "mesh"])], ["host-twice"]),
]


@pytest.mark.parametrize(("objects", "rules"), TWICE)
def test_two_for_one_host(look: Look, objects: Any, rules: list[str]) -> None:
    found = look("", yaml.safe_dump_all(objects))
    assert [one.rule for one in found.findings if one.rule in ("host-twice", "host-split")] == rules


SHADOWS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"uri": {"exact": "/a"}}, True),
    ({"uri": {"prefix": "/"}}, {"headers": {"x": {"exact": "y"}}}, True),
    ({"uri": {"prefix": "/"}}, {}, True),
    ({"uri": {"regex": ".*"}}, {}, True),
    ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a"}}, True),
    ({"uri": {"prefix": "/a"}}, {"uri": {"regex": "/a/.*"}}, False),
    ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, False),
    ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"uri": {"exact": "/a/b"}}, True),
    ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a/b"}, "ignoreUriCase": True}, False),
    ({"headers": {"x": {}}}, {"headers": {"x": {"regex": "y+"}, "z": {"exact": "1"}}}, True),
    ({"headers": {"x": {"exact": "a"}}}, {"headers": {"x": {"exact": "b"}}}, False),
    ({"headers": {"x": {"prefix": "a"}}}, {"headers": {"x": {"exact": "ab"}}}, True),
    ({"withoutHeaders": {"x": {}}}, {"uri": {"exact": "/a"}}, False),
    ({"gateways": ["g"]}, {"uri": {"exact": "/a"}}, False),
    ({"authority": {"prefix": "a."}}, {"authority": {"exact": "a.example.com"}}, True),
    ({"port": 80}, {"port": 80, "method": {"exact": "GET"}}, True),
    ({"name": "one"}, {"name": "two", "method": {"exact": "GET"}}, True),
    ({"queryParams": {"a": {"exact": "1"}}}, {"queryParams": {"a": {"exact": "1"}, "b": {"exact": "2"}}}, True),
]


@pytest.mark.parametrize(("first", "second", "hidden"), SHADOWS)
def test_what_is_never_taken(look: Look, first: Any, second: Any, hidden: bool) -> None:
    http = [{"match": [match], "route": [to()]} for match in (first, second)]
    assert bool(said(look, "shadowed", routes("v", [S], http=http))) == hidden


def test_tls_routes_are_hidden_by_wider_hosts(look: Look) -> None:
    tls = [{"match": [{"sniHosts": [host], "port": 443}], "route": [to()]} for host in ("*.a.test", "b.a.test")]
    found = said(look, "shadowed", obj("VirtualService", "v", {"hosts": ["*.a.test"], "tls": tls}))
    assert found == ["tls[1] is never taken: tls[0] takes all of its requests"]


def test_two_thousand_routes_are_looked_at_in_no_time(look: Look) -> None:
    http = [{"match": [{"uri": {"prefix": f"/p{n:04}"}}], "route": [to()]} for n in range(1000)]
    http += [{"match": [{"headers": {"x": {"exact": str(n)}}}], "route": [to()]} for n in range(1000)]
    spec = {"hosts": [S], "http": [*http, http[7]]}
    text = json.dumps(obj("VirtualService", "v", spec))
    began = time.process_time()
    found = look("", text)
    assert [one.sentence for one in found.findings if one.rule == "shadowed"] == [
        "http[2000] is never taken: http[7] takes all of its requests"
    ]
    # It is a tenth of that; a look at each pair takes minutes.
    assert time.process_time() - began < 20


def test_a_rule_for_nobody(look: Look) -> None:
    [found] = said(look, "rule-without-host", rule("d", host="db.example.com"))
    assert found == "db.example.com is neither a Service's host nor one of a ServiceEntry, so this has no effect"
    entry = obj("ServiceEntry", "e", {"hosts": ["*.example.com"]})
    assert said(look, "rule-without-host", rule("d", host="db.example.com"), entry) == []
    for host in ("*", "*.local", "*.svc.cluster.local", "s", "*.shop.svc.cluster.local"):
        assert said(look, "rule-without-host", rule("d", host=host)) == [], host


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        (rule("d", "v1", trafficPolicy=ROUND), rule("e", "v2"), 0),
        (rule("d", "v1", trafficPolicy=ROUND), rule("e", "v2", trafficPolicy=ROUND), 1),
        (rule("d", "v1"), rule("e", "v1"), 1),
        (rule("d", "v1", "v1"), rule("e", namespace="bookinfo", trafficPolicy=ROUND), 1),
        (rule("d", "v1", workloadSelector={"matchLabels": {"a": "b"}}), rule("e", "v1"), 0),
    ],
)
def test_two_rules_for_one_host(look: Look, first: Any, second: Any, count: int) -> None:
    assert len(said(look, "rule-twice", first, second)) == count


def peer(mode: str, namespace: str = "shop", name: str = "p", **spec: Any) -> dict[str, Any]:
    return obj("PeerAuthentication", name, {"mtls": {"mode": mode}, **spec}, SECURITY, namespace)


def plain(mode: str = "DISABLE", host: str = S) -> dict[str, Any]:
    return rule("d", host=host, trafficPolicy={"tls": {"mode": mode}})


@pytest.mark.parametrize(
    ("objects", "fights"),
    [
        ([peer("STRICT"), plain()], True),
        ([peer("STRICT", "istio-system"), plain()], True),
        ([peer("STRICT", "istio-system"), peer("PERMISSIVE"), plain()], False),
        ([peer("STRICT", "istio-system"), peer("UNSET"), plain()], True),
        ([peer("STRICT"), plain(host="*.shop.svc.cluster.local")], True),
        ([peer("STRICT"), plain(host="db.example.com")], False),
        ([peer("DISABLE"), plain("ISTIO_MUTUAL")], True),
        ([peer("STRICT"), plain("ISTIO_MUTUAL")], False),
        (
            [
                peer("STRICT"),
                rule("d", trafficPolicy={"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}),
            ],
            True,
        ),
        # A policy for the pods of the Service goes before that of the namespace.
        (
            [
                peer("STRICT"),
                peer("DISABLE", name="q", selector={"matchLabels": {"app": "s"}}),
                service("s", "shop", 80, selector={"app": "s"}),
                plain(),
            ],
            False,
        ),
        ([peer("STRICT", selector={"matchLabels": {"app": "t"}}), service(selector={"app": "s"}), plain()], False),
    ],
)
def test_tls_against_mutual_tls(look: Look, objects: Any, fights: bool) -> None:
    assert bool(said(look, "mutual-tls", *objects)) == fights


def test_a_selector_that_is_an_application_selects_no_gateway(look: Look) -> None:
    sidecar = {"sidecar.istio.io/status": "{}"}
    one = gateway()
    session = FakeSession(pod("p", "shop", sidecar, istio="ingressgateway"))
    [found] = said(look, "selector", one, session=session)
    assert found == "the pods with the labels istio=ingressgateway are no gateways: they have a sidecar"
    injected = {**sidecar, "inject.istio.io/templates": "gateway"}
    session = FakeSession(pod("p", "shop", injected, istio="ingressgateway"))
    assert said(look, "selector", one, session=session) == []


def test_credentials_are_looked_for_where_the_pods_are(look: Look) -> None:
    secure = gateway(port={"number": 443, "protocol": "HTTPS"}, tls={"mode": "SIMPLE", "credentialName": "c"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c", "namespace": "edge"}}
    there = pod("p", "edge", istio="ingressgateway")
    assert said(look, "credential-missing", secure, session=FakeSession(there, secret)) == []
    [found] = said(look, "credential-missing", secure, session=FakeSession(there))
    assert found.startswith("the cluster has no credential edge/c")
    many = gateway(tls={"credentialNames": ["c", "d"]})
    assert len(said(look, "credential-missing", many)) == 2
    api = obj("Gateway", "a", {"listeners": [{"tls": {"certificateRefs": [{"name": "c"}]}}]}, API)
    [found] = said(look, "credential-missing", api)
    assert found.startswith("these values have no credential shop/c")


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        # http2 is HTTP; a wildcard and a host below it are two; hosts with a namespace are the same hosts.
        (gateway("g"), gateway("h", port={"number": 80, "protocol": "http2"}), 0),
        (gateway("g"), gateway("h", port={"number": 80, "protocol": "TCP"}), 1),
        (gateway("g", "*.a.test", tls={"mode": "SIMPLE"}), gateway("h", "b.a.test", tls={"mode": "MUTUAL"}), 0),
        (gateway("g", "./b.a.test", tls={"mode": "SIMPLE"}), gateway("h", "b.a.test", tls={"mode": "MUTUAL"}), 1),
    ],
)
def test_servers_that_overlap(look: Look, first: Any, second: Any, count: int) -> None:
    assert len(said(look, "servers-overlap", first, second)) == count
    # Labels beside those of the first are of pods that have these too.
    second["spec"]["selector"] = {"istio": "ingressgateway", "zone": "a"}
    assert len(said(look, "servers-overlap", first, second)) == count
    second["spec"]["selector"] = {"istio": "other"}
    assert said(look, "servers-overlap", first, second) == []


def test_ports_for_tls_pass_through_as_tcp(look: Look) -> None:
    https = service("s", "shop", ports=[{"name": "https-web", "port": 8443}, {"name": "httpsish", "port": 1}])
    assert said(look, "as-tcp", https) == ["port 8443 has no VirtualService with tls routes: it passes through as TCP"]
    named = service("s", "shop", ports=[{"name": "https", "port": 443, "appProtocol": "http"}])
    assert said(look, "as-tcp", named) == []
    tls = obj("VirtualService", "v", {"hosts": ["s"], "tls": [{"match": [{"sniHosts": [S]}], "route": [to()]}]})
    assert said(look, "as-tcp", https, tls) == []


def test_a_subset_needs_pods_of_its_service(look: Look) -> None:
    there = FakeSession(pod("other", version="v1", app="t"), service(selector={"app": "s"}))
    [found] = said(look, "subset-of-nobody", rule("d", "v1"), session=there)
    assert found == "no pod of Service s has the labels of subset v1"
    there.put(pod("p", version="v1", app="s"))
    assert said(look, "subset-of-nobody", rule("d", "v1"), session=there) == []


def test_a_service_of_another_api_is_no_service(look: Look) -> None:
    knative = obj("Service", "s", {}, "serving.knative.dev/v1")
    assert said(look, "host-missing", knative, routes("v", [S])) == []


GONE: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], dict[str, Any], str]] = [
    (
        "a Gateway",
        [gateway()],
        [],
        routes("theirs", ["a.test"], gateways=["g"]),
        "VirtualService shop/theirs names Gateway shop/g",
    ),
    (
        "a host of a Gateway",
        [gateway("g", "a.test", "b.test")],
        [gateway("g", "b.test")],
        routes("theirs", ["a.test"], gateways=["g"]),
        "VirtualService shop/theirs names host a.test at Gateway shop/g",
    ),
    (
        "a delegate",
        [obj("VirtualService", "d", {"http": []})],
        [],
        routes("theirs", ["a.test"], http=[{"delegate": {"name": "d"}}]),
        "VirtualService shop/theirs names VirtualService shop/d as its delegate",
    ),
    (
        "a port of a Service",
        [service("s", "shop", 80, 81)],
        [service("s", "shop", 80)],
        obj("HTTPRoute", "theirs", {"rules": [{"backendRefs": [{"name": "s", "port": 81}]}]}, API),
        f"HTTPRoute shop/theirs names port 81 of {S}",
    ),
    (
        "a ServiceEntry",
        [obj("ServiceEntry", "e", {"hosts": ["e.test"]})],
        [],
        routes("theirs", ["a.test"], to("e.test")),
        "VirtualService shop/theirs names host e.test",
    ),
    (
        "a named route",
        [gateway(), routes("v", ["a.test"], gateways=["g"], http=[{"name": "r"}, {"name": "q"}])],
        [gateway(), routes("v", ["a.test"], gateways=["g"], http=[{"name": "q"}])],
        obj(
            "EnvoyFilter",
            "theirs",
            {
                "configPatches": [
                    {"match": {"routeConfiguration": {"vhost": {"name": "a.test:80", "route": {"name": "r"}}}}}
                ]
            },
            "networking.istio.io/v1alpha3",
        ),
        "EnvoyFilter shop/theirs names route r of virtual host a.test:80",
    ),
    (
        "a listener",
        [obj("Gateway", "a", {"listeners": [{"name": "http"}, {"name": "tls"}]}, API)],
        [obj("Gateway", "a", {"listeners": [{"name": "http"}]}, API)],
        obj("TLSRoute", "theirs", {"parentRefs": [{"name": "a", "sectionName": "tls"}]}, API),
        "TLSRoute shop/theirs names listener tls of Gateway shop/a",
    ),
    (
        "a host in a policy",
        [routes("v", ["a.test"])],
        [],
        obj(
            "AuthorizationPolicy",
            "theirs",
            {"rules": [{"to": [{"operation": {"hosts": ["a.test", "a.test:443", "*"]}}]}]},
            SECURITY,
        ),
        "AuthorizationPolicy shop/theirs names host a.test",
    ),
]


@pytest.mark.parametrize(("before", "after", "caller", "sentence"), [row[1:] for row in GONE], ids=[r[0] for r in GONE])
def test_who_still_names_what_goes_away(look: Look, before: Any, after: Any, caller: Any, sentence: str) -> None:
    from meshwright import applyset

    for one in before:
        one["metadata"]["labels"] = {"applyset.kubernetes.io/part-of": applyset.identifier("resources-lab")}
    session = FakeSession(*before, caller, pod("p", istio="ingressgateway"))
    kept = [{**one, "metadata": {k: v for k, v in one["metadata"].items() if k != "labels"}} for one in before]
    assert said(look, "still-named", *kept, session=session) == []
    [found] = said(look, "still-named", *(after or [service("z")]), session=session)
    assert sentence in found


def test_what_another_one_has_too_is_not_missed(look: Look) -> None:
    session = FakeSession(rule("mine", "v1"), rule("theirs", "v1"), routes("v", [S], to(subset="v1")))
    assert said(look, "still-named", rule("mine", "v2"), session=session) == []


def api_gateway(name: str = "g", value: str = "", *listeners: dict[str, Any]) -> dict[str, Any]:
    one = {"name": "http", "port": 80, "protocol": "HTTP"}
    addresses = {"addresses": [{"type": "Hostname", "value": value}]} if value else {}
    return obj("Gateway", name, {"listeners": list(listeners) or [one], **addresses}, API)


def api_route(*hosts: str, kind: str = "HTTPRoute", **ref: Any) -> dict[str, Any]:
    return obj(kind, "h", {"parentRefs": [{"name": "g", **ref}], "hostnames": list(hosts)}, API)


def at(*hosts: str) -> dict[str, Any]:
    return routes("v", list(hosts), gateways=["g"])


INGRESS = "istio-ingressgateway.istio-system.svc.cluster.local"
OTHERS = service("others", "shop", 80, selector={"app": "others"})
BOTH: list[tuple[list[dict[str, Any]], str]] = [
    ([api_gateway("g", INGRESS), api_route("a.test"), at("a.test")], "a.test is in VirtualService shop/v (m.yaml:"),
    ([api_gateway("g", INGRESS), api_route("a.test"), at("b.test")], ""),
    (
        [api_gateway("g", INGRESS), api_route("a.b.test"), at("*.b.test")],
        "a.b.test is in VirtualService shop/v (m.yaml:",
    ),
    (
        [api_gateway("g", INGRESS), api_route("*.b.test"), at("a.b.test")],
        "*.b.test is in VirtualService shop/v (m.yaml:",
    ),
    # What is left over is nobody's host.
    ([api_gateway("g", INGRESS), api_route("a.test"), at("*")], ""),
    ([api_gateway("g", INGRESS), api_route(), at("*")], "* is in VirtualService shop/v (m.yaml:"),
    # The pods that Istio makes for a Gateway are its own; others have their own labels.
    ([api_gateway("g"), api_route("a.test"), at("a.test")], ""),
    ([OTHERS, api_gateway("g", "others.shop.svc.cluster.local"), api_route("a.test"), at("a.test")], ""),
    # Another port is another list of routes.
    (
        [
            api_gateway("g", INGRESS, {"name": "x", "port": 8080, "protocol": "HTTP"}),
            api_route("a.test"),
            at("a.test"),
        ],
        "",
    ),
    ([api_gateway("g", INGRESS), api_route("a.test", sectionName="other"), at("a.test")], ""),
    # In the mesh a Service is a route's parent.
    ([api_route(kind="HTTPRoute") | {"spec": {"parentRefs": [{"kind": "Service", "name": "s"}]}}, routes("v", [S])], S),
]


@pytest.mark.parametrize(("objects", "start"), BOTH)
def test_a_host_of_istio_s_kinds_and_of_the_gateway_api_s(look: Look, objects: Any, start: str) -> None:
    found = said(look, "routed-twice", gateway("g"), *objects)
    assert [one.startswith(start) for one in found] == ([True] if start else [])


LISTENERS: list[tuple[dict[str, Any], dict[str, Any], str, bool]] = [
    ({"protocol": "HTTPS"}, api_route("a.test", kind="GRPCRoute"), "listener-kind", True),
    ({"protocol": "TLS"}, api_route("a.test", kind="TLSRoute"), "listener-kind", True),
    ({"protocol": "TLS"}, api_route("a.test"), "listener-kind", False),
    ({"protocol": "example.com/own"}, api_route("a.test"), "listener-kind", True),
    ({"allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}, api_route("a.test"), "listener-kind", False),
    ({"allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}}, api_route("a.test"), "listener-kind", False),
    ({"hostname": "a.test"}, api_route("a.test"), "listener-host", True),
    ({"hostname": "*.test"}, api_route("a.b.test"), "listener-host", True),
    ({"hostname": "a.test"}, api_route("*.test"), "listener-host", True),
    ({"hostname": "a.test"}, api_route("b.test"), "listener-host", False),
    ({"hostname": "a.test"}, api_route(), "listener-host", True),
    # What else it names is not known here.
    ({"hostname": "a.test"}, api_route("b.test", name="theirs"), "listener-host", True),
]


@pytest.mark.parametrize(("listener", "route", "name", "good"), LISTENERS)
def test_a_listener_takes_routes_by_protocol_kind_and_host(
    look: Look, listener: dict[str, Any], route: dict[str, Any], name: str, good: bool
) -> None:
    whole = {"name": "x", "port": 80, "protocol": "HTTP", **listener}
    assert bool(said(look, name, api_gateway("g", "", whole), route)) != good


def test_istioctl_speaks_after_our_own_rules(look: Look, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "installed", lambda *_: "/bin/istioctl")
    given: list[str] = []

    def message(code: str, level: str, origin: str, text: str) -> dict[str, str]:
        return {"code": code, "level": level, "origin": origin, "message": text}

    def answer(_command: object, data: bytes | None) -> str:
        given.append((data or b"").decode())
        mine = "VirtualService shop/v"
        return json.dumps(
            [
                message("IST0101", "Error", mine, 'Referenced gateway not found: "gg"'),
                message("IST0108", "Warning", mine, "Unknown annotation: x"),
                message("IST0108", "Warning", "VirtualService team/other", "Unknown annotation: y"),
                message("IST0118", "Info", mine, "Port name"),
                message("IST0101", "Error", mine, 'Referenced host not found: "q.shop.svc.cluster.local"'),
            ]
        )

    host.answer("analyze --use-kube=false -", answer)
    host.answer("manifest generate", (1, "no manifest"))
    manifests = yaml.safe_dump_all([routes("v", ["a.test"], gateways=["gg"]), service()])
    theirs = routes("theirs", ["b.test"])
    old = routes("v", ["old.test"])
    found = look("", manifests, session=FakeSession(theirs, old, service("z")))
    rows = [(one.rule, one.place, one.sentence) for one in found.findings if one.rule.startswith("IST")]
    assert rows == [
        ("IST0101", "m.yaml:1", 'istioctl analyze: Referenced host not found: "q.shop.svc.cluster.local"'),
        ("IST0108", "m.yaml:1", "istioctl analyze: Unknown annotation: x"),
    ]
    assert [one.rule for one in found.findings if one.level is Level.ERROR].count("gateway-missing") == 1
    # As it would be: what the apply replaces is not there.
    assert "theirs" in given[0]
    assert "old.test" not in given[0]
    # Without a cluster it does not know what is there.
    alone = look("", manifests)
    assert [one.rule for one in alone.findings if one.rule.startswith("IST")] == ["IST0108"]
    assert "what istioctl analyze says of pods, Services and other things that only a cluster has" in alone.skipped
