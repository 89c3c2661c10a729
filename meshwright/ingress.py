"""The address at which the ingress gateway answers, and the shell lines that lead there."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from meshwright import cluster
from meshwright.cluster import node_ready
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.target import Target

__all__ = ["Address", "How", "address", "exports", "find"]

Object = dict[str, Any]

_PLAIN, _SECURE = ("http2", "http"), ("https",)
_PAUSE = 1.0


class How(StrEnum):
    """By which way an address was found."""

    PUBLISHED = "published port"
    LOAD_BALANCER_IP = "load balancer ip"
    LOAD_BALANCER_NAME = "load balancer hostname"
    EXTERNAL_IP = "external ip"
    NODE_PORT = "node port"


@dataclass(frozen=True)
class Address:
    """Where the ingress gateway answers. `host` is a name or an address (IPv6 without brackets), as seen from the
    environment's host `on`. `secure_port` is None where the gateway has no port for https."""

    host: str
    port: int
    secure_port: int | None
    how: How
    on: str = "@local"

    @property
    def bracketed(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        return f"{self.bracketed}:{self.port}"

    @property
    def url(self) -> str:
        """http://HOST:PORT, without a final slash."""
        return f"http://{self.authority}"

    def as_json(self) -> dict[str, Any]:
        """The address as one JSON value of the `--json` output."""
        return {
            "host": self.host,
            "port": self.port,
            "secure_port": self.secure_port,
            "url": self.url,
            "how": self.how.value,
            "on": self.on,
        }


def address(target: Target, env: Environment, *, wait: bool = True) -> Address:
    """Where the ingress gateway of `env` answers.

    On k3d with published ports that is 127.0.0.1 of the host, where k3d binds them. Else `find` says it.

    Raises MeshwrightError: no cluster that answers, and what `find` raises.
    """
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError(cluster.no_session(target, env), hint=f"`meshwright apply {env.name}` brings it up")
    return _published(target, env, session) or find(target, env, session, wait=wait)


def find(target: Target, env: Environment, session: Session, *, wait: bool = True) -> Address:
    """The address by what the Service of the gateway says: its load balancer's, else a node's with its node port.

    A load balancer is waited for until `ingress.deadline` seconds have passed (not without `wait`). An address of
    a node is taken from a Ready node, an ExternalIP before an InternalIP; with externalTrafficPolicy Local from one
    that has a ready gateway pod, because the others drop what comes to the node port.

    Raises MeshwrightError: no such Service, no port for http, or no way from outside.
    """
    deadline = time.monotonic() + (env.ingress.deadline if wait else 0)
    told = False
    while True:
        service = _service(session, env)
        found = _external(service, target.name)
        if found is not None:
            return found
        if service["spec"].get("type") != "LoadBalancer" or time.monotonic() >= deadline:
            return _by_node(session, service, target.name)
        if not told:
            target.say(f"waiting up to {env.ingress.deadline} s for the load balancer of {_title(service)}")
            told = True
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))


def exports(found: Address, *, kubeconfig: str = "", path: Sequence[str] = ()) -> list[str]:
    """Lines for a shell's `eval`: where the gateway answers, the environment's own kubeconfig, and its tools on PATH.

    `kubeconfig` is a file and `path` are folders of this machine; what is empty is left out.
    """
    lines = [_export("INGRESS_HOST", found.host), _export("INGRESS_PORT", str(found.port))]
    if found.secure_port is None:
        # What a shell has from another environment would lead there.
        lines.append("unset SECURE_INGRESS_PORT")
    else:
        lines.append(_export("SECURE_INGRESS_PORT", str(found.secure_port)))
    lines.append(_export("GATEWAY_URL", found.authority))
    if kubeconfig:
        lines.append(_export("KUBECONFIG", kubeconfig))
    if path:
        lines.append(f'export PATH={shlex.quote(":".join(path))}:"$PATH"')
    return lines


def _export(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _title(service: Object) -> str:
    return f"Service {service['metadata']['namespace']}/{service['metadata']['name']}"


def _service(session: Session, env: Environment) -> Object:
    name, namespace = env.ingress.service, env.ingress.namespace
    service = session.get("v1", "Service", name, namespace)
    if service is None:
        raise MeshwrightError(
            f"there is no Service {namespace}/{name}, which `ingress` of {env.name} names",
            hint=f"`meshwright plan {env.name}` shows whether the gateway is still to be installed",
        )
    return service


def _port(service: Object, names: tuple[str, ...]) -> Object | None:
    ports = service["spec"].get("ports") or []
    return next((port for name in names for port in ports if port.get("name") == name), None)


def _plain(service: Object) -> Object:
    port = _port(service, _PLAIN)
    if port is None:
        there = ", ".join(str(p.get("name") or p["port"]) for p in service["spec"].get("ports") or []) or "none"
        raise MeshwrightError(
            f"{_title(service)} has no port named {' or '.join(_PLAIN)} (its ports: {there})",
            hint="The gateway's ports are in `ingress.ports` of the environment",
        )
    return port


def _published(target: Target, env: Environment, session: Session) -> Address | None:
    if not isinstance(env.cluster, K3dCluster) or not any(port.publish for port in env.ingress.ports):
        return None
    seen = cluster.view(target, env).seen
    service = _service(session, env)
    # The Service's own node port is asked for, not the one that it should have: where they differ, what k3d publishes
    # leads nowhere.
    port = _plain(service).get("nodePort")
    published = seen.port(port) if seen and port else None
    if published is None:
        return None
    secure = (_port(service, _SECURE) or {}).get("nodePort")
    return Address(
        "127.0.0.1", published, seen.port(secure) if seen and secure else None, How.PUBLISHED, on=target.name
    )


def _external(service: Object, on: str) -> Address | None:
    """The address outside the cluster that the Service itself has: what `kubectl get` shows as EXTERNAL-IP."""
    secure = _port(service, _SECURE)
    for how, host in _hosts(service):
        return Address(host, _plain(service)["port"], secure["port"] if secure else None, how, on)
    return None


def _hosts(service: Object) -> Iterator[tuple[How, str]]:
    balanced = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    yield from ((How.LOAD_BALANCER_IP, entry["ip"]) for entry in balanced if entry.get("ip"))
    yield from ((How.LOAD_BALANCER_NAME, entry["hostname"]) for entry in balanced if entry.get("hostname"))
    yield from ((How.EXTERNAL_IP, address) for address in service["spec"].get("externalIPs") or [])


def _by_node(session: Session, service: Object, on: str) -> Address:
    port, secure = _plain(service), _port(service, _SECURE)
    if not port.get("nodePort"):
        raise MeshwrightError(
            f"{_title(service)} is of type {service['spec'].get('type', 'ClusterIP')} and has neither an external "
            "address nor a node port: nothing outside the cluster reaches it",
            hint="Make it a LoadBalancer or NodePort Service",
        )
    host = _node(session, service)
    return Address(host, port["nodePort"], secure.get("nodePort") if secure else None, How.NODE_PORT, on)


def _node(session: Session, service: Object) -> str:
    nodes = [node for node in session.list("v1", "Node") if node_ready(node)]
    nodes.sort(key=lambda node: str(node["metadata"]["name"]))
    which = "Ready node"
    if service["spec"].get("externalTrafficPolicy") == "Local":
        having = _nodes_with_endpoints(session, service)
        nodes = [node for node in nodes if node["metadata"]["name"] in having]
        which = "Ready node with a ready gateway pod (externalTrafficPolicy is Local)"
    for kind in ("ExternalIP", "InternalIP"):
        for node in nodes:
            for entry in node.get("status", {}).get("addresses") or []:
                if entry["type"] == kind:
                    return str(entry["address"])
    what = "no address" if nodes else f"no {which}"
    raise MeshwrightError(
        f"{_title(service)} has no external address, and for its node port there is {what}",
        hint="`kubectl get nodes -o wide` shows the nodes and their addresses",
    )


def _nodes_with_endpoints(session: Session, service: Object) -> set[str]:
    """The nodes with a ready pod behind the Service: by its EndpointSlices, which kube-proxy itself goes by."""
    metadata = service["metadata"]
    slices = session.list(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        metadata["namespace"],
        labels=f"kubernetes.io/service-name={metadata['name']}",
    )
    return {
        str(endpoint.get("nodeName"))
        for found in slices
        for endpoint in found.get("endpoints") or []
        # An absent condition counts as true (discovery.k8s.io/v1, EndpointConditions).
        if (endpoint.get("conditions") or {}).get("ready") is not False
    }
