"""The istiods of a mesh, and asking each of them what it knows: its objects, its proxies, what it made for each.

Asked by port-forward to the port of the debug pages; through the API server's proxy they are refused (DESIGN 4). Every
replica has its own answers: a proxy is connected to one of them, and each reads the objects for itself. The pages are
those of pilot/pkg/xds/debug.go in istio/istio, the counters those of pilot/pkg/xds/monitoring.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from meshwright import pods
from meshwright.environment import Environment
from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import Session, portforward

__all__ = [
    "MONITORING",
    "Counters",
    "Istiod",
    "Row",
    "State",
    "ask",
    "configuration",
    "connected",
    "counters",
    "generated",
    "kinds_read",
    "latest",
    "number",
    "ready",
    "root_namespace",
]

Object = dict[str, Any]

MONITORING = 15014
"""The port at which istiod answers questions about itself, in plain HTTP."""

# What istiod waits for after a change before it pushes (PILOT_DEBOUNCE_AFTER in pilot/pkg/features/tuning.go).
_DEBOUNCE = "100ms"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MARK = re.compile(r"goo\.gle/debug\w+\s*:?")
_COUNTER = re.compile(rb"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.M)


@dataclass(frozen=True, order=True)
class Istiod:
    """One ready replica. `debounce` is how many seconds without a change it waits for before it pushes."""

    namespace: str
    pod: str
    uid: str
    revision: str
    debounce: float = field(default=0.1, compare=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True)
class State:
    """How far a proxy is with one type of resource: the nonces of what it was sent last and of what it acknowledged
    last, and why it refused what it was sent ("" when it did not). `at` is when it was sent, as istiod says it."""

    sent: str
    acked: str
    error: str = ""
    at: str = ""


@dataclass(frozen=True)
class Row:
    """A proxy as the istiod knows it that it is connected to. `proxy` is POD.NAMESPACE, `role` sidecar, router,
    waypoint or ztunnel; `states` are by type of resource ("Listener")."""

    proxy: str
    istiod: Istiod
    role: str
    version: str
    states: dict[str, State]

    @property
    def refused(self) -> dict[str, str]:
        """Why it refused what it was sent last, by type of resource."""
        return {kind: state.error for kind, state in sorted(self.states.items()) if state.error}

    @property
    def behind(self) -> str:
        """Why the proxy has not the configuration that it was sent last, "" when it has."""
        for kind, why in self.refused.items():
            return f"it refused {kind}: {why}"
        for kind, state in sorted(self.states.items()):
            if state.sent and state.sent != state.acked:
                return f"it has not taken the last {kind} yet"
        return ""


@dataclass(frozen=True)
class Counters:
    """What an istiod has counted since it started: changes that it noticed, pushes that it has begun for all proxies
    (`pushes` is the number of the last one), those of them after a quiet time, how often a proxy's turn in a push came,
    and the mean time to prepare a push."""

    noticed: int
    pushes: int
    debounced: int
    turns: int
    preparing: float
    version: str


def ready(session: Session, env: Environment) -> list[Istiod]:
    """The ready istiods of all revisions in the environment's Istio namespace, sorted; may be empty."""
    found = session.list("v1", "Pod", env.istio.namespace, labels="app=istiod")
    return sorted(_istiod(pod) for pod in found if pods.ready(pod))


def _istiod(pod: Object) -> Istiod:
    metadata = pod["metadata"]
    given = {each["name"]: each.get("value", "") for c in pod["spec"]["containers"] for each in c.get("env") or []}
    return Istiod(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        pods.revision(pod),
        _seconds(given.get("PILOT_DEBOUNCE_AFTER") or _DEBOUNCE),
    )


def _seconds(duration: str) -> float:
    """Seconds of a duration as Go writes it ("1m30s", "100ms")."""
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", duration))


def ask(session: Session, istiod: Istiod, path: str, timeout: float = 10.0) -> bytes:
    """The answer of an istiod to a GET of `path`.

    Raises Forbidden or Unreachable for another status than 200, and what `portforward.forward` does.
    """
    status, body = portforward.http_get(session, istiod.namespace, istiod.pod, MONITORING, path, timeout)
    if status != 200:
        wrong = Forbidden if status in (401, 403) else Unreachable
        raise wrong(f"{istiod} answers {status} to {path.partition('?')[0]}")
    return body


def _json(session: Session, istiod: Istiod, path: str, timeout: float, what: type, words: str) -> Any:
    body = ask(session, istiod, path, timeout)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, what):
        raise Unreachable(f"{istiod} answers {path.partition('?')[0]} not with {words}")
    return answer


def connected(session: Session, istiod: Istiod, timeout: float = 10.0) -> list[Row]:
    """The proxies that are connected to an istiod (SyncStatus in pilot/pkg/xds)."""
    rows = _json(session, istiod, "/debug/syncz", timeout, list, "a list of proxies")
    return [
        Row(row.get("proxy", ""), istiod, row.get("proxy_type", ""), row.get("istio_version", ""), _states(row))
        for row in rows
    ]


def _states(row: Object) -> dict[str, State]:
    if "resources" in row:
        return {
            kind.rpartition(".")[2]: State(
                each.get("sent", ""), each.get("acked", ""), _error(each.get("lastError", "")), each.get("sentTime", "")
            )
            for kind, each in (row["resources"] or {}).items()
        }
    # An older istiod has no table of resources, only these pairs.
    names = [key.removesuffix("_sent") for key in row if key.endswith("_sent")]
    return {name: State(row[f"{name}_sent"], row.get(f"{name}_acked", "")) for name in names}


def _error(text: str) -> str:
    """What an Envoy said, on one line, without the marks that protobuf puts in at random."""
    return " ".join(_MARK.sub("", text).split())


def configuration(session: Session, istiod: Istiod, timeout: float = 10.0) -> list[Object]:
    """The objects of Istio's kinds that an istiod has read, with their resourceVersion."""
    return list(_json(session, istiod, "/debug/configz", timeout, list, "a list of objects"))


def kinds_read(session: Session, istiod: Istiod, timeout: float = 10.0) -> set[tuple[str, str]]:
    """The kinds, as (group, kind), that an istiod reads."""
    found = _json(session, istiod, "/debug/resourcesz", timeout, list, "a list of kinds")
    return {(each.get("group", ""), each.get("kind", "")) for each in found}


def root_namespace(session: Session, istiod: Istiod, timeout: float = 10.0) -> str:
    """The namespace whose objects are for the whole mesh."""
    mesh = _json(session, istiod, "/debug/mesh", timeout, dict, "its mesh configuration")
    return str(mesh.get("rootNamespace") or istiod.namespace)


def generated(session: Session, istiod: Istiod, proxy: str, timeout: float = 10.0) -> bytes:
    """What an istiod makes for a proxy (POD.NAMESPACE) from its state at the last push, as Envoy's config dump."""
    return ask(session, istiod, f"/debug/config_dump?proxyID={quote(proxy)}", timeout)


def counters(session: Session, istiod: Istiod, timeout: float = 10.0) -> Counters:
    """What an istiod has counted. Raises Unreachable too when it does not show what is needed."""
    text = ask(session, istiod, "/metrics", timeout)
    found = {(name.decode(), labels.decode()): float(value) for name, labels, value in _COUNTER.findall(text)}
    noticed = found.get(("pilot_inbound_updates", 'type="config"'), 0)
    # Neither is shown before the first push; then none has been begun.
    pushes = found.get(("pilot_pushcontext_init_seconds_count", ""), 0)
    spent = found.get(("pilot_pushcontext_init_seconds_sum", ""), 0)
    version = next((labels for name, labels in found if name == "pilot_info"), "")
    if not version:
        raise Unreachable(f"{istiod} does not show its counters")
    return Counters(
        int(noticed),
        int(pushes),
        int(found.get(("pilot_debounce_time_count", ""), 0)),
        int(found.get(("pilot_proxy_queue_time_count", ""), 0)),
        spent / pushes if pushes else 0.0,
        version.partition('"')[2].partition('"')[0],
    )


def number(version: str) -> int:
    """The number of the push in a version such as 2026-11-22T19:13:05Z/17; 0 where there is none (NextVersion in
    pilot/pkg/xds/discovery.go)."""
    digits = re.match(r"\d+", version.rpartition("/")[2])
    return int(digits[0]) if digits else 0


def latest(rows: Iterable[Row]) -> dict[str, Row]:
    """Each proxy's row, the newest where it has just gone from one istiod to another."""
    found: dict[str, Row] = {}
    for row in rows:
        before = found.get(row.proxy)
        if before is None or _newest(row) > _newest(before):
            found[row.proxy] = row
    return found


def _newest(row: Row) -> str:
    return max((state.at for state in row.states.values()), default="")
