"""What is taken away while others still name it."""

from __future__ import annotations

from collections.abc import Iterator

from meshwright.callers import still
from meshwright.validation.finding import Broken, Rule, broken
from meshwright.validation.world import CLUSTER, Thing, World

__all__ = ["RULES"]

# The part of an object in which the thing was that others name.
_PARTS = {
    "subset": "subsets",
    "served": "servers",
    "port": "ports",
    "listener": "listeners",
    "host": "hosts",
    "routed": "hosts",
    "vhost": "hosts",
    "route": "http",
}


def _still_named(world: World) -> Iterator[Broken]:
    others = [thing.obj for thing in world.things if thing.manifest.place == CLUSTER]
    own = {_key(thing): thing for thing in world.things if thing.manifest.place != CLUSTER}
    leave = {id(thing.obj): thing for thing in world.leave}
    found = still([t.obj for t in world.leave], [t.obj for t in own.values()], lambda: others, world.domain)
    for each in found:
        gone = leave.get(id(each.by))
        after = own.get(_key(gone)) if gone else None
        hint = "Change that first, or leave this as it is until it is changed"
        if after is not None:
            sentence = f"{each} in the cluster, which is taken away here"
            yield broken(after, sentence, _PARTS.get(each.ask.what, "spec"), hint=hint)
        elif gone is not None:
            sentence = f"it is no longer in the values and would be deleted, and {each} in the cluster"
            yield broken(gone, sentence, hint=hint)
        else:
            caller = next(t for t in world.things if t.obj is each.caller)
            yield broken(caller, f"it names {each.ask}, which is taken away", hint=hint)


def _key(thing: Thing) -> tuple[bool, str, str, str]:
    return thing.of_api, thing.kind, thing.namespace, thing.name


RULES = (Rule("still-named", "What others in the cluster name stays there", _still_named, others=True),)
