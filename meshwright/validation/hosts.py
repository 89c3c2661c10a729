"""Rules about hosts as manifests write them. Those of values are looked at, and completed, when the values are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.environment.dnsnames import HOST_WORDS, is_host, meant
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.routes import Path, destinations
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]


def _hosts(thing: Thing) -> Iterator[tuple[Path, str]]:
    """The hosts that an object names, each with its path in the spec; of a Gateway, without the namespace before it."""
    found: list[tuple[Path, Any]] = [(("host",), thing.get("host"))]
    found += [(("hosts", index), host) for index, host in enumerate(thing.all("hosts"))]
    if thing.kind == "VirtualService":
        found += [((*path, "host"), one.get("host")) for path, one in destinations(thing)]
    if thing.kind == "Gateway":
        for index, server in enumerate(thing.all("servers")):
            hosts = server.get("hosts") if isinstance(server, dict) else None
            for number, host in enumerate(hosts if isinstance(hosts, list) else ()):
                bare = host.partition("/")[2] if isinstance(host, str) and "/" in host and "://" not in host else host
                found.append((("servers", index, "hosts", number), bare))
    yield from ((path, host) for path, host in found if isinstance(host, str) and host not in ("", "*"))


def _no_hosts(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService", "DestinationRule", "Gateway", "ServiceEntry"):
        for path, host in _hosts(thing):
            if not is_host(host) and not (thing.kind == "ServiceEntry" and "/" in host):
                hint = f"Write {meant(host)}" if meant(host) else f"A host is a name {HOST_WORDS}"
                yield broken(thing, f"{host} is no host", *path, hint=hint)


def _short(world: World) -> Iterator[Broken]:
    for thing in world.of("VirtualService", "DestinationRule"):
        for path, host in _hosts(thing):
            name, _, space = host.partition(".")
            if not is_host(host):
                continue
            if not space:
                hint = "Write the whole name: it means this one from any namespace"
                yield broken(thing, f"{host} means {world.whole(host, thing)}", *path, hint=hint)
            elif path[0] != "http" and space in world.env.namespaces and world.service_of(host) is None:
                hint = f"Write {name}.{space}.svc.{world.domain}"
                yield broken(thing, f"{host} is taken as it is, and is no Service's host", *path, hint=hint)


RULES = (
    Rule("no-host", "Hosts are names, without scheme, port and path", _no_hosts),
    Rule("host-short", "Manifests name hosts in full", _short, Level.WARNING),
)
