"""The proxies of a mesh, and asking their Envoys.

Asked by port-forward to the admin port, not by exec: eight at once, tens of milliseconds each, and no process in the
pod (DESIGN 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshwright import pods
from meshwright.errors import MeshwrightError, outcome
from meshwright.kube import Session, portforward

__all__ = ["ADMIN", "Proxy", "ask", "ask_all", "proxies", "proxy_of"]

ADMIN = 15000
"""The port of Envoy's admin interface."""

Object = dict[str, Any]


@dataclass(frozen=True, order=True)
class Proxy:
    """A pod's Envoy. `role` is sidecar, gateway or waypoint; `revision` that of the istiod that it asks ("default");
    `labels` are the pod's."""

    namespace: str
    pod: str
    uid: str
    role: str
    image: str
    native: bool
    revision: str
    node: str
    ready: bool
    labels: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"

    @property
    def id(self) -> str:
        """What istiod calls it: POD.NAMESPACE."""
        return f"{self.pod}.{self.namespace}"


def proxy_of(pod: Object) -> Proxy | None:
    """The Envoy in a pod; None where it has none."""
    container = pods.proxy(pod)
    if container is None:
        return None
    metadata, spec = pod["metadata"], pod["spec"]
    labels = metadata.get("labels") or {}
    return Proxy(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        _role(container, labels),
        container["image"],
        container not in spec["containers"],
        pods.revision(pod),
        spec.get("nodeName", ""),
        pods.proxy_ready(pod),
        labels,
    )


def _role(container: Object, labels: dict[str, str]) -> str:
    # The agent is started as `proxy sidecar`, `proxy router` or `proxy waypoint` (pilot/cmd/pilot-agent).
    said = next((word for word in container.get("args") or [] if word in ("sidecar", "router", "waypoint")), "")
    if said == "waypoint" or labels.get("gateway.istio.io/managed") == "istio.io-mesh-controller":
        return "waypoint"
    return "gateway" if said == "router" else "sidecar"


def proxies(session: Session) -> list[Proxy]:
    """The Envoys of all pods of the cluster that have not ended, sorted; from one LIST of pods."""
    found = (proxy_of(pod) for pod in session.list("v1", "Pod") if not pods.finished(pod))
    return sorted(proxy for proxy in found if proxy is not None)


def ask(session: Session, proxy: Proxy, path: str, timeout: float = 10.0) -> bytes:
    """The answer of a proxy's admin interface to a GET of `path` ("/config_dump?resource=...").

    Raises MeshwrightError (another status than 200), and what `portforward.forward` does.
    """
    status, body = portforward.http_get(session, proxy.namespace, proxy.pod, ADMIN, path, timeout)
    if status != 200:
        raise MeshwrightError(f"the Envoy of {proxy} answers {status} to {path}")
    return body


def ask_all(
    session: Session, wanted: Sequence[Proxy], path: str, timeout: float = 10.0
) -> list[bytes | MeshwrightError]:
    """The answers of several, at most eight asked at once, in the order of `wanted`; an error stands for the answer of
    one that gave none."""
    return session.map(lambda proxy: outcome(lambda: ask(session, proxy, path, timeout)), wanted)
