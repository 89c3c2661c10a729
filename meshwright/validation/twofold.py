"""Hosts that are routed twice: by a VirtualService, and by a route of the Gateway API at the same pods and port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from meshwright.matching import dig, items, meets
from meshwright.validation.api import attached
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]

# What Istio puts on the pods that it makes for a Gateway of the Gateway API.
_OF_GATEWAY = ("gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name")
# The labels of the gateways that Istio's own charts make.
_OURS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
_MESH = "mesh"


class _Hosts:
    """The hosts of VirtualServices at gateways, and those in the mesh."""

    def __init__(self, world: World) -> None:
        self.mesh: dict[str, list[Thing]] = defaultdict(list)
        self._exact: dict[str, list[tuple[str, Thing, Thing]]] = defaultdict(list)
        self._wild: list[tuple[str, Thing, Thing]] = []
        for thing in world.of("VirtualService"):
            named = world.gateways_of(thing)
            gateways = [found for _, _, space, name in named if (found := world.find("Gateway", space, name))]
            for host in thing.all("hosts"):
                whole = world.whole(host, thing)
                if not named or _MESH in thing.all("gateways"):
                    self.mesh[whole].append(thing)
                for gateway in gateways:
                    self._exact[whole].append((whole, gateway, thing))
                    if whole.startswith("*."):
                        self._wild.append((whole, gateway, thing))

    def meeting(self, host: str) -> Iterator[tuple[str, Thing, Thing]]:
        """Those that have requests in common with `host`. A bare * is what is left over, and meets only itself."""
        yield from self._exact.get(host, ())
        if host == "*":
            return
        others = [one for of in self._exact.values() for one in of] if host.startswith("*.") else self._wild
        yield from (one for one in others if one[0] not in ("*", host) and meets(one[0], host))


def _both(world: World) -> Iterator[Broken]:
    known = _Hosts(world)
    for thing in world.of("HTTPRoute", "GRPCRoute", api=True):
        said: set[tuple[str, int]] = set()
        for path, host, gateway, port in _routed(world, thing):
            for other_host, istio, other in known.meeting(host):
                if (host, id(other)) not in said and _same(world, gateway, istio) and port in _ports(istio):
                    said.add((host, id(other)))
                    yield _twice(thing, path, host, other_host, other)
        for index, ref in enumerate(thing.all("parentRefs")):
            if dig(ref, "kind") == "Service":
                host = f"{dig(ref, 'name')}.{dig(ref, 'namespace') or thing.namespace}.svc.{world.domain}"
                for other in known.mesh.get(host, ()):
                    yield _twice(thing, ("parentRefs", index), host, host, other)


def _twice(thing: Thing, path: tuple[str | int, ...], host: str, other_host: str, other: Thing) -> Broken:
    same = "" if host == other_host else f", by {other_host},"
    sentence = f"{host} is in {other.title} ({other.at('hosts')}){same} as well"
    return broken(thing, sentence, *path, hint="Let one of the two route a host")


def _routed(world: World, thing: Thing) -> Iterator[tuple[tuple[str | int, ...], str, Thing, Any]]:
    """The hosts of a route, each with its place, its Gateway and the port of the listener."""
    for at, gateway, listeners in attached(world, thing):
        for listener in listeners:
            hostname, port = str(dig(listener, "hostname") or "*"), dig(listener, "port")
            if not thing.all("hostnames"):
                yield ("parentRefs", at), hostname, gateway, port
            for index, host in enumerate(thing.all("hostnames")):
                if meets(hostname, str(host)):
                    yield ("hostnames", index), str(host), gateway, port


def _ports(istio: Thing) -> list[Any]:
    return [dig(server, "port", "number") for server in istio.all("servers")]


def _same(world: World, gateway: Thing, istio: Thing) -> bool:
    """Whether the two are for the same pods, as far as is known."""
    selector = istio.get("selector")
    labels = _labels(world, gateway)
    if not isinstance(selector, dict) or not selector or labels is None:
        return True
    return selector.items() <= labels.items() or labels.items() <= selector.items()


def _labels(world: World, gateway: Thing) -> dict[str, Any] | None:
    """What the pods of a Gateway of the Gateway API are selected by; None where that is not known."""
    addresses = items(gateway.obj, "spec", "addresses")
    if not addresses:
        return dict.fromkeys(_OF_GATEWAY, gateway.name)
    host = str(dig(addresses[0], "value"))
    service = world.service_of(world.whole(host, gateway))
    if service is None:
        return None
    found = world.find("Service", service[1], service[0])
    if found is not None:
        selector = found.get("selector")
        return selector if isinstance(selector, dict) else None
    ingress = world.env.ingress
    return _OURS if service == (ingress.service, ingress.namespace) else None


RULES = (Rule("routed-twice", "A host is routed by Istio's kinds or by the Gateway API's", _both, Level.WARNING),)
