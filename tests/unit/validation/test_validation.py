"""Every rule: what it finds, where it says so, and that it leaves good objects alone."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import examples
import pytest
import yaml
from fakes import FakeSession, FakeTarget

from meshwright import applyset
from meshwright.errors import BadInput, Forbidden, Unreachable
from meshwright.kube import ApiError
from meshwright.validation import RULES, Finding, Level, Validated

FILE = "group_data/lab.yaml"
Look = Callable[..., Validated]
HTTP = "port: {number: 80, name: http, protocol: HTTP}"
HTTPS = "port: {number: 443, name: https, protocol: HTTPS}"
SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=12)
NO_ISTIOCTL = "what istioctl analyze says: `meshwright apply lab tools` installs istioctl"
NO_SCHEMAS = "the schemas of Istio's kinds: `meshwright apply lab tools` installs istioctl, which has them"
API_GATEWAY = "{shop/g: {listeners: [{name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}], "
API_GATEWAY += "addresses: [{type: Hostname, value: s.shop.svc.cluster.local}]}}"
LIMIT = "{max_tokens: 1, tokens_per_fill: 1, fill_interval: 1s}"
TO = "route: [{destination: {host: s}}]"


def of(found: Validated, rule: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.rule == rule]


GATEWAY = f"gateways:\n  shop/g: {{servers: [{{{HTTP}, hosts: [a.example.com]}}]}}\n"
BROKEN = {
    "gateway-missing": (
        GATEWAY + f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [gg], http: [{{{TO}}}]}}",
        5,
        "VirtualService shop/v: there is no Gateway shop/gg (gg)",
    ),
    "host-not-served": (
        GATEWAY + f"virtual_services:\n  shop/v: {{hosts: [b.example.com], gateways: [g], http: [{{{TO}}}]}}",
        5,
        "VirtualService shop/v: Gateway shop/g does not serve b.example.com, so no request gets here through it",
    ),
    "host-missing": (
        "virtual_services:\n  shop/v:\n    hosts: [s]\n    http:\n    - route:\n"
        "      - destination: {host: s.bookinfo}",
        7,
        "VirtualService shop/v: s.bookinfo is neither a Service's host nor one of a ServiceEntry",
    ),
    "subset-missing": (
        "destination_rules: {shop/s: {host: s, subsets: [{name: v1}]}}\n"
        "virtual_services:\n  shop/v:\n    hosts: [s]\n    http:\n    - route:\n      - destination:\n"
        "          host: s\n          subset: v2",
        10,
        "VirtualService shop/v: no DestinationRule for s.shop.svc.cluster.local has a subset v2",
    ),
    "subset-unused": (
        "destination_rules:\n  shop/s:\n    host: s\n    subsets:\n"
        "    - {name: v1, trafficPolicy: {loadBalancer: {simple: RANDOM}}}",
        6,
        "DestinationRule shop/s: the trafficPolicy of subset v1 has no effect: no route names the subset",
    ),
    "host-twice": (
        f"virtual_services:\n  shop/v: {{hosts: [s], http: [{{{TO}}}]}}\n"
        f"  shop/w: {{hosts: [s.shop.svc.cluster.local], http: [{{{TO}}}]}}",
        4,
        f"VirtualService shop/w: s.shop.svc.cluster.local at mesh is in VirtualService shop/v ({FILE}:3) as well",
    ),
    "shadowed": (
        "virtual_services:\n  shop/v:\n    hosts: [s]\n    http:\n"
        f"    - {{match: [{{uri: {{prefix: /a}}}}], {TO}}}\n"
        f"    - {{match: [{{uri: {{exact: /a/b}}, headers: {{x: {{exact: z}}}}}}], {TO}}}",
        7,
        "VirtualService shop/v: http[1] is never taken: http[0] takes all of its requests",
    ),
    "parent-missing": (
        "gateway_api:\n  http_routes:\n    shop/h:\n      parentRefs:\n      - {name: g}",
        6,
        "HTTPRoute shop/h: there is no Gateway shop/g of the Gateway API",
    ),
    "grant-missing": (
        "gateway_api:\n  http_routes:\n    shop/h:\n      rules:\n"
        "      - backendRefs: [{name: s, namespace: bookinfo, port: 80}]",
        6,
        "HTTPRoute shop/h: no ReferenceGrant in bookinfo lets it refer to s there",
    ),
    "route-not-allowed": (
        "gateway_api:\n  gateways: {istio-system/g: {listeners: [{name: http, port: 80, protocol: HTTP}]}}\n"
        "  http_routes:\n    shop/h:\n      parentRefs:\n      - {name: g, namespace: istio-system}",
        7,
        "HTTPRoute shop/h: Gateway istio-system/g takes routes of its own namespace only",
    ),
    "listener-kind": (
        "gateway_api:\n  gateways: {shop/g: {listeners: [{name: http, port: 80, protocol: HTTP}]}}\n"
        "  tls_routes:\n    shop/h:\n      parentRefs:\n      - {name: g}\n      hostnames: [a.test]\n"
        "      rules: [{backendRefs: [{name: s, port: 443}]}]",
        7,
        "TLSRoute shop/h: listener http of Gateway shop/g (HTTP) takes GRPCRoute or HTTPRoute",
    ),
    "listener-host": (
        f"gateway_api:\n  gateways: {API_GATEWAY}\n"
        "  http_routes:\n    shop/h:\n      parentRefs: [{name: g}]\n      hostnames: [b.example.com, example.com]",
        7,
        "HTTPRoute shop/h: no listener of Gateway shop/g that it names serves example.com, "
        "so no request gets here by it",
    ),
    "address-elsewhere": (
        "gateway_api:\n  gateways:\n    shop/g:\n      listeners: [{name: http, port: 80, protocol: HTTP}]\n"
        "      addresses: [{type: Hostname, value: i.istio-system.svc.cluster.local}]",
        6,
        "Gateway shop/g: i.istio-system.svc.cluster.local is in another namespace: no gateway is programmed",
    ),
    "routed-twice": (
        GATEWAY + f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [g], http: [{{{TO}}}]}}\n"
        f"gateway_api:\n  gateways: {API_GATEWAY}\n"
        "  http_routes: {shop/h: {parentRefs: [{name: g}], hostnames: [a.example.com]}}",
        8,
        f"HTTPRoute shop/h: a.example.com is in VirtualService shop/v ({FILE}:5) as well",
    ),
    "servers-overlap": (
        GATEWAY + f"  shop/h: {{servers: [{{{HTTP}, hosts: [a.example.com], tls: {{httpsRedirect: true}}}}]}}",
        4,
        f"Gateway shop/h: a.example.com at port 80 is in Gateway shop/g ({FILE}:3) with another TLS",
    ),
    "credential-missing": (
        f"gateways:\n  shop/g:\n    servers:\n    - {HTTPS}\n      hosts: [a.example.com]\n"
        "      tls:\n        mode: SIMPLE\n        credentialName: c",
        9,
        "Gateway shop/g: these values have no credential istio-system/c; without one nothing is served at this port",
    ),
    "certificate-expires": (
        "credentials:\n  istio-system/c: {kind: self_signed, hosts: [a.example.com], days: 12}",
        3,
        f"Secret istio-system/c: its certificate expires on {SOON:%Y-%m-%d}",
    ),
    "handed-on": (
        f"gateways:\n  shop/g:\n    servers:\n    - {HTTPS}\n      hosts: [a.example.com]\n"
        "      tls: {mode: PASSTHROUGH}\n"
        f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [g], http: [{{{TO}}}]}}",
        7,
        "Gateway shop/g: TLS is handed on here, so the http routes of VirtualService shop/v are never taken",
    ),
    "mutual-tls": (
        "peer_authentications: {istio-system/default: {mtls: {mode: STRICT}}}\n"
        "destination_rules:\n  shop/s:\n    host: s\n    trafficPolicy: {tls: {mode: DISABLE}}",
        6,
        "DestinationRule shop/s: tls.mode DISABLE fights mutual TLS: the pods of namespace shop are STRICT",
    ),
    "failover": (
        "destination_rules:\n  shop/s:\n    host: s\n    trafficPolicy:\n"
        "      loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}",
        6,
        "DestinationRule shop/s: failover has no effect without outlierDetection: nobody finds out that pods are not "
        "healthy",
    ),
    "rule-twice": (
        "destination_rules:\n  shop/s: {host: s, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
        "  shop/t: {host: s.shop.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}}",
        4,
        f"DestinationRule shop/t: DestinationRule shop/s ({FILE}:3) is for s.shop.svc.cluster.local too: one "
        "trafficPolicy of the two has no effect",
    ),
    "one-per-namespace": (
        "sidecars:\n  shop/a: {egress: [{hosts: [./*]}]}\n  shop/b: {egress: [{hosts: [./*]}]}",
        4,
        f"Sidecar shop/b: Sidecar shop/a ({FILE}:3) is for all pods of shop too",
    ),
    "as-tcp": (
        "service_entries:\n  shop/e:\n    hosts: [e.example.com]\n    resolution: DNS\n"
        "    ports: [{number: 443, name: https, protocol: HTTPS}]",
        6,
        "ServiceEntry shop/e: port 443 has no VirtualService with tls routes: it passes through as TCP",
    ),
    "vhost-missing": (
        GATEWAY + f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [g], http: [{{name: r, {TO}}}]}}\n"
        f"rate_limits:\n  istio-system/l:\n    routes: [{{vhost: 'a.example.com:8080', local: {LIMIT}}}]",
        8,
        "EnvoyFilter istio-system/l: no gateway of these values has a virtual host a.example.com:8080: this limits "
        "nothing",
    ),
    "one-bucket": (
        "rate_limits:\n  istio-system/l:\n    service: {host: r.example.com, domain: d}\n    routes:\n"
        "    - {vhost: 'a:80', rate_limits: [{actions: [{remote_address: {}}]}]}",
        6,
        "EnvoyFilter istio-system/l: remote_address is a node's address behind a Service with externalTrafficPolicy "
        "Cluster",
    ),
    "token-unasked": (
        "request_authentications:\n  shop/j: {jwtRules: [{issuer: i}]}",
        3,
        "RequestAuthentication shop/j: no AuthorizationPolicy asks for a token: requests without one pass",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_what_a_rule_finds(look: Look, rule: str) -> None:
    resources, line, sentence = BROKEN[rule]
    [found] = of(look(resources), rule)
    assert f"{found.object}: {found.sentence}" == sentence
    assert found.place == f"{FILE}:{line}"
    assert found.hint


def manifest(kind: str, name: str, spec: Any, api: str = "networking.istio.io/v1") -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def test_weights_of_a_manifest_which_no_type_has_looked_at(look: Look) -> None:
    destinations = [{"destination": {"host": host}, "weight": 40} for host in ("s", "t")]
    text = "# a comment\n" + yaml.safe_dump(
        manifest("VirtualService", "v", {"hosts": ["s"], "http": [{"route": destinations}]})
    )
    [found] = of(look("", text), "weights")
    assert found.line == "m.yaml:11: error: VirtualService shop/v: the weights of http[0] add up to 80"
    assert found.as_json() == {
        "rule": "weights",
        "level": "error",
        "file": "m.yaml",
        "line": 11,
        "object": "VirtualService shop/v",
        "message": "the weights of http[0] add up to 80",
        "hint": "The weights of a route add up to 100",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("https://s.example.com", "Write s.example.com"),
        ("s.shop.svc.cluster.local:80", "Write s.shop.svc.cluster.local"),
        ("bücher.example.com", "Write xn--bcher-kva.example.com"),
        ("s x", "A host is a name such as"),
    ],
)
def test_a_host_of_a_manifest_that_is_none(look: Look, name: str, hint: str) -> None:
    route = {"route": [{"destination": {"host": name}}]}
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*", f"./{name}"]}
    wrong = [
        manifest("VirtualService", "v", {"hosts": [name], "http": [route]}),
        manifest("DestinationRule", "d", {"host": name}),
        manifest("Gateway", "g", {"servers": [server if "://" not in name else {**server, "hosts": [name]}]}),
    ]
    found = look("", yaml.safe_dump_all(wrong))
    said = [one for one in of(found, "no-host") if one.hint.startswith(hint)]
    kinds = [one.object.partition(" ")[0] for one in said]
    assert sorted(set(kinds)) == ["DestinationRule", "Gateway", "VirtualService"]
    # It is not taken for a short one as well.
    assert of(found, "host-short") == []


def test_a_short_host_of_a_manifest_is_told_what_it_means(look: Look) -> None:
    [found] = of(look("", yaml.safe_dump(manifest("DestinationRule", "d", {"host": "s"}))), "host-short")
    assert found.line == "m.yaml:7: warning: DestinationRule shop/d: s means s.shop.svc.cluster.local"
    assert of(look("destination_rules: {shop/d: {host: s}}"), "host-short") == []


def test_a_service_is_missing_only_where_services_are_known(look: Look) -> None:
    route = f"virtual_services:\n  shop/v: {{hosts: [s], http: [{{{TO}}}]}}"
    found = look(route)
    assert of(found, "host-missing") == []
    assert "the Services of shop: only a cluster knows them" in found.skipped
    [missing] = of(look(route, yaml.safe_dump(manifest("Service", "ss", {}, "v1"))), "host-missing")
    assert (missing.sentence, missing.hint) == ("there is no Service s in namespace shop", "The nearest is ss")
    assert of(look(route, yaml.safe_dump(manifest("Service", "s", {}, "v1"))), "host-missing") == []


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        "x",
        {"hosts": "x", "gateways": {}, "http": [None, 1, {"route": {}, "match": "x"}]},
        {"servers": [1, {}]},
    ],
)
@pytest.mark.parametrize(
    "kind", ["VirtualService", "Gateway", "DestinationRule", "ServiceEntry", "HTTPRoute", "Sidecar"]
)
def test_manifests_of_any_shape_are_looked_at_without_a_traceback(look: Look, kind: str, spec: Any) -> None:
    api = "gateway.networking.k8s.io/v1" if kind == "HTTPRoute" else "networking.istio.io/v1"
    assert look(GATEWAY, yaml.safe_dump(manifest(kind, "x", spec, api))).objects == 2


def test_values_and_a_manifest_for_one_object_are_refused(look: Look) -> None:
    with pytest.raises(BadInput, match=rf"m.yaml:1: Gateway shop/g is already defined at {FILE}:4"):
        look(GATEWAY, yaml.safe_dump(manifest("Gateway", "g", {})))


@pytest.mark.parametrize("page", examples.pages())
def test_the_examples_are_found_good(look: Look, host: FakeTarget, page: str) -> None:
    (host.project.root / "secrets").mkdir()
    for name in re.findall(r"secrets/[-.a-z]+", examples.example(page)):
        (host.project.root / name).write_text("made for this test")
    resources = yaml.safe_load(examples.example(page))["resources"]
    found = look(yaml.safe_dump(resources))
    assert [finding.line for finding in found.findings if finding.level is Level.ERROR] == []


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels}}


def test_with_a_cluster_what_others_have_counts(look: Look) -> None:
    resources = f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [theirs], http: [{{{TO}}}]}}"
    alone = look(resources)
    assert [finding.rule for finding in alone.findings] == ["gateway-missing"]
    theirs = manifest("Gateway", "theirs", {"servers": [{"hosts": ["*"], "port": {"number": 80}}]})
    service = manifest("Service", "s", {}, "v1")
    assert look(resources, session=FakeSession(theirs, service)).findings == ()
    [missing] = look(resources, session=FakeSession(theirs)).findings
    assert (missing.rule, missing.sentence) == ("host-missing", "there is no Service s in namespace shop")


def test_what_the_next_apply_deletes_does_not_count(look: Look) -> None:
    gone = manifest("Gateway", "g", {"servers": [{"hosts": ["*"], "port": {"number": 80}}]})
    gone["metadata"]["labels"] = {"applyset.kubernetes.io/part-of": applyset.identifier("resources-lab")}
    resources = f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [g], http: [{{{TO}}}]}}"
    found = look(resources, session=FakeSession(gone, manifest("Service", "s", {}, "v1")))
    assert [finding.rule for finding in found.findings] == ["gateway-missing"]


def test_a_subset_that_others_still_name_is_not_taken_away(look: Look) -> None:
    route = {"destination": {"host": "s.shop.svc.cluster.local", "subset": "v1"}}
    theirs = manifest("VirtualService", "theirs", {"hosts": ["s.shop.svc.cluster.local"], "http": [{"route": [route]}]})
    session = FakeSession(theirs, manifest("Service", "s", {}, "v1"), pod("p", version="v1"))
    rule = "destination_rules:\n  shop/s:\n    host: s\n    subsets: [{name: v%d, labels: {version: v1}}]"
    subsets = [{"name": "v1", "labels": {"version": "v1"}}]
    session.put(manifest("DestinationRule", "s", {"host": "s.shop.svc.cluster.local", "subsets": subsets}))
    assert look(rule % 1, session=session).findings == ()
    [found] = look(rule % 2, session=session).findings
    assert found.line == (
        f"{FILE}:5: error: DestinationRule shop/s: VirtualService shop/theirs names subset v1 of "
        "s.shop.svc.cluster.local in the cluster, which is taken away here"
    )


def test_selectors_and_subsets_that_match_no_pod(look: Look) -> None:
    resources = (
        f"gateways:\n  shop/g: {{selector: {{app: gateway}}, servers: [{{{HTTP}, hosts: [a.example.com]}}]}}\n"
        "destination_rules:\n  shop/s:\n    host: s\n    subsets:\n    - {name: v1, labels: {version: v1}}\n"
        "    - {name: v2, labels: {version: v2}}"
    )
    session = FakeSession(pod("p", version="v1"), manifest("Service", "s", {}, "v1"))
    found = look(resources, session=session)
    assert [finding.line for finding in found.findings] == [
        f"{FILE}:9: warning: DestinationRule shop/s: no pod of namespace shop has the labels of subset v2",
        f"{FILE}:3: error: Gateway shop/g: no pod has the labels app=gateway",
    ]
    assert session.writes == []


def test_what_the_api_server_refuses_is_a_finding(look: Look) -> None:
    session = FakeSession(pod("p", istio="ingressgateway"))
    session.failing["try Gateway"] = ApiError("spec.x: unknown field", status=422, body={"reason": "Invalid"})
    [found] = look(GATEWAY, session=session).findings
    assert found.line == f"{FILE}:3: error: Gateway shop/g: spec.x: unknown field"
    assert found.rule == "refused"


def test_what_it_refuses_of_a_field_has_the_fields_line(look: Look) -> None:
    session = FakeSession(pod("p", istio="ingressgateway"))
    cause = {
        "field": "spec.servers[0].port",
        "message": "Invalid value: 0: must be more",
        "reason": "FieldValueInvalid",
    }
    body = {"reason": "Invalid", "message": 'Gateway "g" is invalid: ...', "details": {"causes": [cause]}}
    session.failing["try Gateway"] = ApiError("cannot apply Gateway shop/g: ...", status=422, body=body)
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [{"hosts": ["*"], "port": {"number": 0}}]}
    text = yaml.safe_dump(manifest("Gateway", "g", spec))
    [found] = of(look("", text, session), "refused")
    line = 1 + text.splitlines().index("    port:")
    assert found.line == f"m.yaml:{line}: error: Gateway shop/g: spec.servers[0].port: Invalid value: 0: must be more"


def test_what_is_not_there_yet_cannot_be_asked_about(look: Look) -> None:
    session = FakeSession(pod("p", istio="ingressgateway"))
    session.failing["try Gateway"] = ApiError("namespaces shop not found", status=404, body={"reason": "NotFound"})
    found = look(GATEWAY, session=session)
    assert found.findings == ()
    assert found.skipped == (
        "what the API server says of Gateway shop/g: its kind or namespace is not there yet",
        NO_SCHEMAS,
        NO_ISTIOCTL,
    )


def test_what_may_not_be_listed_is_not_taken_for_absent(look: Look) -> None:
    session = FakeSession()
    session.failing["list Pod"] = Forbidden("you may not list pods")
    session.failing["list Secret"] = Forbidden("you may not list secrets")
    found = look(GATEWAY, session=session)
    assert found.findings == ()
    assert found.skipped == (
        "Pod of v1: you may not list pods",
        "Secret of v1: you may not list secrets",
        "the rule credential-missing: it takes the right to list every Secret",
        NO_ISTIOCTL,
    )


def test_a_rule_is_left_out_where_what_it_looks_for_may_not_be_listed(look: Look) -> None:
    session = FakeSession(manifest("Service", "s", {}, "v1"))
    session.failing["list Gateway"] = Forbidden("you may not list gateways")
    resources = f"virtual_services:\n  shop/v: {{hosts: [a.example.com], gateways: [theirs], http: [{{{TO}}}]}}"
    found = look(resources, session=session)
    assert found.findings == ()
    assert "the rule gateway-missing: it takes the right to list every Gateway" in found.skipped


def test_a_cluster_that_gives_no_answer_is_no_empty_one(look: Look) -> None:
    session = FakeSession()
    session.failing["list"] = Unreachable("no answer")
    with pytest.raises(Unreachable):
        look(GATEWAY, session=session)


def test_every_rule_is_tried_and_told_on_the_page() -> None:
    elsewhere = {"weights", "still-named", "no-host", "host-short", "selector", "subset-of-nobody"}
    # tests/unit/validation/test_edges.py, test_validation_mounted.py
    elsewhere |= {"certificate-path", "host-split", "port-missing", "delegate-missing", "rule-without-host"}
    # tests/unit/validation/test_exposed.py
    elsewhere |= {"domain-overlaps"}
    assert BROKEN.keys() | elsewhere == {rule.name for rule in RULES}
    page = (examples.ROOT / "docs" / "validation.md").read_text()
    rows = [f"| `{rule.name}` | {rule.says} | {rule.level} |" for rule in RULES]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
