"""The ways in which proxies follow a change of the root, and who of them does so in each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

from meshwright import envoys
from meshwright.certs.machines import ENVOY
from meshwright.certs.mesh import Mesh, setting, true
from meshwright.certs.trust import Report
from meshwright.check import State
from meshwright.envoys import Proxy
from meshwright.errors import BadInput

__all__ = ["MULTIROOT", "XDS_AGENT", "Mode", "lagging", "mode_of", "on", "pods_of", "slow"]

Object = dict[str, Any]

MULTIROOT, XDS_AGENT = "ISTIO_MULTIROOT_MESH", "PROXY_CONFIG_XDS_AGENT"
"""The settings of istiod and of proxies with which proxies take new roots over while they run."""


class Mode(StrEnum):
    """How proxies follow that do not take new roots over while they run; those that do are left alone in every mode."""

    LIVE = "live"
    """There may be none."""
    RESTART = "restart"
    """Their workloads are restarted in each phase."""
    PATIENT = "patient"
    """Nobody is restarted: each phase waits for their next certificates."""


def mode_of(said: str, kept: str = "") -> Mode:
    """The mode that was asked for, else the one that the change under way has. Raises BadInput."""
    try:
        return Mode(said or kept or Mode.LIVE)
    except ValueError:
        names = ", ".join(Mode)
        raise BadInput(f"{said or kept!r} is no mode of changing a root", hint=f"Say one of: {names}") from None


def on(mesh: Mesh) -> bool:
    """Whether istiod tells its proxies of new roots."""
    return true(mesh.setting(MULTIROOT))


def slow(mesh: Mesh, waived: Collection[str] = ()) -> list[Proxy]:
    """The proxies that learn a new root only with their next certificate, sorted; without those that are waived."""
    told = on(mesh)
    found = []
    for pod in mesh.pods:
        proxy = envoys.proxy_of(pod)
        if (
            proxy is not None
            and str(proxy) not in waived
            and not (told and true(setting(pod, XDS_AGENT, "istio-proxy")))
        ):
            found.append(proxy)
    return sorted(found)


def pods_of(mesh: Mesh, wanted: Sequence[Proxy]) -> list[Object]:
    """The pods of these proxies."""
    names = {(proxy.namespace, proxy.pod) for proxy in wanted}
    return [pod for pod in mesh.pods if (pod["metadata"]["namespace"], pod["metadata"]["name"]) in names]


def lagging(report: Report) -> set[str]:
    """The proxies, as NAMESPACE/POD, and machines outside the cluster that have not followed."""
    behind = {each.subject for each in report.laggards if each.state is not State.WARNING}
    seen = [*report.seen.of("proxy"), *report.seen.of(ENVOY)]
    return {place.name for place in seen if place.label in behind}
