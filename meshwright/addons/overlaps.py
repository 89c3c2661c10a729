"""Domains of exposed addons that a gateway of somebody else serves too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.addons import exposure
from meshwright.environment import Environment
from meshwright.kube import Session

__all__ = ["sentences"]


def sentences(session: Session, env: Environment) -> Iterator[str]:
    """A sentence for each server of another Gateway that has a domain of an exposed addon, at the same port of the same
    pods: Istio gives such a domain to the older of the two, and a wildcard beside it may send it elsewhere."""
    found = exposure.exposed(env)
    if not found:
        return
    own = {(env.ingress.namespace, exposure.object_name(each.addon)) for each in found}
    for gateway in session.list("networking.istio.io/v1", "Gateway"):
        metadata, spec = gateway["metadata"], gateway.get("spec") or {}
        if (metadata.get("namespace"), metadata["name"]) in own:
            continue
        for each in found:
            for server in spec.get("servers") or ():
                host = _shared(server, each.exposure.host)
                same = _same_pods(spec.get("selector") or {}, each.exposure.selector)
                if host and same and (server.get("port") or {}).get("number") == each.exposure.port:
                    yield (
                        f"finding: the domain {each.exposure.host} of addons.{each.addon} overlaps {host} of Gateway "
                        f"{metadata['namespace']}/{metadata['name']} at port {each.exposure.port}"
                    )


def _shared(server: dict[str, Any], host: str) -> str:
    """The host of a server that `host` is one of; "" for none."""
    for written in server.get("hosts") or ():
        pattern = str(written).rpartition("/")[2]
        if pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return pattern
    return ""


def _same_pods(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether some pod may have the labels of both."""
    return all(other.get(key, value) == value for key, value in one.items())
