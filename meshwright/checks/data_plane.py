"""The data plane: who has a proxy, and whether the proxies are ready and have taken their configuration."""

from __future__ import annotations

import json

from meshwright import pods
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import (
    MONITORING,
    Object,
    counted,
    has_istiod,
    injected,
    listed,
    ready_istiods,
    session,
)
from meshwright.environment import Environment
from meshwright.kube import Session, portforward
from meshwright.target import Target

__all__ = ["CHECKS"]


def _injected(target: Target, env: Environment) -> str:
    wanting = injected(session(target, env))
    if not wanting:
        raise NotVerified("no pod runs where istiod gives sidecars")
    without = [pods.name(pod) for pod in wanting if pods.proxy(pod) is None]
    if without:
        raise Failed(f"{len(without)} of {counted(len(wanting), 'pod')} without: {listed(without)}")
    return counted(len(wanting), "pod")


def _ready(target: Target, env: Environment) -> str:
    live = session(target, env)
    having = [pod for pod in live.list("v1", "Pod") if pods.proxy(pod) is not None and not pods.finished(pod)]
    if not having:
        raise Failed("there is no proxy in the cluster")
    waiting = [pods.name(pod) for pod in having if not pods.proxy_ready(pod)]
    if waiting:
        raise Failed(f"{len(waiting)} of {counted(len(having), 'proxy')} not ready: {listed(waiting)}")
    return counted(len(having), "proxy")


def _synced(target: Target, env: Environment) -> str:
    live = session(target, env)
    istiods = ready_istiods(live, env)
    having = [pod for pod in live.list("v1", "Pod") if pods.proxy(pod) is not None and pods.proxy_ready(pod)]
    if not having:
        raise Failed("there is no ready proxy in the cluster")
    connected = {row["proxy"]: row for rows in live.map(lambda pod: _connected(live, pod), istiods) for row in rows}
    # istiod calls a proxy NAME.NAMESPACE.
    wanted = [f"{pod['metadata']['name']}.{pod['metadata']['namespace']}" for pod in having if not pods.finished(pod)]
    away = [name for name in wanted if name not in connected]
    if away:
        raise Failed(f"{len(away)} of {counted(len(wanted), 'proxy')} not connected to any istiod: {listed(away)}")
    behind = {name: why for name in wanted if (why := _behind(connected[name]))}
    if behind:
        name, why = min(behind.items())
        raise Failed(f"{len(behind)} of {counted(len(wanted), 'proxy')} not in step, first {name}: {why}")
    return f"{counted(len(wanted), 'proxy')}, {counted(len(istiods), 'istiod')} asked"


def _connected(live: Session, pod: Object) -> list[Object]:
    """What one istiod knows about the proxies that are connected to it (SyncStatus in istio's pilot/pkg/xds)."""
    metadata = pod["metadata"]
    status, body = portforward.http_get(live, metadata["namespace"], metadata["name"], MONITORING, "/debug/syncz")
    try:
        rows = json.loads(body) if status == 200 else None
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise NotVerified(f"{pods.name(pod)} answers {status} to /debug/syncz, not with a list of proxies")
    return rows


def _behind(row: Object) -> str:
    """Why a proxy has not the configuration that it was sent last, "" when it has."""
    for kind, state in sorted((row.get("resources") or {}).items()):
        name = kind.rpartition(".")[2]
        if state.get("lastError"):
            return f"it refused {name}: {state['lastError']}"
        if state.get("sent") and state.get("sent") != state.get("acked"):
            return f"it has not taken the last {name} yet"
    for key, sent in row.items():
        # An older istiod has no table of resources, only these pairs.
        if key.endswith("_sent") and sent and sent != row.get(f"{key[:-5]}_acked"):
            return f"it has not taken the last {key[:-5]} yet"
    return ""


CHECKS = (
    Check(
        group="data-plane",
        claim="every pod that should have a sidecar has one",
        find=_injected,
        anchor="sidecars-injected",
        hint="A pod gets its sidecar when it is created: `kubectl rollout restart` what keeps these pods",
        retry=10,
        needs=("api-server-ready",),
    ),
    Check(
        group="data-plane",
        claim="every proxy is ready",
        find=_ready,
        anchor="proxies-ready",
        hint="`kubectl logs POD -c istio-proxy` says what it waits for; most often that is istiod",
        retry=20,
        needs=("api-server-ready",),
    ),
    Check(
        group="data-plane",
        claim="every proxy has taken the last configuration that istiod sent it",
        find=_synced,
        anchor="proxies-synced",
        hint="`istioctl proxy-status` shows the state of each; the log of a proxy says why it refused something",
        retry=10,
        needs=("istiod-available", "proxies-ready"),
        applies=has_istiod,
    ),
)
