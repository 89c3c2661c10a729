"""Istio objects of mixed kinds, as many as asked for, in the shapes that people write them in.

They are valid and concern no proxy: they live in namespaces without workloads, select labels that nothing has and are
exported to their own namespace alone. So a lab can hold thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["KINDS", "NAMESPACES", "mixed", "namespaces"]

Object = dict[str, Any]

NAMESPACES = 10
# The hosts and namespaces that they name are not there, which istioctl analyze rightly calls an error.
_NO_FINDINGS = {"galley.istio.io/analyze-suppress": "*"}
_NOBODY = {"app": "nobody-has-this-label"}
_NETWORKING, _SECURITY = "networking.istio.io/v1", "security.istio.io/v1"


def _virtual_service(name: str, host: str) -> Object:
    def to(subset: str, weight: int) -> Object:
        return {"destination": {"host": host, "subset": subset, "port": {"number": 8080}}, "weight": weight}

    canary = {
        "name": "canary",
        "match": [{"uri": {"prefix": "/api"}, "headers": {"x-canary": {"exact": "yes"}}}],
        "route": [to("v2", 100)],
        "timeout": "5s",
    }
    rest = {
        "name": "rest",
        "route": [to("v1", 95), to("v2", 5)],
        "retries": {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,reset"},
        "timeout": "10s",
    }
    return {"hosts": [host], "exportTo": ["."], "gateways": ["mesh"], "http": [canary, rest]}


def _destination_rule(name: str, host: str) -> Object:
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 100}, "http": {"http2MaxRequests": 1000}},
        "outlierDetection": {"consecutive5xxErrors": 7, "interval": "30s", "baseEjectionTime": "1m"},
        "loadBalancer": {"simple": "LEAST_REQUEST"},
    }
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    return {"host": host, "exportTo": ["."], "trafficPolicy": policy, "subsets": subsets}


def _service_entry(name: str, host: str) -> Object:
    return {
        "hosts": [f"{name}.example.com"],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [
            {"number": 443, "name": "https", "protocol": "TLS"},
            {"number": 80, "name": "http", "protocol": "HTTP"},
        ],
    }


def _gateway(name: str, host: str) -> Object:
    http = {"number": 80, "name": "http", "protocol": "HTTP"}
    https = {"number": 443, "name": "https", "protocol": "HTTPS"}
    return {
        "selector": _NOBODY,
        "servers": [
            {"port": http, "hosts": [f"{name}.example.com"], "tls": {"httpsRedirect": True}},
            {"port": https, "hosts": [f"{name}.example.com"], "tls": {"mode": "SIMPLE", "credentialName": name}},
        ],
    }


def _authorization_policy(name: str, host: str) -> Object:
    source = {"principals": ["cluster.local/ns/shop/sa/front"], "namespaces": ["shop"]}
    operation = {"methods": ["GET", "POST"], "paths": ["/api/*"], "ports": ["8080"]}
    when = {"key": "request.headers[x-tenant]", "values": [name]}
    rule = {"from": [{"source": source}], "to": [{"operation": operation}], "when": [when]}
    return {"selector": {"matchLabels": _NOBODY}, "action": "ALLOW", "rules": [rule]}


def _peer_authentication(name: str, host: str) -> Object:
    ports = {"8080": {"mode": "PERMISSIVE"}}
    return {"selector": {"matchLabels": _NOBODY}, "mtls": {"mode": "STRICT"}, "portLevelMtls": ports}


def _request_authentication(name: str, host: str) -> Object:
    rule = {"issuer": f"https://{name}.example.com", "audiences": [name], "forwardOriginalToken": True}
    return {"selector": {"matchLabels": _NOBODY}, "jwtRules": [rule]}


def _sidecar(name: str, host: str) -> Object:
    return {"workloadSelector": {"labels": _NOBODY}, "egress": [{"hosts": ["./*", "istio-system/*"]}]}


def _telemetry(name: str, host: str) -> Object:
    return {
        "selector": {"matchLabels": _NOBODY},
        "accessLogging": [{"providers": [{"name": "envoy"}], "filter": {"expression": "response.code >= 400"}}],
    }


def _envoy_filter(name: str, host: str) -> Object:
    limiter = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "http_local_rate_limiter",
        "token_bucket": {"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "60s"},
    }
    where = {
        "context": "SIDECAR_INBOUND",
        "listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}},
    }
    value = {"name": "envoy.filters.http.local_ratelimit", "typed_config": limiter}
    change = {
        "applyTo": "HTTP_FILTER",
        "match": where,
        "patch": {"operation": "INSERT_BEFORE", "value": value},
    }
    return {"workloadSelector": {"labels": _NOBODY}, "configPatches": [change]}


# As often as meshes have them: routes and what belongs to them most of all.
KINDS: tuple[tuple[str, str, Callable[[str, str], Object]], ...] = (
    (_NETWORKING, "VirtualService", _virtual_service),
    (_NETWORKING, "DestinationRule", _destination_rule),
    (_NETWORKING, "ServiceEntry", _service_entry),
    (_SECURITY, "AuthorizationPolicy", _authorization_policy),
    (_NETWORKING, "Gateway", _gateway),
    (_NETWORKING, "VirtualService", _virtual_service),
    (_NETWORKING, "DestinationRule", _destination_rule),
    (_SECURITY, "PeerAuthentication", _peer_authentication),
    (_NETWORKING, "Sidecar", _sidecar),
    ("telemetry.istio.io/v1", "Telemetry", _telemetry),
    ("networking.istio.io/v1alpha3", "EnvoyFilter", _envoy_filter),
    (_SECURITY, "RequestAuthentication", _request_authentication),
)


def namespaces(prefix: str) -> list[str]:
    """The names of the namespaces that `mixed` puts its objects into."""
    return [f"{prefix}-{number}" for number in range(NAMESPACES)]


def mixed(count: int, prefix: str) -> list[Object]:
    """`count` objects, their kinds in turn, spread over the namespaces PREFIX-0 to PREFIX-9."""
    made = []
    spaces = namespaces(prefix)
    for number in range(count):
        api_version, kind, spec = KINDS[number % len(KINDS)]
        # Each namespace has all of the kinds.
        namespace = spaces[number // len(KINDS) % NAMESPACES]
        name = f"{kind.lower()}-{number}"
        host = f"service-{number}.{namespace}.svc.cluster.local"
        labels = {"team": f"team-{number % 7}"}
        metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": _NO_FINDINGS}
        made.append({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec(name, host)})
    return made
