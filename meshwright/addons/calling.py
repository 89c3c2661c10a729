"""Who has called a Service lately: by Kiali's graph or, where Kiali is off, by Prometheus.

What names a Service, or a subset of it, is for `meshwright.callers`; this is about the requests that really came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from meshwright.addons import asking, telemetry
from meshwright.addons.table import ADDONS, GRAPH
from meshwright.callers import asks
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.matching import dig, items
from meshwright.rendering.hosts import cluster_domain, whole

__all__ = ["callers", "losing", "noted"]

Object = dict[str, Any]

_MOST = 5
_LATELY = "in the last five minutes"


def callers(
    session: Session, env: Environment, services: Collection[str], *, by: str = "kiali"
) -> dict[str, list[str]]:
    """Who has called each of `services` (NAMESPACE/NAME) in the last five minutes: NAMESPACE/WORKLOAD, sorted; asked is
    the addon `by`, `kiali` or `prometheus`. Raises MeshwrightError."""
    if by == "prometheus":
        return {service: sorted(_counted(session, env, service)) for service in services}
    around = [*(service.partition("/")[0] for service in services), *env.namespaces, env.ingress.namespace]
    answer = asking.value(session, env, "kiali", GRAPH.format(namespaces=",".join(dict.fromkeys(around))), 20)
    elements = dig(answer, "elements")
    nodes = {each["data"]["id"]: each["data"] for each in items(elements, "nodes")}
    found: dict[str, set[str]] = {service: set() for service in services}
    for edge in items(elements, "edges"):
        source, target = nodes.get(edge["data"]["source"]), nodes.get(edge["data"]["target"])
        if source is None or target is None or target.get("nodeType") != "service":
            continue
        service = f"{target.get('namespace')}/{target.get('service')}"
        if service in found:
            called = source.get("workload") or source.get("app") or source.get("service") or "unknown"
            found[service].add(f"{source.get('namespace', 'unknown')}/{called}")
    return {service: sorted(names) for service, names in found.items()}


def _counted(session: Session, env: Environment, service: str) -> set[str]:
    """The same of one Service, by what proxies count."""
    name, labels = telemetry.series(env, service)
    lately = f"increase({name}{{{labels}}}[5m])"
    found = set()
    if name.startswith("envoy"):
        for each in telemetry.query(session, env, f"sum by (namespace, pod) ({lately}) > 0"):
            found.add(
                f"{each['metric'].get('namespace', 'unknown')}/{telemetry.deployment(each['metric'].get('pod', ''))}"
            )
    else:
        for each in telemetry.query(
            session, env, f"sum by (source_workload, source_workload_namespace) ({lately}) > 0"
        ):
            said = each["metric"]
            found.add(f"{said.get('source_workload_namespace', 'unknown')}/{said.get('source_workload', 'unknown')}")
    return found


def losing(before: Sequence[Object], after: Iterable[Object], domain: str) -> list[str]:
    """The Services (NAMESPACE/NAME) that lose something where `after` replaces `before`: a port, a subset, a route that
    leads to them, the routes of their host, or all."""
    there = {_key(obj): obj for obj in after}
    lost: set[str] = set()
    for obj in before:
        now = there.get(_key(obj))
        gone = _about(obj, domain) - (_about(now, domain) if now else set())
        lost |= {host for host, _ in gone}
    ends = f".svc.{domain}"
    names = (host.removesuffix(ends).split(".") for host in lost if host.endswith(ends))
    return sorted(f"{parts[1]}/{parts[0]}" for parts in names if len(parts) == 2)


def _about(obj: Object, domain: str) -> set[tuple[str, str]]:
    """The hosts that an object is about, each with what of it."""
    kind, metadata = obj["kind"], obj["metadata"]
    space = str(metadata.get("namespace") or "")
    if kind == "Service":
        host = f"{metadata['name']}.{space}.svc.{domain}"
        return {(host, "")} | {(host, f"port {dig(port, 'port')}") for port in items(obj, "spec", "ports")}
    found = {(ask.words[0], ask.what + " ".join(ask.words[1:])) for ask in asks(obj, domain) if ask.what in _OF_HOSTS}
    if kind == "VirtualService":
        found |= {
            (whole(host, space, domain), "routes") for host in items(obj, "spec", "hosts") if isinstance(host, str)
        }
    if kind == "DestinationRule":
        host = whole(str(dig(obj, "spec", "host")), space, domain)
        found |= {(host, f"subset {dig(subset, 'name')}") for subset in items(obj, "spec", "subsets")}
    return found


_OF_HOSTS = ("host", "subset", "port")


def _key(obj: Object) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    return str(obj["apiVersion"]).partition("/")[0], obj["kind"], str(metadata.get("namespace") or ""), metadata["name"]


def noted(session: Session, env: Environment, before: Sequence[Object], after: Iterable[Object]) -> list[str]:
    """Sentences for a plan: who has called the Services that lose something. Asked is the addon that knows; where none
    is on, nothing is said."""
    by = next((name for name in ("kiali", "prometheus") if env.addons.get(name)), "")
    services = losing(before, after, cluster_domain(env)) if by else []
    if not services:
        return []
    told, title = services[:_MOST], ADDONS[by].title
    try:
        found = callers(session, env, told, by=by)
        stand_in = asking.backend(session, env, by).stand_in
    except MeshwrightError as error:
        return [f"not verified: who has called {', '.join(told)} {_LATELY}: {error.message}"]
    whose = f"by {'a stand-in for ' if stand_in else ''}{title}"
    said = [
        f"{service}, of which something goes away, was called {_LATELY} by {', '.join(names)} ({whose})"
        if names
        else f"nobody has called {service}, of which something goes away, {_LATELY} ({whose})"
        for service, names in found.items()
    ]
    rest = services[_MOST:]
    return said + ([f"not looked at: who has called {', '.join(rest)}"] if rest else [])
