"""Domains of exposed addons that a gateway of somebody else serves too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshwright.addons import exposure
from meshwright.environment import Environment
from meshwright.kube import Session
from meshwright.matching import covers, dig, items

__all__ = ["Overlap", "overlaps", "sentences"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Overlap:
    """The domain of an exposed addon is `host`, itself or a wildcard around it, of a `server` of `gateway`."""

    exposed: exposure.Exposed
    host: str
    gateway: Object
    server: Object

    def __str__(self) -> str:
        metadata, own = self.gateway["metadata"], self.exposed.exposure
        return (
            f"the domain {own.host} of addons.{self.exposed.addon} overlaps {self.host} of Gateway "
            f"{metadata['namespace']}/{metadata['name']} at port {own.port}"
        )


def overlaps(env: Environment, gateways: Iterable[Object]) -> Iterator[Overlap]:
    """Each server of Gateways that are not the addons' own, but have a domain of an exposed addon, at the same port of
    the same pods: Istio gives such a domain to the older of the two, and a wildcard beside it may send it elsewhere."""
    found = exposure.exposed(env)
    own = {(env.ingress.namespace, exposure.object_name(each.addon)) for each in found}
    for gateway in gateways:
        metadata = gateway["metadata"]
        if (metadata.get("namespace"), metadata["name"]) in own:
            continue
        for each in found:
            same = _same_pods(dig(gateway, "spec", "selector"), each.exposure.selector)
            for server in items(gateway, "spec", "servers") if same else ():
                host = _shared(server, each.exposure.host)
                if host and dig(server, "port", "number") == each.exposure.port:
                    yield Overlap(each, host, gateway, server)


def sentences(session: Session, env: Environment) -> Iterator[str]:
    """The overlaps with live Gateways, for a plan."""
    if exposure.exposed(env):
        for each in overlaps(env, session.list("networking.istio.io/v1", "Gateway")):
            yield f"finding: {each}"


def _shared(server: Any, host: str) -> str:
    """The host of a server that `host` is one of; "" for none."""
    patterns = (str(written).rpartition("/")[2] for written in items(server, "hosts"))
    return next((pattern for pattern in patterns if covers(pattern, host)), "")


def _same_pods(labels: Any, others: Mapping[str, str]) -> bool:
    """Whether some pod may have both; a Gateway without labels is for all pods."""
    return not isinstance(labels, dict) or all(others.get(key, value) == value for key, value in labels.items())
