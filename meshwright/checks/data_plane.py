"""The data plane: who has a proxy, and whether the proxies are ready and have taken their configuration."""

from __future__ import annotations

from functools import partial

from meshwright import envoys, istio, istiods, pods
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import (
    counted,
    injected,
    listed,
    ready_istiods,
    session,
)
from meshwright.environment import Environment
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
    running = ready_istiods(live, env, every=True)
    wanted = [proxy.id for proxy in envoys.proxies(live) if proxy.ready]
    if not wanted:
        raise Failed("there is no ready proxy in the cluster")
    rows = istiods.latest(row for found in live.map(partial(istiods.connected, live), running) for row in found)
    away = [name for name in wanted if name not in rows]
    if away:
        raise Failed(f"{len(away)} of {counted(len(wanted), 'proxy')} not connected to any istiod: {listed(away)}")
    behind = {name: why for name in wanted if (why := rows[name].behind)}
    if behind:
        name, why = min(behind.items())
        raise Failed(f"{len(behind)} of {counted(len(wanted), 'proxy')} not in step, first {name}: {why}")
    return f"{counted(len(wanted), 'proxy')}, {counted(len(running), 'istiod')} asked"


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
        applies=istio.has_istiod,
    ),
)
