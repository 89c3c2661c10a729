"""Addons on domains: the objects that put them there, and domains that a gateway of somebody else serves too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshwright.addons import exposure
from meshwright.addons.overlaps import overlaps
from meshwright.addons.table import place
from meshwright.environment import Environment
from meshwright.manifests import Manifest
from meshwright.target import Target
from meshwright.validation.finding import Broken, Level, Rule
from meshwright.validation.world import World

__all__ = ["RULES", "services", "wanted"]


def wanted(target: Target, env: Environment) -> list[Manifest]:
    """The objects that expose addons. Raises BadInput as `exposure.rendered` does."""
    return [each for found in exposure.exposed(env) for each in exposure.rendered(target.project, env, found)]


def services(env: Environment, there: Iterable[Manifest]) -> list[Manifest]:
    """The Services that the addons' manifests bring, of those that are exposed and that `there` has not."""
    known = {(each.obj["metadata"].get("namespace"), each.obj["metadata"]["name"]) for each in there
             if each.obj["kind"] == "Service"}  # fmt: skip
    found = []
    for each in exposure.exposed(env):
        at = place(env, each.addon)
        if (at.namespace, at.service) not in known:
            metadata = {"name": at.service, "namespace": at.namespace}
            obj = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": at.port}]}}
            found.append(Manifest(obj, env.where("addons", each.addon)))
    return found


def _overlapping(world: World) -> Iterator[Broken]:
    for each in overlaps(world.env, (thing.obj for thing in world.of("Gateway") if thing.all("servers"))):
        own = world.find("Gateway", world.env.ingress.namespace, exposure.object_name(each.exposed.addon))
        # An exact double with another TLS is what `servers-overlap` says.
        if own is None or (
            each.host == each.exposed.exposure.host and each.server.get("tls") != own.get("servers", 0, "tls")
        ):
            continue
        place = world.env.where("addons", each.exposed.addon, "exposure", "host")
        yield Broken(own, str(each), place, "Istio gives a domain to the older of two Gateways: name another")


RULES = (
    Rule("domain-overlaps", "The domain of an exposed addon is that of no other Gateway", _overlapping, Level.WARNING),
)
