"""What a workload's Envoys count of their upstreams right now: requests, connections, limits, ejected hosts, retries.

Hosts and limits are on the admin page /clusters, which every proxy has. Retries, overflows and open circuit breakers
are counters that Istio's proxies keep only where they are told to (proxyStatsMatcher of their configuration); where
they do not, that is said, and no zero is shown for what nobody counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from meshwright import envoys
from meshwright.envoys import Proxy
from meshwright.errors import MeshwrightError, Unverified
from meshwright.kube import Session

__all__ = ["HINT", "Host", "Report", "Upstream", "look", "of_proxy"]

HINT = (
    "Retries, overflows and open circuit breakers are counted where the pod has the annotation "
    'proxy.istio.io/config: \'{"proxyStatsMatcher": {"inclusionRegexps": ["cluster\\\\.outbound.*"]}}\''
)

_NO_LIMIT = 4294967295
_COUNTERS = (
    "upstream_rq_retry", "upstream_rq_retry_success", "upstream_rq_retry_overflow", "upstream_rq_pending_overflow",
    "upstream_cx_overflow", "circuit_breakers.default.cx_open", "circuit_breakers.default.rq_open",
    "circuit_breakers.default.rq_pending_open", "circuit_breakers.default.rq_retry_open",
)  # fmt: skip
_NAME = re.compile(r"^cluster\.(?P<cluster>.+?);?\.(?P<counter>" + "|".join(map(re.escape, _COUNTERS)) + r")$")
_FILTER = r"^cluster\.outbound.*(upstream_rq_retry|overflow|_open)"

Object = dict[str, Any]


@dataclass(frozen=True)
class Host:
    """An endpoint as one Envoy sees it. `unhealthy` are the reasons for which it gets nothing, in Envoy's words
    ("failed_outlier_check": ejected)."""

    address: str
    pod: str
    unhealthy: tuple[str, ...]
    requests: int
    errors: int
    timeouts: int
    active: int
    connections: int
    connect_failures: int

    @property
    def ejected(self) -> bool:
        """Whether outlier detection has taken it out."""
        return "failed_outlier_check" in self.unhealthy


@dataclass(frozen=True)
class Upstream:
    """A cluster of one Envoy: `name` as HOST:PORT with its subset. `limits` has those that are set (connections,
    pending, requests, retries), `pending` requests that wait for a connection now, `counters` what Envoy counts beside
    hosts; None where it keeps none of it."""

    name: str
    hosts: tuple[Host, ...]
    limits: Mapping[str, int]
    pending: int
    counters: Mapping[str, int] | None

    @property
    def active(self) -> int:
        """Requests that are under way now."""
        return sum(host.active for host in self.hosts)

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return sum(host.connections for host in self.hosts)

    @property
    def requests(self) -> int:
        """Requests since the Envoy started, to the hosts that it has now."""
        return sum(host.requests for host in self.hosts)

    @property
    def errors(self) -> int:
        """Of these, those that failed."""
        return sum(host.errors for host in self.hosts)

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it now, as phrases."""
        found = [
            f"{host.pod or host.address} is ejected" if host.ejected else
            f"{host.pod or host.address} gets nothing: {', '.join(host.unhealthy).replace('_', ' ')}"
            for host in self.hosts
            if host.unhealthy
        ]  # fmt: skip
        if self.requests and not self.hosts:
            found.append("no endpoint is left")
        now = {"connections": self.connections, "requests": self.active, "pending": self.pending}
        found += [
            f"the circuit breaker is at its limit: {now[name]} of {limit} {name}"
            for name, limit in self.limits.items()
            if now.get(name, -1) >= limit
        ]
        counted = self.counters or {}
        found += [
            f"the circuit breaker is open ({name.removeprefix('circuit_breakers.default.').removesuffix('_open')})"
            for name, value in counted.items()
            if name.endswith("_open") and value
        ]
        return list(dict.fromkeys(found))

    @property
    def worth_showing(self) -> bool:
        """Whether it was used, is limited, or is in trouble."""
        return bool(self.requests or self.limits or self.troubles)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "upstream": self.name,
            "requests": self.requests,
            "errors": self.errors,
            "timeouts": sum(host.timeouts for host in self.hosts),
            "active": self.active,
            "pending": self.pending,
            "connections": self.connections,
            "connect_failures": sum(host.connect_failures for host in self.hosts),
            "limits": dict(self.limits),
            "counters": None if self.counters is None else dict(self.counters),
            "troubles": self.troubles,
            "hosts": [
                {
                    "address": host.address,
                    "pod": host.pod or None,
                    "healthy": not host.unhealthy,
                    "ejected": host.ejected,
                    "requests": host.requests,
                    "errors": host.errors,
                }
                for host in self.hosts
            ],
        }


@dataclass(frozen=True)
class Report:
    """What one proxy counts, or why it could not be asked."""

    proxy: Proxy
    upstreams: tuple[Upstream, ...] = ()
    error: MeshwrightError | None = None
    counts: bool = False
    """Whether it keeps the counters that only some proxies keep."""


def look(session: Session, wanted: Sequence[Proxy], addresses: Mapping[str, str]) -> list[Report]:
    """What the Envoys of `wanted` count, in this order. `addresses` are the names of pods by their IP address.

    One that could not be asked has its error in the report. Raises what the session raises as a whole.
    """
    clusters = envoys.ask_all(session, wanted, "/clusters?format=json")
    counters = envoys.ask_all(session, wanted, f"/stats?format=json&filter={quote(_FILTER)}")
    return [
        _report(proxy, page, stats, addresses) for proxy, page, stats in zip(wanted, clusters, counters, strict=True)
    ]


def _report(
    proxy: Proxy, page: bytes | MeshwrightError, stats: bytes | MeshwrightError, addresses: Mapping[str, str]
) -> Report:
    if isinstance(page, MeshwrightError):
        return Report(proxy, error=page)
    if isinstance(stats, MeshwrightError):
        return Report(proxy, error=stats)
    try:
        counted = _counted(json.loads(stats))
        found = of_proxy(json.loads(page), counted, addresses)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = Unverified(f"the Envoy of {proxy} answers /clusters in a form that is not known")
        return Report(proxy, error=said)
    return Report(proxy, tuple(found), counts=bool(counted))


def _counted(page: Object) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in page.get("stats") or ():
        match = _NAME.match(str(one.get("name", "")))
        if match:
            found.setdefault(match["cluster"], {})[match["counter"]] = int(one.get("value", 0))
    return found


def of_proxy(page: Object, counted: Mapping[str, Mapping[str, int]], addresses: Mapping[str, str]) -> list[Upstream]:
    """The upstreams on Envoy's page /clusters?format=json (message envoy.admin.v3.Clusters), by name."""
    found = []
    for cluster in page.get("cluster_statuses") or ():
        name = str(cluster["name"])
        if not name.startswith("outbound"):
            continue
        statuses = cluster.get("host_statuses") or ()
        hosts = tuple(_host(status, addresses) for status in statuses)
        pending = sum(_stats(status).get("rq_pending_active", 0) for status in statuses)
        found.append(Upstream(_title(name), hosts, _limits(cluster), pending, counted.get(name)))
    return sorted(found, key=lambda upstream: upstream.name)


def _title(name: str) -> str:
    """`outbound|9080|v1|reviews.bookinfo.svc.cluster.local` as reviews.bookinfo:9080 v1."""
    _, port, subset, host = [*name.replace("_.", "|").split("|"), "", "", "", ""][:4]
    return f"{host.removesuffix('.svc.cluster.local').strip('_')}:{port}{' ' + subset if subset else ''}"


def _stats(status: Object) -> dict[str, int]:
    return {one["name"]: int(one.get("value", 0)) for one in status.get("stats") or ()}


def _host(status: Object, addresses: Mapping[str, str]) -> Host:
    where = status["address"].get("socket_address") or {}
    address = str(where.get("address", "")) or str(status["address"])
    stats, health = _stats(status), status.get("health_status") or {}
    unhealthy = [name for name, value in health.items() if value is True]
    if health.get("eds_health_status", "HEALTHY") not in ("HEALTHY", "UNKNOWN"):
        unhealthy.append(str(health["eds_health_status"]).lower())
    return Host(
        f"{address}:{where.get('port_value', '')}".rstrip(":"),
        addresses.get(address, ""),
        tuple(unhealthy),
        stats.get("rq_total", 0),
        stats.get("rq_error", 0),
        stats.get("rq_timeout", 0),
        stats.get("rq_active", 0),
        stats.get("cx_active", 0),
        stats.get("cx_connect_fail", 0),
    )


def _limits(cluster: Object) -> dict[str, int]:
    """The limits that are set at the ordinary priority. Istio sets the others to the largest number there is."""
    thresholds = (cluster.get("circuit_breakers") or {}).get("thresholds") or ()
    ordinary: Object = next((one for one in thresholds if one.get("priority", "DEFAULT") == "DEFAULT"), {})
    names = {
        "connections": "max_connections",
        "pending": "max_pending_requests",
        "requests": "max_requests",
        "retries": "max_retries",
    }
    return {said: ordinary[key] for said, key in names.items() if ordinary.get(key, _NO_LIMIT) != _NO_LIMIT}
