"""Rules about the Gateway API's objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.environment.problems import listed
from meshwright.matching import dig, items, meets
from meshwright.validation.finding import Broken, Rule, broken
from meshwright.validation.world import API, Thing, World

__all__ = ["RULES", "attached"]

_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
# Which routes go with which protocol of a listener (Gateway API, specification of ProtocolType).
_OF_PROTOCOL: dict[str, frozenset[str]] = {
    "HTTP": frozenset({"HTTPRoute", "GRPCRoute"}),
    "HTTPS": frozenset({"HTTPRoute", "GRPCRoute"}),
    "TLS": frozenset({"TLSRoute", "TCPRoute"}),
    "TCP": frozenset({"TCPRoute"}),
    "UDP": frozenset({"UDPRoute"}),
}


def _parents(world: World) -> Iterator[Broken]:
    for thing in world.of("HTTPRoute", "GRPCRoute", "TLSRoute", api=True):
        for index, ref in enumerate(thing.all("parentRefs")):
            if not isinstance(ref, dict) or ref.get("kind", "Gateway") != "Gateway":
                continue
            namespace, name = str(ref.get("namespace") or thing.namespace), str(ref.get("name"))
            gateway = world.find("Gateway", namespace, name, api=True)
            if gateway is None:
                yield broken(thing, f"there is no Gateway {namespace}/{name} of the Gateway API", "parentRefs", index)
                continue
            sections = [str(dig(one, "name")) for one in gateway.all("listeners")]
            section = ref.get("sectionName")
            if section and section not in sections:
                sentence = f"Gateway {namespace}/{name} has no listener {section}; it has {', '.join(sections)}"
                yield broken(thing, sentence, "parentRefs", index, "sectionName")


def _grants(world: World) -> Iterator[Broken]:
    for thing in world.of("HTTPRoute", "GRPCRoute", "TLSRoute", api=True):
        for number, rule in enumerate(thing.all("rules")):
            for index, ref in enumerate(dig(rule, "backendRefs") or ()):
                namespace = dig(ref, "namespace")
                if namespace and namespace != thing.namespace and not _granted(world, thing, ref):
                    sentence = f"no ReferenceGrant in {namespace} lets it refer to {dig(ref, 'name')} there"
                    yield broken(thing, sentence, "rules", number, "backendRefs", index)


def _granted(world: World, thing: Thing, ref: dict[str, Any]) -> bool:
    for grant in world.of("ReferenceGrant", api=True):
        if grant.namespace != ref["namespace"]:
            continue
        by = any(
            dig(one, "kind") == thing.kind and dig(one, "namespace") == thing.namespace for one in grant.all("from")
        )
        to = any(
            dig(one, "kind") == ref.get("kind", "Service") and dig(one, "name") in (None, ref.get("name"))
            for one in grant.all("to")
        )
        if by and to:
            return True
    return False


def attached(world: World, thing: Thing) -> Iterator[tuple[int, Thing, list[dict[str, Any]]]]:
    """The known Gateways that a route names: index of the reference, the Gateway, and the listeners that are meant."""
    for index, ref in enumerate(thing.all("parentRefs")):
        if dig(ref, "kind") not in (None, "Gateway") or dig(ref, "group") not in (None, API):
            continue
        gateway = world.find("Gateway", str(dig(ref, "namespace") or thing.namespace), str(dig(ref, "name")), api=True)
        if gateway is not None:
            section, port = dig(ref, "sectionName"), dig(ref, "port")
            meant = [one for one in gateway.all("listeners") if section in (None, dig(one, "name"))]
            yield index, gateway, [one for one in meant if port in (None, dig(one, "port"))]


def _not_allowed(world: World) -> Iterator[Broken]:
    for thing in world.of(*_ROUTES, api=True):
        for index, gateway, listeners in attached(world, thing):
            if gateway.namespace == thing.namespace:
                continue
            if listeners and all(
                dig(one, "allowedRoutes", "namespaces", "from") in (None, "Same") for one in listeners
            ):
                sentence = f"Gateway {gateway.namespace}/{gateway.name} takes routes of its own namespace only"
                hint = "Say allowedRoutes.namespaces.from there: All, or Selector"
                yield broken(thing, sentence, "parentRefs", index, hint=hint)


def _other_kinds(world: World) -> Iterator[Broken]:
    for thing in world.of(*_ROUTES, api=True):
        for index, gateway, listeners in attached(world, thing):
            if listeners and not any(_takes(one, thing.kind) for one in listeners):
                first = listeners[0]
                kinds = sorted(_kinds(first) or ())
                sentence = (
                    f"listener {dig(first, 'name')} of Gateway {gateway.namespace}/{gateway.name} "
                    f"({dig(first, 'protocol')}) takes {listed(kinds) if kinds else 'no routes'}"
                )
                hint = "Name a listener for such routes; see its protocol and allowedRoutes.kinds"
                yield broken(thing, sentence, "parentRefs", index, hint=hint)


def _takes(listener: dict[str, Any], kind: str) -> bool:
    kinds = _kinds(listener)
    return kinds is None or kind in kinds


def _kinds(listener: dict[str, Any]) -> set[str] | None:
    """The kinds of routes that a listener takes; None where its protocol is not one of the Gateway API's own."""
    kinds = _OF_PROTOCOL.get(str(dig(listener, "protocol")))
    said = {str(dig(one, "kind")) for one in items(listener, "allowedRoutes", "kinds")}
    if kinds is None:
        return said or None
    return {kind for kind in kinds if not said or kind in said}


def _hostnames(world: World) -> Iterator[Broken]:
    """A hostname of a route that no listener of its Gateways has in common with it is passed over in silence."""
    for thing in world.of("HTTPRoute", "GRPCRoute", "TLSRoute", api=True):
        parents = list(attached(world, thing))
        listeners = [one for _, _, some in parents for one in some if _takes(one, thing.kind)]
        if not listeners or len(parents) < len(thing.all("parentRefs")):
            continue
        served = [str(dig(one, "hostname") or "*") for one in listeners]
        for index, host in enumerate(thing.all("hostnames")):
            if not any(meets(one, str(host)) for one in served):
                names = listed([f"{gateway.namespace}/{gateway.name}" for _, gateway, _ in parents])
                sentence = f"no listener of Gateway {names} that it names serves {host}, so no request gets here by it"
                hint = f"Served there: {', '.join(dict.fromkeys(served))}"
                yield broken(thing, sentence, "hostnames", index, hint=hint)


def _addresses(world: World) -> Iterator[Broken]:
    """Istio looks for the Service of an address in the Gateway's namespace only."""
    for gateway in world.of("Gateway", api=True):
        for index, address in enumerate(gateway.all("addresses")):
            service = world.service_of(str(dig(address, "value")))
            if service and service[1] != gateway.namespace:
                sentence = f"{dig(address, 'value')} is in another namespace: no gateway is programmed"
                hint = f"Write the Gateway into namespace {service[1]}, with allowedRoutes"
                yield broken(gateway, sentence, "addresses", index, hint=hint)


RULES = (
    Rule(
        "parent-missing",
        "A route of the Gateway API names Gateways and listeners that exist",
        _parents,
        needs=("Gateway",),
    ),
    Rule("grant-missing", "A backend of another namespace is granted there", _grants, needs=("ReferenceGrant",)),
    Rule("route-not-allowed", "A listener allows the routes of other namespaces that name it", _not_allowed),
    Rule("listener-kind", "A listener takes the routes that name it, by its protocol and kinds", _other_kinds),
    Rule("listener-host", "The hostnames of a route are served by a listener that it names", _hostnames),
    Rule("address-elsewhere", "The Service of a Gateway's address is in its namespace", _addresses),
)
