"""Rules about the Gateway API's objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from meshwright.matching import dig
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]


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


def _both(world: World) -> Iterator[Broken]:
    """The same host by Istio's routes and by those of the Gateway API, at gateways of the same pods."""
    hosts: dict[str, list[Thing]] = defaultdict(list)
    for thing in world.of("VirtualService"):
        if world.gateways_of(thing):
            for host in thing.all("hosts"):
                hosts[str(host)].append(thing)
    for thing in world.of("HTTPRoute", "GRPCRoute", api=True):
        for index, host in enumerate(thing.all("hostnames")):
            for other in hosts.get(str(host), ()):
                sentence = f"{host} is in {other.title} ({other.at('hosts')}) as well"
                yield broken(thing, sentence, "hostnames", index, hint="Let one of the two route a host")


def _not_allowed(world: World) -> Iterator[Broken]:
    for thing in world.of("HTTPRoute", "GRPCRoute", "TLSRoute", api=True):
        for index, ref in enumerate(thing.all("parentRefs")):
            namespace, name = str(dig(ref, "namespace") or thing.namespace), str(dig(ref, "name"))
            gateway = world.find("Gateway", namespace, name, api=True)
            if gateway is None or namespace == thing.namespace:
                continue
            section = dig(ref, "sectionName")
            listeners = [one for one in gateway.all("listeners") if section in (None, dig(one, "name"))]
            if listeners and all(
                dig(one, "allowedRoutes", "namespaces", "from") in (None, "Same") for one in listeners
            ):
                sentence = f"Gateway {namespace}/{name} takes routes of its own namespace only"
                hint = "Say allowedRoutes.namespaces.from there: All, or Selector"
                yield broken(thing, sentence, "parentRefs", index, hint=hint)


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
    Rule("routed-twice", "A host is routed by Istio's kinds or by the Gateway API's", _both, Level.WARNING),
    Rule("route-not-allowed", "A listener allows the routes of other namespaces that name it", _not_allowed),
    Rule("address-elsewhere", "The Service of a Gateway's address is in its namespace", _addresses),
)
