"""What pods lack so that a rolling update of theirs goes unnoticed. That has nothing to do with the root: any update of
such a workload may lose requests.

A pod that ends is told so at the moment at which it is taken out of the endpoints, and its clients hear of that later:
without a hook before its end, or an application that goes on for some seconds, requests find nobody there. One that
begins gets requests as soon as it counts as ready: without a readiness probe that is before its application listens
(Kubernetes, Pod Lifecycle). A proxy beside it, told to end, drains for terminationDrainDuration, 5 s unless it is set
(istio.io/istio, pkg/istio-agent); as a native sidecar it ends after the application.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from meshwright import pods
from meshwright.certs.mesh import Mesh, setting, true
from meshwright.certs.workloads import Workload
from meshwright.wording import some

__all__ = ["lacking", "sentences"]

Object = dict[str, Any]

_NO_PROBE = "no readiness probe, so new pods get requests before they listen"
_NO_HOOK = "no preStop hook, so pods end before everybody has heard of it"
_SHORT = "their proxies end 5 s after they are told to, whatever is under way (terminationDrainDuration)"

_DRAIN, _EXIT = "terminationDrainDuration", "EXIT_ON_ZERO_ACTIVE_CONNECTIONS"
_OWN_CONFIG = "proxy.istio.io/config"


def lacking(workload: Workload, pod: Object | None) -> list[str]:
    """What its pods lack, in words: the application by its template, the proxy by `pod`, one of them."""
    spec = workload.template.get("spec") or {}
    containers = [each for each in spec.get("containers") or [] if each["name"] != pods.PROXY]
    found = []
    if containers and not workload.gateway:
        if not any("readinessProbe" in each for each in containers):
            found.append(_NO_PROBE)
        if not any("preStop" in (each.get("lifecycle") or {}) for each in containers):
            found.append(_NO_HOOK)
    if pod is not None and not _drains(pod):
        found.append(_SHORT)
    return found


def _drains(pod: Object) -> bool:
    """Whether its proxy waits for what is under way, or for as long as somebody chose."""
    if not any(each["name"] == pods.PROXY for each in pod["spec"]["containers"]):
        return True  # a native sidecar ends last
    own = str((pod["metadata"].get("annotations") or {}).get(_OWN_CONFIG, ""))
    given = own + setting(pod, "PROXY_CONFIG", pods.PROXY)
    return _DRAIN in given or true(setting(pod, _EXIT, pods.PROXY))


def sentences(workloads: Sequence[Workload], mesh: Mesh) -> Iterator[str]:
    """One for each thing that some of them lack, with who."""
    known = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in mesh.pods}
    found: dict[str, list[str]] = {}
    for each in workloads:
        pod = next((known[each.namespace, name] for name in each.pods if (each.namespace, name) in known), None)
        for what in lacking(each, pod):
            found.setdefault(what, []).append(str(each))
    for what, names in found.items():
        yield f"{some(names, 3)}: {what}; any rolling update of them may lose requests"
