"""Rules about routes: what VirtualServices and the Gateway API's routes name, and what hides what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.callers import Ask, asks
from meshwright.environment.problems import nearest
from meshwright.matching import covers, dig, items, meets
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES", "destinations"]

Path = tuple[str | int, ...]
_ROUTES = ("http", "tls", "tcp")


def destinations(thing: Thing) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every destination of a VirtualService with its path in the spec."""
    for kind in _ROUTES:
        for number, route in enumerate(thing.all(kind)):
            for name, inner in (("route", ("destination",)), ("mirrors", ("destination",))):
                for index, found in enumerate(dig(route, name) if isinstance(dig(route, name), list) else ()):
                    if isinstance(dig(found, *inner), dict):
                        yield (kind, number, name, index, *inner), dig(found, *inner)
            if isinstance(dig(route, "mirror"), dict):
                yield (kind, number, "mirror"), route["mirror"]


def _gateways(world: World) -> Iterator[Broken]:
    known = {f"{gateway.namespace}/{gateway.name}" for gateway in world.of("Gateway")}
    for thing in world.of("VirtualService"):
        for path, written in _named_gateways(thing):
            namespace, _, name = written.rpartition("/")
            key = f"{namespace or thing.namespace}/{name}"
            if key not in known:
                near = nearest(key, sorted(known))
                hint = f"The nearest is {near}" if near else "Write the Gateway, or its NAMESPACE/NAME"
                yield broken(thing, f"there is no Gateway {key} ({written})", *path, hint=hint)


def _named_gateways(thing: Thing) -> Iterator[tuple[Path, str]]:
    """The gateways that a VirtualService and its matches name, but `mesh`."""
    places: list[Path] = [("gateways",)]
    for kind in _ROUTES:
        for number, route in enumerate(thing.all(kind)):
            places += [(kind, number, "match", index, "gateways") for index in range(len(items(route, "match")))]
    for path in places:
        for index, written in enumerate(thing.all(*path)):
            if isinstance(written, str) and written != "mesh":
                yield (*path, index), written


def _served(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        for index, host in enumerate(thing.all("hosts")):
            for _, _, namespace, name in world.gateways_of(thing):
                gateway = world.find("Gateway", namespace, name)
                if gateway and isinstance(host, str) and not _takes(gateway, thing, world.whole(host, thing)):
                    sentence = f"Gateway {namespace}/{name} does not serve {host}, so no request gets here through it"
                    yield broken(thing, sentence, "hosts", index, hint="Put the host into a server of the Gateway")


def _takes(gateway: Thing, thing: Thing, host: str) -> bool:
    for server in gateway.all("servers"):
        for served in dig(server, "hosts") or ():
            namespace, _, pattern = str(served).rpartition("/")
            allowed = {"": "*", ".": gateway.namespace}.get(namespace, namespace)
            if allowed in ("*", thing.namespace) and meets(pattern, host):
                return True
    return False


def _hosts(world: World) -> Iterator[Broken]:
    named: list[tuple[Thing, Path, Any]] = []
    for thing in world.of("VirtualService"):
        named += [(thing, (*path, "host"), found.get("host")) for path, found in destinations(thing)]
    named += [(thing, ("host",), thing.get("host")) for thing in world.of("DestinationRule")]
    unseen = set()
    for thing, path, written in named:
        host = world.whole(written, thing)
        service = world.service_of(host)
        if host in world.services or any(covers(known, host) for known, _ in world.entries) or "*" in host:
            continue
        if service is None:
            if thing.kind == "VirtualService" and host:
                parts = host.split(".")
                short = len(parts) == 2 and parts[1] in world.env.namespaces
                hint = f"Write {host}.svc.{world.domain}" if short else "Write a ServiceEntry for it"
                yield broken(thing, f"{host} is neither a Service's host nor one of a ServiceEntry", *path, hint=hint)
        elif world.services_known(service[1]):
            near = nearest(service[0], sorted(t.name for t in world.services.values() if t.namespace == service[1]))
            hint = f"The nearest is {near}" if near else ""
            yield broken(thing, f"there is no Service {service[0]} in namespace {service[1]}", *path, hint=hint)
        else:
            unseen.add(service[1])
    if unseen:
        world.skipped.append(f"the Services of {', '.join(sorted(unseen))}: only a cluster knows them")


def _subsets(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        clients = _clients(world, thing)
        for path, found in destinations(thing):
            host, subset = world.whole(found.get("host"), thing), found.get("subset")
            if not subset:
                continue
            known = world.subsets(host)
            rules = known.get(str(subset), [])
            if not rules:
                near = nearest(str(subset), sorted(known))
                hint = f"The nearest is {near}" if near else "Requests to it are answered with 503"
                yield broken(thing, f"no DestinationRule for {host} has a subset {subset}", *path, "subset", hint=hint)
            elif not any(_seen(world, rule, host, clients) for rule in rules):
                sentence = f"{rules[0].title} has subset {subset}, and the proxies that take this route do not see it"
                hint = "They see the rules of their own namespace, of the Service's and of Istio's, as exportTo allows"
                yield broken(thing, sentence, *path, "subset", hint=hint)


def _clients(world: World, thing: Thing) -> set[str]:
    """The namespaces of the proxies that take a VirtualService; empty where that may be any."""
    found = {world.gateway_namespace(world.find("Gateway", ns, name)) for _, _, ns, name in world.gateways_of(thing)}
    if not found or "mesh" in thing.all("gateways"):
        if thing.all("exportTo") != ["."]:
            return set()
        found.add(thing.namespace)
    return found


def _seen(world: World, rule: Thing, host: str, clients: set[str]) -> bool:
    """Whether one of `clients` looks for the rules of a host in this one's namespace, and may see it there."""
    service = world.service_of(host)
    everywhere = rule.namespace == world.root or service is None or rule.namespace == service[1]
    spaces = {rule.namespace if each == "." else str(each) for each in rule.all("exportTo")} or {"*"}
    if not clients:
        return True
    return any((everywhere or client == rule.namespace) and spaces & {"*", client} for client in clients)


def _unused_subsets(world: World) -> Iterator[Broken]:
    used: dict[str, set[str]] = {}
    for thing in world.of("VirtualService"):
        for _, found in destinations(thing):
            used.setdefault(str(found.get("subset")), set()).add(world.whole(found.get("host"), thing))
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        for index, subset in enumerate(rule.all("subsets")):
            named = any(covers(host, one) for one in used.get(str(dig(subset, "name")), ()))
            if isinstance(dig(subset, "trafficPolicy"), dict) and not named:
                sentence = f"the trafficPolicy of subset {dig(subset, 'name')} has no effect: no route names the subset"
                yield broken(rule, sentence, "subsets", index)


def _subsets_of_nobody(world: World) -> Iterator[Broken]:
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        service = world.service_of(host)
        thing = world.services.get(host)
        selected = dig(thing.obj, "spec", "selector") if thing else {}
        for index, subset in enumerate(rule.all("subsets")):
            labels = dig(subset, "labels")
            if not service or not isinstance(labels or {}, dict) or not isinstance(selected or {}, dict):
                continue
            if world.pods({**(selected or {}), **(labels or {})}, service[1]) is False:
                whose = f"Service {service[0]}" if selected else f"namespace {service[1]}"
                sentence = f"no pod of {whose} has the labels of subset {dig(subset, 'name')}"
                yield broken(rule, sentence, "subsets", index, hint="Requests to it are answered with 503")


def _without_host(world: World) -> Iterator[Broken]:
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        known = [one for one, _ in world.entries] + list(world.services)
        if host and world.service_of(host) is None and not any(meets(host, one) for one in known):
            inside = host == "*" or host.endswith(world.domain) or world.domain.endswith(host.removeprefix("*."))
            if not inside:
                sentence = f"{host} is neither a Service's host nor one of a ServiceEntry, so this has no effect"
                yield broken(rule, sentence, "host", hint="Write a ServiceEntry for it")


def _delegates(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        for ask in asks(thing.obj, world.domain):
            if ask.what != "delegate":
                continue
            found = world.find("VirtualService", *ask.words)
            if found is None:
                yield broken(thing, f"there is no VirtualService {'/'.join(ask.words)}, its delegate", *ask.path)
            elif found.all("hosts"):
                yield broken(thing, f"{found.title} has hosts of its own, so it is nobody's delegate", *ask.path)


def _ports(world: World) -> Iterator[Broken]:
    """Only of hosts that are known: what is wrong with others is said by the rules about hosts."""
    for thing in (*world.of("VirtualService"), *world.of("HTTPRoute", "GRPCRoute", "TLSRoute", api=True)):
        for ask in asks(thing.obj, world.domain):
            if ask.what == "port" and world.offers.by(Ask("host", ask.words[:1])) and not world.offers.by(ask):
                sentence = f"{ask.words[0]} has no port {ask.words[1]}"
                yield broken(thing, sentence, *ask.path, hint="Requests to it are answered with 503")


def _weights(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        for kind in _ROUTES:
            for number, route in enumerate(thing.all(kind)):
                found = dig(route, "route")
                weights = [dig(one, "weight") or 0 for one in found] if isinstance(found, list) else []
                if len(weights) > 1 and all(isinstance(one, int) for one in weights) and sum(weights) != 100:
                    yield broken(thing, f"the weights of {kind}[{number}] add up to {sum(weights)}", kind, number)


RULES = (
    Rule("gateway-missing", "A VirtualService names Gateways that exist", _gateways, needs=("Gateway",)),
    Rule("host-not-served", "A Gateway serves the hosts of the VirtualServices that name it", _served),
    Rule(
        "host-missing",
        "Routes and DestinationRules are for hosts that exist",
        _hosts,
        needs=("Service", "ServiceEntry"),
    ),
    Rule(
        "subset-missing", "A DestinationRule defines the subsets that routes name", _subsets, needs=("DestinationRule",)
    ),
    Rule("port-missing", "The Services and ServiceEntries that routes name have the ports", _ports),
    Rule("delegate-missing", "Delegates exist, and have no hosts", _delegates, needs=("VirtualService",)),
    Rule(
        "rule-without-host",
        "A DestinationRule is for a host that some proxy knows",
        _without_host,
        Level.WARNING,
        needs=("Service", "ServiceEntry"),
    ),
    Rule("subset-unused", "A subset with a policy of its own is named by a route", _unused_subsets, Level.WARNING),
    Rule("subset-of-nobody", "Some pod has the labels of a subset", _subsets_of_nobody, Level.WARNING),
    Rule("weights", "The weights of a route add up to 100", _weights),
)
