"""Rules about rate limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshwright.environment.mesh.resources import MeshEnvironment
from meshwright.environment.problems import nearest
from meshwright.matching import dig
from meshwright.validation.finding import Broken, Level, Rule
from meshwright.validation.world import World

__all__ = ["RULES"]


def _vhosts(world: World) -> Iterator[Broken]:
    """A patch that matches nothing is accepted in silence."""
    if not isinstance(world.env, MeshEnvironment):
        return
    vhosts: dict[str, set[str]] = {}
    for service in world.of("VirtualService"):
        for _, _, namespace, name in world.gateways_of(service):
            gateway = world.find("Gateway", namespace, name)
            for server in gateway.all("servers") if gateway else ():
                for host in service.all("hosts"):
                    key = f"{world.whole(host, service)}:{dig(server, 'port', 'number')}"
                    names = {str(dig(route, "name")) for route in service.all("http") if dig(route, "name")}
                    vhosts.setdefault(key, set()).update(names)
    for key, limit in world.env.resources.rate_limits.items():
        filter_ = world.find("EnvoyFilter", *key.split("/", 1))
        if filter_ is None or limit.context != "GATEWAY":
            continue
        for index, route in enumerate(limit.routes):
            place = world.env.where("resources", "rate_limits", key, "routes", index, "vhost")
            if route.vhost not in vhosts:
                near = nearest(route.vhost, sorted(vhosts))
                sentence = f"no gateway of these values has a virtual host {route.vhost}: this limits nothing"
                yield Broken(filter_, sentence, place, f"The nearest is {near}" if near else "HOST:PORT of the Gateway")
            elif route.route and route.route not in vhosts[route.vhost]:
                near = nearest(route.route, sorted(vhosts[route.vhost]))
                sentence = f"{route.vhost} has no http route named {route.route}: this limits nothing"
                yield Broken(filter_, sentence, place, f"The nearest is {near}" if near else "Give the route a name")


def _one_bucket(world: World) -> Iterator[Broken]:
    """Between the client and the gateway, a node takes the place of the client; so does a proxy that is not trusted."""
    if not isinstance(world.env, MeshEnvironment):
        return
    if dig(world.env.istio.mesh_config, "defaultConfig", "gatewayTopology", "numTrustedProxies"):
        return
    for key, limit in world.env.resources.rate_limits.items():
        filter_ = world.find("EnvoyFilter", *key.split("/", 1))
        for index, route in enumerate(limit.routes):
            asks = any(action.remote_address is not None for one in route.rate_limits for action in one.actions)
            if asks and filter_ and limit.context == "GATEWAY" and _hides_clients(world, limit.workload):
                place = world.env.where("resources", "rate_limits", key, "routes", index)
                sentence = "remote_address is a node's address behind a Service with externalTrafficPolicy Cluster"
                hint = "All clients share one bucket: set externalTrafficPolicy Local, or numTrustedProxies"
                yield Broken(filter_, sentence, place, hint)


def _hides_clients(world: World, workload: Mapping[str, str]) -> bool:
    """Whether requests from outside reach pods with these labels by a Service with externalTrafficPolicy Cluster, which
    is the default. Where no Service is known that selects them, the values of the ingress gateway count."""
    services = [
        service
        for service in world.of("Service")
        if service.get("type") in ("LoadBalancer", "NodePort")
        and all(service.get("selector", label) == value for label, value in workload.items())
    ]
    values = dig(world.env.istio.values, "gateways", "istio-ingressgateway", "externalTrafficPolicy")
    found = [service.get("externalTrafficPolicy") for service in services] or [values]
    return any(policy != "Local" for policy in found)


RULES = (
    Rule(
        "vhost-missing",
        "Rate limits are for virtual hosts and routes that exist",
        _vhosts,
        needs=("Gateway", "VirtualService"),
    ),
    Rule("one-bucket", "remote_address is the address of the client", _one_bucket, Level.WARNING),
)
