"""Which routes of two VirtualServices are for the same requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from meshwright.matching import dig
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]

_ROUTES = ("http", "tls", "tcp")
_MESH = "mesh"


def _shared(world: World) -> Iterator[tuple[Thing, int, str, Thing, bool]]:
    """A VirtualService, the index of its host, the gateway, the other one with this host, and whether one of the two
    takes all requests there. Routes of other kinds are for other servers of a gateway."""
    known: dict[tuple[str, str, str], list[Thing]] = defaultdict(list)
    for thing in world.of("VirtualService"):
        gateways = [f"{namespace}/{name}" for _, _, namespace, name in world.gateways_of(thing)]
        if not gateways or _MESH in thing.all("gateways"):
            gateways.append(_MESH)
        said = set()
        for index, host in enumerate(thing.all("hosts")):
            for gateway in gateways:
                for kind in _ROUTES:
                    if not thing.all(kind):
                        continue
                    key = (world.whole(host, thing), gateway, kind)
                    for other in known[key]:
                        apart = gateway == _MESH and not _meet(thing, other)
                        if other is not thing and not apart and (id(other), index) not in said:
                            said.add((id(other), index))
                            yield thing, index, gateway, other, _takes_all(thing, kind) and _takes_all(other, kind)
                    known[key].append(thing)


def _meet(one: Thing, other: Thing) -> bool:
    """Whether some namespace sees both."""
    spaces, others = _exports(one), _exports(other)
    return "*" in spaces or "*" in others or bool(spaces & others)


def _exports(thing: Thing) -> set[str]:
    found = {str(each) for each in thing.all("exportTo")} or {"*"}
    return {thing.namespace if each == "." else each for each in found}


def _takes_all(thing: Thing, kind: str) -> bool:
    """Whether one of the routes has no match."""
    return any(dig(route, "match") in (None, []) for route in thing.all(kind))


def _twice(world: World) -> Iterator[Broken]:
    for thing, index, gateway, other, all_of_both in _shared(world):
        if gateway == _MESH or all_of_both:
            sentence = f"{thing.all('hosts')[index]} at {gateway} is in {other.title} ({other.at('hosts')}) as well"
            yield broken(thing, sentence, "hosts", index, hint="Which of them is taken, Istio does not say")


def _split(world: World) -> Iterator[Broken]:
    """At gateways Istio puts the routes of several into one list, in the order in which they were made."""
    for thing, index, gateway, other, all_of_both in _shared(world):
        if gateway != _MESH and not all_of_both:
            sentence = f"{thing.all('hosts')[index]} at {gateway} is in {other.title} ({other.at('hosts')}) as well"
            yield broken(thing, sentence, "hosts", index, hint="The older one's routes come first: match apart from it")


RULES = (
    Rule("host-twice", "One VirtualService routes a host at a gateway", _twice),
    Rule("host-split", "The routes of a host at a gateway are in one VirtualService", _split, Level.WARNING),
)
