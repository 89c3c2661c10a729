"""k3d: the config file of a cluster, and what k3d says about the clusters it has.

Field names of the config file are those of k3d's schema `k3d.io/v1alpha5`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshwright import template
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.errors import MeshwrightError
from meshwright.plan import Field
from meshwright.project import Project
from meshwright.target import Target

__all__ = ["LABEL", "Node", "Seen", "config_file", "delete", "differences", "fixed", "observe"]

LABEL = "k3d-meshwright.config"
"""Label of the node containers: what the cluster was created from, as JSON. k3d keeps no such record itself. It lists
only labels whose names begin with "k3d", and keeps "k3d." for its own."""


@dataclass(frozen=True)
class Node:
    """One node container."""

    name: str
    role: str
    running: bool
    ports: Mapping[str, int]
    """Published ports: container port ("30080") to port on the host."""


@dataclass(frozen=True)
class Seen:
    """A cluster that k3d has. `config` is what `fixed` gave when Meshwright created it, None for somebody else's."""

    name: str
    nodes: tuple[Node, ...]
    config: dict[str, Any] | None

    @property
    def running(self) -> bool:
        """True when every node's container runs."""
        return bool(self.nodes) and all(node.running for node in self.nodes)

    def port(self, node_port: int) -> int | None:
        """The port on the host at which a node port is published."""
        for node in self.nodes:
            if str(node_port) in node.ports:
                return node.ports[str(node_port)]
        return None


def fixed(cluster: K3dCluster, env: Environment) -> dict[str, Any]:
    """The part of the values that k3d cannot change after creation; flat, in the names of the environment."""
    ports = {f"publish.{port.name}": [port.node_port, port.publish] for port in env.ingress.ports if port.publish}
    return {
        "image": cluster.image,
        "servers": cluster.servers,
        "agents": cluster.agents,
        "loadbalancer": cluster.loadbalancer,
        "api_port": cluster.api_port,
        "volumes": list(cluster.volumes),
        "disable": list(cluster.disable),
        "k3s_args": list(cluster.k3s_args),
        "registries": dict(cluster.registries),
        **ports,
    }


def differences(wanted: Mapping[str, Any], made: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields in which a cluster was made otherwise than it is wanted now, sorted by name."""
    keys = sorted(wanted.keys() | made.keys())
    return tuple(Field(key, made.get(key), wanted.get(key)) for key in keys if made.get(key) != wanted.get(key))


def config_file(project: Project, name: str, env: Environment, root: str, ports: Mapping[str, int]) -> str:
    """The text of k3d's config file, from templates/k3d.yaml.j2.

    `root` is the project folder on the host, which relative volume sources are relative to. `ports` has a number for
    `api_port` and for each published gateway port by name.
    """
    cluster = env.cluster
    assert isinstance(cluster, K3dCluster)
    config = json.dumps(fixed(cluster, env), sort_keys=True, separators=(",", ":"))
    return template.render(
        project,
        "k3d.yaml.j2",
        name=name,
        cluster=cluster,
        ports=ports,
        published=[port for port in env.ingress.ports if port.publish],
        volumes=[_volume(volume, root) for volume in cluster.volumes],
        arguments=[*(f"--disable={part}" for part in cluster.disable), *cluster.k3s_args],
        label=f"{LABEL}={config}",
    )


def _volume(text: str, root: str) -> dict[str, Any]:
    mount, _, filters = text.partition("@")
    source, separator, rest = mount.partition(":")
    if separator and not source.startswith("/"):
        source = f"{root}/{source}"
    return {"volume": f"{source}{separator}{rest}", "nodeFilters": filters.split(",") if filters else ["all"]}


def observe(target: Target, k3d: str, environ: Mapping[str, str], name: str) -> Seen | None:
    """What k3d knows about the cluster `name`; None: it has no such cluster.

    `k3d` is the path of the tool, `environ` leads it to its engine. Raises MeshwrightError.
    """
    done = target.run([k3d, "cluster", "list", "-o", "json"], env=environ, timeout=30)
    try:
        listed = json.loads(done.stdout)
    except ValueError:
        raise MeshwrightError(
            f"k3d cluster list printed no JSON: {done.text[:80]!r}", hint="Run it by hand; the engine may be ill"
        ) from None
    for cluster in listed:
        if cluster["name"] == name:
            return _seen(cluster)
    return None


def delete(target: Target, k3d: str, environ: Mapping[str, str], name: str, kubeconfig: str) -> None:
    """Deletes the cluster `name` with everything in it.

    `kubeconfig` is the environment's own file. k3d takes the deleted cluster out of the kubeconfig that it takes for
    the user's, and switches the current context there (pkg/client/kubeconfig.go of k3d 5.9): that one must be ours.
    """
    target.run([k3d, "cluster", "delete", name], env={**environ, "KUBECONFIG": kubeconfig}, timeout=180)


def _seen(cluster: dict[str, Any]) -> Seen:
    nodes = []
    config = None
    for node in cluster["nodes"]:
        labels = node.get("runtimeLabels") or {}
        if LABEL in labels and config is None:
            config = json.loads(labels[LABEL])
        ports = {
            container.partition("/")[0]: int(bindings[0]["HostPort"])
            for container, bindings in (node.get("portMappings") or {}).items()
            if bindings and bindings[0].get("HostPort")
        }
        nodes.append(Node(node["name"], node["role"], bool((node.get("State") or {}).get("Running")), ports))
    return Seen(cluster["name"], tuple(nodes), config)
