"""The mesh as a graph: gateways, the routes that are bound to them, and where these send requests.

The objects may have any shape, because others write them too: what is not as it should be is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshwright.matching import dig, items

__all__ = ["KINDS", "LIMITS", "SIDECARS", "Edge", "Mesh", "Node", "of_objects"]

Object = dict[str, Any]

_ISTIO, _API = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"
KINDS = (
    (_ISTIO, "Gateway"),
    (_ISTIO, "VirtualService"),
    (_ISTIO, "DestinationRule"),
    (_API, "Gateway"),
    (_API, "HTTPRoute"),
    (_API, "GRPCRoute"),
)
"""What is drawn, as apiVersion and kind."""

SIDECARS = "the sidecars of the mesh"
LIMITS = {"gateway": 20, "route": 40, "destination": 60}
"""How many of each a mesh has at most here. A picture of more is not read by anybody."""

_MOST_EDGES = 150
_CLUSTER_DOMAIN = ".svc.cluster.local"
_ROUTES = frozenset({"HTTPRoute", "GRPCRoute"})


@dataclass(frozen=True)
class Node:
    """A thing in the mesh. `layer` is gateway, route or destination; `lines` say more about it, each in a few words."""

    layer: str
    kind: str
    name: str
    lines: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"layer": self.layer, "kind": self.kind, "name": self.name, "lines": list(self.lines)}


@dataclass(frozen=True)
class Edge:
    """From the node at one place to that at another. `shares` are percents of the requests, one for each rule that
    leads there; `mirrored`: copies of requests, whose answers nobody gets."""

    source: int
    target: int
    shares: tuple[str, ...] = ()
    mirrored: bool = False

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"from": self.source, "to": self.target, "shares": list(self.shares), "mirrored": self.mirrored}


@dataclass(frozen=True)
class Mesh:
    """The graph. `source` says where the objects are from, `left_out` are sentences about what it has not."""

    source: str = ""
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    left_out: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows; edges name nodes by their place in the list."""
        return {
            "source": self.source,
            "nodes": [each.as_json() for each in self.nodes],
            "edges": [each.as_json() for each in self.edges],
            "left_out": list(self.left_out),
        }


@dataclass
class _Graph:
    nodes: dict[tuple[str, ...], Node] = field(default_factory=dict)
    edges: dict[tuple[tuple[str, ...], tuple[str, ...], bool], list[str]] = field(default_factory=dict)

    def node(self, key: tuple[str, ...], node: Node) -> tuple[str, ...]:
        """Puts it there, unless it is; gives its key."""
        self.nodes.setdefault(key, node)
        return key

    def edge(self, source: tuple[str, ...], target: tuple[str, ...], share: str = "", mirrored: bool = False) -> None:
        shares = self.edges.setdefault((source, target, mirrored), [])
        if share:
            shares.append(share)


def of_objects(objects: Iterable[Object], source: str, missing: Iterable[str] = ()) -> Mesh:
    """The graph of these objects, at most `LIMITS` of each layer. `missing` are sentences about what could not be
    asked."""
    found = sorted(objects, key=lambda obj: (str(obj.get("kind")), _name(obj)))
    graph = _Graph()
    subsets = _subsets(found)
    for obj in found:
        if obj.get("kind") == "Gateway":
            graph.node(("gateway", *_key(obj)), Node("gateway", "Gateway", _name(obj), tuple(_listens(obj))))
    for obj in found:
        if obj.get("kind") == "VirtualService":
            _virtual_service(graph, obj, subsets)
        elif obj.get("kind") in _ROUTES:
            _api_route(graph, obj)
    return _cut(graph, source, missing)


def _key(obj: Object) -> tuple[str, str]:
    return ("api" if str(obj.get("apiVersion")).startswith("gateway.") else "istio", _name(obj))


def _name(obj: Object) -> str:
    return f"{dig(obj, 'metadata', 'namespace') or ''}/{dig(obj, 'metadata', 'name') or ''}"


def _namespace(obj: Object) -> str:
    return str(dig(obj, "metadata", "namespace") or "")


def _listens(gateway: Object) -> Iterator[str]:
    for one in (*items(gateway, "spec", "servers"), *items(gateway, "spec", "listeners")):
        hosts = [str(host) for host in items(one, "hosts")] or [str(dig(one, "hostname") or "*")]
        port = dig(one, "port", "number") or dig(one, "port")
        protocol = dig(one, "port", "protocol") or dig(one, "protocol")
        yield f"{protocol} {port}: {', '.join(hosts)}"


def _subsets(objects: Iterable[Object]) -> Mapping[tuple[str, str], str]:
    """The labels of subsets, by whole host and name."""
    found = {}
    for obj in objects:
        if obj.get("kind") == "DestinationRule":
            host = _host(dig(obj, "spec", "host"), obj)
            for one in items(obj, "spec", "subsets"):
                labels = dig(one, "labels")
                if isinstance(labels, dict):
                    found[host, str(dig(one, "name"))] = ", ".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return found


def _host(host: Any, obj: Object) -> str:
    """A host as people read it: NAME.NAMESPACE of a Service, anything else as it is."""
    text = str(host)
    short = text.removesuffix(_CLUSTER_DOMAIN)
    return short if "." in short or text == "*" else f"{short}.{_namespace(obj)}"


def _virtual_service(graph: _Graph, obj: Object, subsets: Mapping[tuple[str, str], str]) -> None:
    hosts = tuple(str(host) for host in items(obj, "spec", "hosts"))
    own = graph.node(("route", *_key(obj)), Node("route", "VirtualService", _name(obj), hosts))
    for written in items(obj, "spec", "gateways") or (["mesh"] if hosts else []):
        if written == "mesh":
            gateway = graph.node(("gateway", "mesh"), Node("gateway", "", SIDECARS))
        else:
            name = str(written) if "/" in str(written) else f"{_namespace(obj)}/{written}"
            gateway = graph.node(("gateway", "istio", name), Node("gateway", "Gateway", name, ("it is not there",)))
        graph.edge(gateway, own)
    rules = [(kind, rule) for kind in ("http", "tls", "tcp") for rule in items(obj, "spec", kind)]
    for number, (_, rule) in enumerate(rules, start=1):
        said = f"rule {number}: " if len(rules) > 1 else ""
        routes = [each for each in items(rule, "route") if isinstance(each, dict)]
        for route, share in zip(routes, _shares(routes), strict=True):
            target = _destination(graph, dig(route, "destination"), obj, subsets)
            graph.edge(own, target, f"{said}{share}")
        for kind in ("redirect", "directResponse", "delegate"):
            if dig(rule, kind) is not None:
                graph.edge(own, _answer(graph, kind, dig(rule, kind), obj), f"{said}100 %")
        mirrors = items(rule, "mirrors") or ([{"destination": rule["mirror"]}] if dig(rule, "mirror") else [])
        for each in mirrors:
            percent = dig(each, "percentage", "value") or dig(rule, "mirrorPercentage", "value") or 100
            target = _destination(graph, dig(each, "destination"), obj, subsets)
            graph.edge(own, target, f"{said}{percent} % mirrored", mirrored=True)


def _shares(routes: list[Object]) -> list[str]:
    """The percents of routes with these weights. One alone gets all; of several, those without a weight get nothing."""
    weights = [each.get("weight") for each in routes]
    if len(routes) == 1:
        return ["100 %"]
    numbers = [each if type(each) is int and each > 0 else 0 for each in weights]
    whole = sum(numbers)
    return [f"{100 * each / whole:.4g} %" if whole else "weight unknown" for each in numbers]


def _destination(
    graph: _Graph, destination: Any, obj: Object, subsets: Mapping[tuple[str, str], str]
) -> tuple[str, ...]:
    host, subset, port = _host(dig(destination, "host"), obj), dig(destination, "subset"), dig(destination, "port")
    number = dig(port, "number")
    lines = []
    if subset is not None:
        labels = subsets.get((host, str(subset)))
        lines.append(f"subset {subset}" + (f": {labels}" if labels else ", of no DestinationRule here"))
    if number is not None:
        lines.append(f"port {number}")
    key = ("destination", host, str(subset or ""), str(number or ""))
    return graph.node(key, Node("destination", "Service", host, tuple(lines)))


_ANSWERS = {"redirect": "a redirect", "directResponse": "an answer of the proxy's own", "delegate": "another route"}


def _answer(graph: _Graph, kind: str, said: Any, obj: Object) -> tuple[str, ...]:
    """What a rule has in place of destinations."""
    if kind == "delegate":
        line = f"{dig(said, 'namespace') or _namespace(obj)}/{dig(said, 'name')}"
    elif kind == "redirect":
        line = f"to {dig(said, 'authority') or ''}{dig(said, 'uri') or dig(said, 'scheme') or ''}"
    else:
        line = f"status {dig(said, 'status')}"
    return graph.node(("destination", kind, line), Node("destination", "", _ANSWERS[kind], (line,)))


def _api_route(graph: _Graph, obj: Object) -> None:
    hosts = tuple(str(host) for host in items(obj, "spec", "hostnames")) or ("*",)
    own = graph.node(("route", str(obj["kind"]), _name(obj)), Node("route", str(obj["kind"]), _name(obj), hosts))
    for parent in items(obj, "spec", "parentRefs"):
        name = f"{dig(parent, 'namespace') or _namespace(obj)}/{dig(parent, 'name')}"
        if dig(parent, "kind") == "Service":
            gateway = graph.node(("gateway", "mesh"), Node("gateway", "", SIDECARS))
        else:
            gateway = graph.node(("gateway", "api", name), Node("gateway", "Gateway", name, ("it is not there",)))
        graph.edge(gateway, own)
    rules = items(obj, "spec", "rules")
    for number, rule in enumerate(rules, start=1):
        said = f"rule {number}: " if len(rules) > 1 else ""
        backends = [{"weight": 1, **each} for each in items(rule, "backendRefs") if isinstance(each, dict)]
        for backend, share in zip(backends, _shares(backends), strict=True):
            host = f"{backend.get('name')}.{backend.get('namespace') or _namespace(obj)}"
            lines = (f"port {backend['port']}",) if backend.get("port") else ()
            key = ("destination", host, "", str(backend.get("port") or ""))
            graph.edge(own, graph.node(key, Node("destination", "Service", host, lines)), f"{said}{share}")


def _cut(graph: _Graph, source: str, missing: Iterable[str]) -> Mesh:
    """The graph within its limits; what goes over them is counted in a sentence."""
    left_out = list(missing)
    kept: list[tuple[str, ...]] = []
    for layer, limit in LIMITS.items():
        keys = [key for key, node in graph.nodes.items() if node.layer == layer]
        if layer == "destination":
            kept_so_far = set(kept)
            led_to = {target for source_, target, _ in graph.edges if source_ in kept_so_far}
            keys = [key for key in keys if key in led_to]
        kept += keys[:limit]
        over = sum(node.layer == layer for node in graph.nodes.values()) - len(keys[:limit])
        if over > 0:
            word = f"{layer} is" if over == 1 else f"{layer}s are"
            left_out.append(f"{over} more {word} not drawn: a picture has at most {limit}")
    places = {key: index for index, key in enumerate(kept)}
    edges = [
        Edge(places[one], places[other], tuple(shares), mirrored)
        for (one, other, mirrored), shares in graph.edges.items()
        if one in places and other in places
    ]
    if len(edges) > _MOST_EDGES:
        left_out.append(
            f"{len(edges) - _MOST_EDGES} more connections are not drawn: a picture has at most {_MOST_EDGES}"
        )
    return Mesh(source, tuple(graph.nodes[key] for key in kept), tuple(edges[:_MOST_EDGES]), tuple(left_out))
