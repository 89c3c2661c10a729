"""Rules about routes: what VirtualServices and the Gateway API's routes name, and what hides what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.environment.problems import nearest
from meshwright.matching import covers, dig, meets
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
        for index, written, namespace, name in world.gateways_of(thing):
            if f"{namespace}/{name}" not in known:
                near = nearest(f"{namespace}/{name}", sorted(known))
                hint = f"The nearest is {near}" if near else "Write the Gateway, or its NAMESPACE/NAME"
                yield broken(thing, f"there is no Gateway {namespace}/{name} ({written})", "gateways", index, hint=hint)


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
        for path, found in destinations(thing):
            host, subset = world.whole(found.get("host"), thing), found.get("subset")
            known = world.subsets(host)
            if subset and subset not in known:
                near = nearest(str(subset), sorted(known))
                hint = f"The nearest is {near}" if near else "Requests to it are answered with 503"
                yield broken(thing, f"no DestinationRule for {host} has a subset {subset}", *path, "subset", hint=hint)


def _unused_subsets(world: World) -> Iterator[Broken]:
    used = {
        (world.whole(found.get("host"), thing), found.get("subset"))
        for thing in world.of("VirtualService")
        for _, found in destinations(thing)
    }
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        for index, subset in enumerate(rule.all("subsets")):
            if isinstance(dig(subset, "trafficPolicy"), dict) and (host, dig(subset, "name")) not in used:
                sentence = f"the trafficPolicy of subset {dig(subset, 'name')} has no effect: no route names the subset"
                yield broken(rule, sentence, "subsets", index)


def _subsets_of_nobody(world: World) -> Iterator[Broken]:
    for rule in world.of("DestinationRule"):
        service = world.service_of(world.whole(rule.get("host"), rule))
        for index, subset in enumerate(rule.all("subsets")):
            if service and world.pods(dig(subset, "labels"), service[1]) is False:
                sentence = f"no pod in namespace {service[1]} has the labels of subset {dig(subset, 'name')}"
                yield broken(rule, sentence, "subsets", index, hint="Requests to it are answered with 503")


def _short(world: World) -> Iterator[Broken]:
    """Values are completed; what is in a manifest stays as it is."""
    for thing in world.of("VirtualService", "DestinationRule"):
        hosts = [("host", thing.get("host"))] + [("hosts", host) for host in thing.all("hosts")]
        for key, host in hosts:
            if isinstance(host, str) and host not in ("", "*") and "." not in host:
                hint = "Write the whole name: it means this one from any namespace"
                yield broken(thing, f"{host} means {world.whole(host, thing)}", key, hint=hint)


def _twice(world: World) -> Iterator[Broken]:
    first: dict[tuple[str, str], Thing] = {}
    for thing in world.of("VirtualService"):
        gateways = [f"{namespace}/{name}" for _, _, namespace, name in world.gateways_of(thing)]
        if not gateways or "mesh" in thing.all("gateways"):
            gateways.append("mesh")
        for index, host in enumerate(thing.all("hosts")):
            for gateway in gateways:
                if gateway == "mesh" and thing.all("exportTo") == ["."]:
                    continue
                other = first.setdefault((world.whole(host, thing), gateway), thing)
                if other is not thing:
                    sentence = f"{host} at {gateway} is in {other.title} ({other.at('hosts')}) as well"
                    yield broken(thing, sentence, "hosts", index, hint="Which of them is taken, Istio does not say")
                    break


def _weights(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        for kind in _ROUTES:
            for number, route in enumerate(thing.all(kind)):
                found = dig(route, "route")
                weights = [dig(one, "weight") or 0 for one in found] if isinstance(found, list) else []
                if len(weights) > 1 and all(isinstance(one, int) for one in weights) and sum(weights) != 100:
                    yield broken(thing, f"the weights of {kind}[{number}] add up to {sum(weights)}", kind, number)


def _shadowed(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService"):
        routes = thing.all("http")
        earlier: list[tuple[int, dict[str, Any]]] = []
        for number, route in enumerate(routes):
            matches = dig(route, "match") or [{}]
            if not isinstance(matches, list) or not all(isinstance(match, dict) for match in matches):
                continue
            over = [next((n for n, other in earlier if _includes(other, match)), None) for match in matches]
            if None not in over:
                hint = "The first route that matches is taken: put this one before it"
                sentence = f"http[{number}] is never taken: http[{over[0]}] takes all of its requests"
                yield broken(thing, sentence, "http", number, hint=hint)
            earlier += [(number, match) for match in matches]


def _includes(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether every request that `narrow` matches is matched by `wide`, as far as that is certain."""
    for key, condition in wide.items():
        if key in ("name", "statPrefix") or condition in ({}, []):
            continue
        other = narrow.get(key)
        if (
            key in ("headers", "queryParams", "sourceLabels")
            and isinstance(condition, dict)
            and isinstance(other, dict)
        ):
            if any(name not in other or not _text_includes(one, other[name]) for name, one in condition.items()):
                return False
        elif not _text_includes(condition, other):
            return False
    return not (wide.get("ignoreUriCase") is None and narrow.get("ignoreUriCase"))


def _text_includes(wide: Any, narrow: Any) -> bool:
    if wide == narrow or (wide == {} and isinstance(narrow, dict)):
        return True
    prefix = dig(wide, "prefix")
    if isinstance(prefix, str) and isinstance(narrow, dict):
        return any(isinstance(narrow.get(key), str) and narrow[key].startswith(prefix) for key in ("exact", "prefix"))
    return False


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
    Rule("subset-unused", "A subset with a policy of its own is named by a route", _unused_subsets, Level.WARNING),
    Rule("subset-of-nobody", "Some pod has the labels of a subset", _subsets_of_nobody, Level.WARNING),
    Rule("host-short", "Manifests name hosts in full", _short, Level.WARNING),
    Rule("host-twice", "One VirtualService routes a host at a gateway", _twice),
    Rule("weights", "The weights of a route add up to 100", _weights),
    Rule("shadowed", "Every route can be taken", _shadowed),
)
