"""What an object names of others: hosts, ports, subsets, gateways, listeners, delegates, virtual hosts, routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from meshwright.matching import dig, items
from meshwright.rendering.hosts import whole

__all__ = ["API_ROUTES", "Ask", "asks", "gateway_key", "place"]

Object = dict[str, Any]
Path = tuple[str | int, ...]

API_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
"""The kinds of routes of the Gateway API."""


@dataclass(frozen=True)
class Ask:
    """What an object names: `what` is a key of the table below, `words` say which, `path` is where it says so."""

    what: str
    words: tuple[str, ...]
    path: Path = ()

    def __str__(self) -> str:
        return _SAID[self.what].format(*self.words)


def place(obj: Object) -> tuple[str, str]:
    """Namespace and name of an object."""
    return str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])


def gateway_key(written: Any, obj: Object) -> tuple[str, str]:
    """Namespace and name of a gateway that a VirtualService names."""
    namespace, _, name = str(written).rpartition("/")
    return namespace or place(obj)[0], name


def asks(obj: Object, domain: str) -> Iterator[Ask]:
    """What an object names, with the place where it does."""
    rule = _ASKING.get(str(obj["kind"]))
    if rule is not None:
        yield from rule(obj, domain)


def _host(written: Any, obj: Object, domain: str) -> str:
    return whole(written, place(obj)[0], domain) if isinstance(written, str) else ""


def _of_virtual_service(obj: Object, domain: str) -> Iterator[Ask]:
    for index, written in enumerate(items(obj, "spec", "gateways")):
        if written == "mesh":
            continue
        key = gateway_key(written, obj)
        yield Ask("gateway", key, ("gateways", index))
        for number, host in enumerate(items(obj, "spec", "hosts")):
            yield Ask("served", (*key, _host(host, obj, domain), place(obj)[0]), ("hosts", number))
    for kind in ("http", "tls", "tcp"):
        for number, route in enumerate(items(obj, "spec", kind)):
            path = (kind, number)
            delegate = dig(route, "delegate")
            if isinstance(delegate, dict) and delegate.get("name"):
                key = str(delegate.get("namespace") or place(obj)[0]), str(delegate["name"])
                yield Ask("delegate", key, (*path, "delegate"))
            places: list[tuple[Path, Any]] = [((*path, "mirror"), dig(route, "mirror"))]
            for name in ("route", "mirrors"):
                for index, one in enumerate(items(route, name)):
                    places.append(((*path, name, index, "destination"), dig(one, "destination")))
            for at, destination in places:
                host = _host(dig(destination, "host"), obj, domain)
                if host:
                    yield from _of_host(host, dig(destination, "port", "number"), at)
                    if subset := dig(destination, "subset"):
                        yield Ask("subset", (host, str(subset)), (*at, "subset"))


def _of_host(host: str, port: Any, path: Path) -> Iterator[Ask]:
    yield Ask("host", (host,), (*path, "host"))
    if isinstance(port, int):
        yield Ask("port", (host, str(port)), (*path, "port"))


def _of_rule(obj: Object, domain: str) -> Iterator[Ask]:
    if host := _host(dig(obj, "spec", "host"), obj, domain):
        yield Ask("host", (host,), ("host",))


def _of_api_route(obj: Object, domain: str) -> Iterator[Ask]:
    own = place(obj)[0]
    for index, ref in enumerate(items(obj, "spec", "parentRefs")):
        space, name = str(dig(ref, "namespace") or own), str(dig(ref, "name"))
        kind = dig(ref, "kind") or "Gateway"
        if kind == "Gateway":
            yield Ask("parent", (space, name), ("parentRefs", index))
            if section := dig(ref, "sectionName"):
                yield Ask("listener", (space, name, str(section)), ("parentRefs", index, "sectionName"))
        elif kind == "Service":
            yield Ask("host", (f"{name}.{space}.svc.{domain}",), ("parentRefs", index))
    for number, rule in enumerate(items(obj, "spec", "rules")):
        path: Path = ("rules", number)
        refs = [((*path, "backendRefs", i), ref) for i, ref in enumerate(items(rule, "backendRefs"))]
        for i, one in enumerate(items(rule, "filters")):
            refs.append(((*path, "filters", i, "requestMirror", "backendRef"), dig(one, "requestMirror", "backendRef")))
        for at, ref in refs:
            kind, name = dig(ref, "kind") or "Service", dig(ref, "name")
            if isinstance(name, str) and kind in ("Service", "Hostname"):
                space = str(dig(ref, "namespace") or own)
                host = name if kind == "Hostname" else f"{name}.{space}.svc.{domain}"
                port = dig(ref, "port")
                yield Ask("host", (host,), at)
                if isinstance(port, int):
                    yield Ask("port", (host, str(port)), at)


def _of_targets(obj: Object, domain: str) -> Iterator[Ask]:
    space = place(obj)[0]
    for key in ("targetRefs", "targetRef"):
        found = dig(obj, "spec", key)
        for index, ref in enumerate(found if isinstance(found, list) else [found]):
            kind, name = dig(ref, "kind"), str(dig(ref, "name"))
            path = (key, index) if isinstance(found, list) else (key,)
            if kind == "Gateway":
                yield Ask("parent", (space, name), path)
            elif kind == "Service":
                yield Ask("host", (f"{name}.{space}.svc.{domain}",), path)
            elif kind == "ServiceEntry":
                yield Ask("entry", (space, name), path)


def _of_authorization(obj: Object, domain: str) -> Iterator[Ask]:
    yield from _of_targets(obj, domain)
    for number, rule in enumerate(items(obj, "spec", "rules")):
        for index, to in enumerate(items(rule, "to")):
            for each in items(to, "operation", "hosts"):
                host = str(each).rpartition(":")[0] if str(each).rpartition(":")[2].isdigit() else str(each)
                if "*" not in host:
                    yield Ask("routed", (host,), ("rules", number, "to", index, "operation", "hosts"))


def _of_filter(obj: Object, domain: str) -> Iterator[Ask]:
    yield from _of_targets(obj, domain)
    for index, patch in enumerate(items(obj, "spec", "configPatches")):
        path: Path = ("configPatches", index, "match")
        found = dig(patch, "match", "routeConfiguration")
        if isinstance(gateway := dig(found, "gateway"), str) and "/" in gateway:
            yield Ask("gateway", gateway_key(gateway, obj), path)
        vhost, route = dig(found, "vhost", "name"), dig(found, "vhost", "route", "name")
        if isinstance(vhost, str) and "*" not in vhost:
            yield Ask("vhost", (vhost,), path)
            if isinstance(route, str) and route:
                yield Ask("route", (vhost, route), path)
        cluster = dig(patch, "match", "cluster")
        host, subset, port = dig(cluster, "service"), dig(cluster, "subset"), dig(cluster, "portNumber")
        named = str(dig(cluster, "name") or "").split("|")
        if len(named) == 4 and named[0] == "outbound":
            port, subset, host = int(named[1]) if named[1].isdigit() else None, named[2], named[3]
        if isinstance(host, str) and host:
            yield from _of_host(host, port, path)
            if subset:
                yield Ask("subset", (host, str(subset)), path)


def _of_sidecar(obj: Object, _domain: str) -> Iterator[Ask]:
    for index, egress in enumerate(items(obj, "spec", "egress")):
        for number, written in enumerate(items(egress, "hosts")):
            host = str(written).partition("/")[2]
            if host and "*" not in host:
                yield Ask("host", (host,), ("egress", index, "hosts", number))


def _of_gateway(obj: Object, _domain: str) -> Iterator[Ask]:
    for index, address in enumerate(items(obj, "spec", "addresses")):
        if dig(address, "type") == "Hostname":
            yield Ask("host", (str(dig(address, "value")),), ("addresses", index))


_ASKING: dict[str, Callable[[Object, str], Iterator[Ask]]] = {
    "VirtualService": _of_virtual_service,
    "DestinationRule": _of_rule,
    "Sidecar": _of_sidecar,
    "EnvoyFilter": _of_filter,
    "AuthorizationPolicy": _of_authorization,
    "RequestAuthentication": _of_targets,
    "Telemetry": _of_targets,
    "WasmPlugin": _of_targets,
    "BackendTLSPolicy": _of_targets,
    "Gateway": _of_gateway,
    **dict.fromkeys(API_ROUTES, _of_api_route),
}


_SAID = {
    "gateway": "Gateway {0}/{1}",
    "served": "host {2} at Gateway {0}/{1}",
    "delegate": "VirtualService {0}/{1} as its delegate",
    "host": "host {0}",
    "port": "port {1} of {0}",
    "subset": "subset {1} of {0}",
    "parent": "Gateway {0}/{1} of the Gateway API",
    "listener": "listener {2} of Gateway {0}/{1}",
    "entry": "ServiceEntry {0}/{1}",
    "routed": "host {0}",
    "vhost": "virtual host {0}",
    "route": "route {1} of virtual host {0}",
}
