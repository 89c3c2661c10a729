"""Which proxies an object of Istio's concerns: every one whose configuration it could change, and none that it cannot.

Wherever the rule is in doubt, all are concerned. The rules are those of Istio's reference of each kind: what it
selects, whom it is exported to, which gateways it names; an object in the root namespace is for the whole mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from meshwright.envoys import Proxy

__all__ = ["concerned", "of_istio", "told"]

Object = dict[str, Any]

_MESH = "mesh"
_GATEWAY_API = "gateway.networking.k8s.io"
_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
# Configuration of the installation and of the lab's own kinds is not what proxies are told.
_NOT_READ = ("install.istio.io", "operator.istio.io")


def of_istio(obj: Object) -> bool:
    """Whether istiod reads objects of this kind and makes the configuration of proxies from them."""
    group = obj["apiVersion"].rpartition("/")[0]
    return (group == _GATEWAY_API or group.endswith(".istio.io")) and group not in _NOT_READ


def concerned(obj: Object, proxies: Sequence[Proxy], root: str, objects: Iterable[Object]) -> list[Proxy]:
    """Those of `proxies` that `obj` could concern. `root` is the mesh's root namespace; `objects` are those that istiod
    knows, among them the Gateways that a VirtualService names."""
    if "spec" not in obj:
        return list(proxies)
    group, kind = obj["apiVersion"].rpartition("/")[0], obj["kind"]
    rule = _RULES.get((group, kind), _everyone)
    return rule(obj, proxies, root, objects)


def told(obj: Object) -> bool:
    """Whether running proxies are told of objects of this kind."""
    return _RULES.get((obj["apiVersion"].rpartition("/")[0], obj["kind"])) is not _nobody


Rule = Callable[[Object, Sequence[Proxy], str, Iterable[Object]], list[Proxy]]


def _everyone(_obj: Object, proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    return list(proxies)


def _nobody(_obj: Object, _proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    return []


def _selected(obj: Object, proxies: Sequence[Proxy], root: str, _objects: Iterable[Object]) -> list[Proxy]:
    spec, namespace = obj["spec"] or {}, obj["metadata"]["namespace"]
    if spec.get("targetRefs") or spec.get("targetRef"):
        # Waypoints and gateways that serve what is named may be in other namespaces.
        return [proxy for proxy in proxies if proxy.role != "sidecar" or proxy.namespace == namespace]
    around = [proxy for proxy in proxies if namespace in (root, proxy.namespace)]
    selector = spec.get("selector") or spec.get("workloadSelector") or {}
    labels = selector.get("matchLabels") or selector.get("labels") or {}
    return [proxy for proxy in around if _has(proxy, labels)]


def _has(proxy: Proxy, labels: dict[str, str]) -> bool:
    return all(proxy.labels.get(key) == value for key, value in labels.items())


def _exported(obj: Object, proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    # Without exportTo the mesh's default holds, which may be anything.
    to = (obj["spec"] or {}).get("exportTo") or ["*"]
    spaces = {obj["metadata"]["namespace"] if each == "." else each for each in to}
    return [proxy for proxy in proxies if "*" in spaces or proxy.namespace in spaces]


def _gateway(obj: Object, proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    labels = (obj["spec"] or {}).get("selector") or {}
    return [proxy for proxy in proxies if proxy.role == "gateway" and _has(proxy, labels)]


def _virtual_service(obj: Object, proxies: Sequence[Proxy], root: str, objects: Iterable[Object]) -> list[Proxy]:
    spec, namespace = obj["spec"] or {}, obj["metadata"]["namespace"]
    if not spec.get("hosts"):
        return list(proxies)  # a delegate: its routes are wherever another one puts them
    found: set[Proxy] = set()
    named = [*(spec.get("gateways") or [_MESH])]
    for route in [*(spec.get("http") or []), *(spec.get("tls") or []), *(spec.get("tcp") or [])]:
        for match in route.get("match") or []:
            named += match.get("gateways") or []
    if _MESH in named:
        found |= {proxy for proxy in _exported(obj, proxies, root, objects) if proxy.role != "gateway"}
    places = {tuple(name.split("/", 1)) if "/" in name else (namespace, name) for name in named if name != _MESH}
    for gateway in objects:
        metadata = gateway["metadata"]
        if gateway["kind"] == "Gateway" and (metadata.get("namespace"), metadata["name"]) in places:
            found |= set(concerned(gateway, proxies, root, ()))
    return sorted(found)


def _parents(obj: Object, proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    found: set[Proxy] = set()
    for parent in (obj["spec"] or {}).get("parentRefs") or []:
        namespace = parent.get("namespace") or obj["metadata"]["namespace"]
        if parent.get("kind", "Gateway") == "Gateway" and parent.get("group", _GATEWAY_API) == _GATEWAY_API:
            found |= {proxy for proxy in proxies if _serves(proxy, namespace, parent.get("name", ""))}
        else:
            return list(proxies)
    return sorted(found)


def _serves(proxy: Proxy, namespace: str, gateway: str) -> bool:
    # One that names a Service by its addresses is served by pods without this label.
    if _GATEWAY_NAME not in proxy.labels:
        return proxy.role == "gateway"
    return proxy.namespace == namespace and proxy.labels[_GATEWAY_NAME] == gateway


def _api_gateway(obj: Object, proxies: Sequence[Proxy], _root: str, _objects: Iterable[Object]) -> list[Proxy]:
    metadata = obj["metadata"]
    return [proxy for proxy in proxies if _serves(proxy, metadata["namespace"], metadata["name"])]


_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"
_RULES: dict[tuple[str, str], Rule] = {
    (_NETWORKING, "VirtualService"): _virtual_service,
    (_NETWORKING, "Gateway"): _gateway,
    (_NETWORKING, "DestinationRule"): _exported,
    (_NETWORKING, "ServiceEntry"): _exported,
    (_NETWORKING, "EnvoyFilter"): _selected,
    (_NETWORKING, "Sidecar"): _selected,
    (_NETWORKING, "ProxyConfig"): _nobody,  # read when a pod is made
    (_NETWORKING, "WorkloadGroup"): _nobody,  # a template for machines that register
    (_SECURITY, "AuthorizationPolicy"): _selected,
    (_SECURITY, "RequestAuthentication"): _selected,
    ("telemetry.istio.io", "Telemetry"): _selected,
    ("extensions.istio.io", "WasmPlugin"): _selected,
    ("extensions.istio.io", "TrafficExtension"): _selected,
    (_GATEWAY_API, "Gateway"): _api_gateway,
    (_GATEWAY_API, "HTTPRoute"): _parents,
    (_GATEWAY_API, "GRPCRoute"): _parents,
    (_GATEWAY_API, "TLSRoute"): _parents,
    (_GATEWAY_API, "TCPRoute"): _parents,
    (_GATEWAY_API, "ReferenceGrant"): _everyone,
    (_GATEWAY_API, "GatewayClass"): _nobody,
}
