"""Switching live changes of the root on: what istiod and the mesh config need, and the one restart that proxies take.

A proxy gets its settings when its pod is created. So enabling them is a plan of its own, and the change of the root
comes after it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from meshwright.certs import asked, modes, planning, workloads
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import Mesh, true
from meshwright.certs.modes import MULTIROOT, XDS_AGENT
from meshwright.certs.restarting import Restarter
from meshwright.certs.trust import Report, verify
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.envoys import Proxy
from meshwright.errors import Unverified
from meshwright.kube import Session
from meshwright.plan import Action, Change, Plan, digest
from meshwright.target import Target

__all__ = ["ENABLE", "mark", "missing", "opposed", "plan", "restart"]

ENABLE = "enable"
"""The payload of a plan that enables live changes."""

Object = dict[str, Any]

_OWN_CONFIG = "proxy.istio.io/config"


def missing(mesh: Mesh, env: Environment) -> list[Finding]:
    """Which of the two settings the control plane does not have, and what to do about it."""
    config = mesh.config.get(mesh.plane.revision if mesh.plane else "default") or {}
    metadata = (config.get("defaultConfig") or {}).get("proxyMetadata") or {}
    found = []
    if not modes.on(mesh):
        said = ((env.istio.values.get("pilot") or {}).get("env") or {}).get(MULTIROOT)
        found.append(_setting(env, f"istiod lacks {MULTIROOT}", said, f'istio.values.pilot.env.{MULTIROOT}: "true"'))
    if not true(str(metadata.get(XDS_AGENT, ""))):
        said = ((env.istio.mesh_config.get("defaultConfig") or {}).get("proxyMetadata") or {}).get(XDS_AGENT)
        value = f'istio.meshConfig.defaultConfig.proxyMetadata.{XDS_AGENT}: "true"'
        found.append(_setting(env, f"the mesh config lacks {XDS_AGENT}", said, value))
    return found


def _setting(env: Environment, text: str, said: object, value: str) -> Finding:
    apply = f"`meshwright apply {env.name}`"
    hint = apply if true(str(said or "")) else f"Set {value} for {env.name}, then {apply}"
    return Finding(
        State.FAILED,
        "live change of roots",
        text,
        f"{hint}; the workloads then take one rolling restart, which this command plans. Or without it: "
        "--mode restart, --mode patient",
    )


def opposed(mesh: Mesh, proxies: Sequence[Proxy]) -> list[Finding]:
    """Those of them whose own annotation switches it off: a restart changes nothing there."""
    found = []
    for pod in modes.pods_of(mesh, proxies):
        own = str((pod["metadata"].get("annotations") or {}).get(_OWN_CONFIG, ""))
        if XDS_AGENT in own:
            found.append(
                Finding(
                    State.FAILED,
                    f"proxy {pod['metadata']['namespace']}/{pod['metadata']['name']}",
                    f"its annotation {_OWN_CONFIG} sets {XDS_AGENT} itself",
                    "Take that out of its pod template, or change the root with --mode restart or --mode patient",
                )
            )
    return found


def mark(live: Session, mesh: Mesh) -> str:
    """What names the mesh config that the restarted have seen: with another one, who lacks it is restarted again."""
    revision = mesh.plane.revision if mesh.plane else "default"
    name = "istio" if revision == "default" else f"istio-{revision}"
    found = live.get("v1", "ConfigMap", name, mesh.namespace)
    return f"live-{found['metadata']['resourceVersion'] if found else 'mode'}"


def plan(name: str, live: Session, mesh: Mesh, report: Report) -> Plan:
    """What is restarted: what keeps the proxies that were started before both settings were there. Raises Forbidden,
    Unreachable."""
    done = mark(live, mesh)
    # Of those that a run before this one has restarted some pods may still be the old ones: they are waited for.
    whole = planning.kept(mesh, modes.slow(mesh, report.waived), workloads.read(live))
    held = [each for each in whole if each.restarted_for != done]
    first = Change(
        Action.CHANGE,
        "Mesh",
        mesh.namespace,
        why=f"enabling live changes of the root costs ONE rolling restart of {len(held)} workloads; the change of the "
        "root itself comes after it: run this again then",
    )
    changes = [first, *(planning.restart(each, ["once"]) for each in held)] if held else []
    under_way = [f"the rolling update of {each} is under way" for each in whole if each not in held]
    without = "or without it: --mode restart (in every phase), --mode patient (no restarts, and half-lives)"
    notes = [*under_way, *planning.costs(held, mesh), without]
    wanted, checked = digest([name, ENABLE]), len(report.findings)
    found = Plan(name, wanted, tuple(changes), checked=checked, notes=tuple(notes), payload=ENABLE)
    return replace(found, unfinished=bool(under_way))


def restart(target: Target, env: Environment, live: Session, waived: Collection[str]) -> None:
    """Restarts who was started without the settings, without `waived`. Raises Unverified: some lack them still."""
    mesh = verify(live, env, asked.now()).seen.mesh
    held = planning.kept(mesh, modes.slow(mesh, waived), workloads.read(live))
    Restarter(live, env.istio.timeout, target.say).restart(held, mark(live, mesh))
    left = modes.slow(verify(live, env, asked.now()).seen.mesh, waived)
    if left:
        raise Unverified(
            f"{len(left)} proxies still lack {modes.XDS_AGENT}, first {left[0]}",
            hint="Restart what keeps them, or change the root with --mode restart",
        )
    target.say("every proxy takes new roots over while it runs: now the root can be changed, by running this again")
