"""Hosts: a name without a dot is one of the object's own namespace.

Istio takes it for that in silence (VirtualService.hosts, Destination.host and DestinationRule.host in its reference).
Here the whole name is written, and plans show it.
"""

from __future__ import annotations

from typing import Any

from meshwright.environment import Environment

__all__ = ["cluster_domain", "completed", "whole"]


def cluster_domain(env: Environment) -> str:
    """The domain of the cluster's Services."""
    found = env.istio.values
    for key in ("global", "proxy", "clusterDomain"):
        found = found.get(key) if isinstance(found, dict) else None  # type: ignore[assignment]
    return str(found) if found else "cluster.local"


def whole(host: str, namespace: str, domain: str) -> str:
    """`host`; completed when it is a name without a dot."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{domain}"


def completed(value: Any, namespace: str, domain: str) -> Any:
    """A part of an object with every `host` and all `hosts` completed."""
    if isinstance(value, list):
        return [completed(item, namespace, domain) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if key == "host" and isinstance(inner, str):
            found[key] = whole(inner, namespace, domain)
        elif key == "hosts" and isinstance(inner, list):
            found[key] = [whole(host, namespace, domain) for host in inner]
        elif key in _HOSTLESS:
            found[key] = inner
        else:
            found[key] = completed(inner, namespace, domain)
    return found


# Mappings with keys of the user's own, which may be called host.
_HOSTLESS = frozenset({"labels", "annotations", "headers", "match", "sourceLabels"})
