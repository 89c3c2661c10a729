"""What a set of objects has that others can name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from meshwright.callers.asking import API_ROUTES, Ask, gateway_key, place
from meshwright.matching import covers, dig, items, meets
from meshwright.rendering.hosts import whole

__all__ = ["Offers"]

Object = dict[str, Any]


class Offers:
    """What a set of objects has that others can name. `domain` is that of the cluster's Services."""

    def __init__(self, objects: Iterable[Object], domain: str) -> None:
        self.domain = domain
        self.all: dict[tuple[bool, str], dict[tuple[str, str], Object]] = defaultdict(dict)
        for obj in objects:
            of_api = str(obj["apiVersion"]).startswith("gateway.networking.k8s.io/")
            self.all[of_api, str(obj["kind"])][place(obj)] = obj

    def by(self, ask: Ask) -> Object | None:
        """An object that has what is asked for; None where there is none."""
        return _FINDERS[ask.what](self, *ask.words)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object of Istio or Kubernetes."""
        return self.all[False, kind].get((namespace, name))

    def find_api(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object of the Gateway API."""
        return self.all[True, kind].get((namespace, name))

    def of(self, kind: str) -> Iterable[Object]:
        """All of a kind, of Istio or Kubernetes."""
        return self.all[False, kind].values()

    def whole(self, host: Any, obj: Object) -> str:
        """A host as Istio takes it in `obj`."""
        return whole(host, place(obj)[0], self.domain) if isinstance(host, str) else ""

    @cached_property
    def services(self) -> dict[str, Object]:
        """The Services by host."""
        return {f"{n}.{ns}.svc.{self.domain}": obj for (ns, n), obj in self.all[False, "Service"].items()}

    @cached_property
    def entries(self) -> list[tuple[str, Object]]:
        """The hosts of ServiceEntries."""
        return [(h, obj) for obj in self.of("ServiceEntry") for h in items(obj, "spec", "hosts") if isinstance(h, str)]

    @cached_property
    def rules(self) -> list[tuple[str, Object]]:
        """The DestinationRules with subsets, by host."""
        return [
            (self.whole(dig(obj, "spec", "host"), obj), obj)
            for obj in self.of("DestinationRule")
            if items(obj, "spec", "subsets")
        ]

    @cached_property
    def vhosts(self) -> dict[str, dict[str, Object]]:
        """The virtual hosts of gateways, HOST:PORT, each with its named routes and, as "", whose it is."""
        found: dict[str, dict[str, Object]] = {}
        for service in self.of("VirtualService"):
            for written in items(service, "spec", "gateways"):
                gateway = self.find("Gateway", *gateway_key(written, service))
                for server in items(gateway, "spec", "servers"):
                    for host in items(service, "spec", "hosts"):
                        vhost = found.setdefault(f"{self.whole(host, service)}:{dig(server, 'port', 'number')}", {})
                        vhost[""] = service
                        names = (dig(route, "name") for route in items(service, "spec", "http"))
                        vhost |= {str(name): service for name in names if name}
        return found


def _has_host(offers: Offers, host: str) -> Object | None:
    return offers.services.get(host) or next((obj for known, obj in offers.entries if covers(known, host)), None)


def _has_port(offers: Offers, host: str, port: str) -> Object | None:
    found = offers.services.get(host)
    there = [found] if found else [obj for known, obj in offers.entries if covers(known, host)]
    for obj in there:
        for one in items(obj, "spec", "ports"):
            if port in (str(dig(one, "port")), str(dig(one, "number"))):
                return obj
    return None


def _has_subset(offers: Offers, host: str, subset: str) -> Object | None:
    for known, rule in offers.rules:
        if covers(known, host) and any(dig(one, "name") == subset for one in items(rule, "spec", "subsets")):
            return rule
    return None


def _serves(offers: Offers, namespace: str, name: str, host: str, by: str) -> Object | None:
    gateway = offers.find("Gateway", namespace, name)
    for server in items(gateway, "spec", "servers"):
        for written in items(server, "hosts"):
            space, _, pattern = str(written).rpartition("/")
            allowed = {"": "*", ".": namespace}.get(space, space)
            if allowed in ("*", by) and meets(pattern, host):
                return gateway
    return None


def _has_listener(offers: Offers, namespace: str, name: str, section: str) -> Object | None:
    gateway = offers.find_api("Gateway", namespace, name)
    return gateway if any(dig(one, "name") == section for one in items(gateway, "spec", "listeners")) else None


def _routes(offers: Offers, host: str) -> Object | None:
    for service in offers.of("VirtualService"):
        if any(offers.whole(one, service) == host for one in items(service, "spec", "hosts")):
            return service
    for kind in API_ROUTES:
        for route in offers.all[True, kind].values():
            if host in items(route, "spec", "hostnames"):
                return route
    return _has_host(offers, host)


def _has_vhost(offers: Offers, vhost: str, route: str = "") -> Object | None:
    found = offers.vhosts.get(vhost, {}).get(route)
    if found is not None or route:
        return found
    host, _, port = vhost.rpartition(":")
    return _has_port(offers, host, port)


_FINDERS: dict[str, Callable[..., Object | None]] = {
    "gateway": lambda offers, *key: offers.find("Gateway", *key),
    "served": _serves,
    "delegate": lambda offers, *key: offers.find("VirtualService", *key),
    "host": _has_host,
    "port": _has_port,
    "subset": _has_subset,
    "parent": lambda offers, *key: offers.find_api("Gateway", *key),
    "listener": _has_listener,
    "entry": lambda offers, *key: offers.find("ServiceEntry", *key),
    "routed": _routes,
    "vhost": _has_vhost,
    "route": _has_vhost,
}
