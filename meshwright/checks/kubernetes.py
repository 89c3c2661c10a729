"""The cluster: the API server, whose it is, its nodes, its version."""

from __future__ import annotations

import re

from meshwright import cluster, identity
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import counted, listed, session
from meshwright.environment import Environment
from meshwright.environment.model import ExistingCluster
from meshwright.target import Target

__all__ = ["CHECKS"]

_MINOR = re.compile(r"v?\d+\.(\d+)")
# kubectl is supported within one minor version of the API server (kubernetes.io/releases/version-skew-policy).
_SKEW = 1


def _ready(target: Target, env: Environment) -> str:
    live = session(target, env)
    if not live.ready():
        raise Failed("/readyz of the API server says that it is not")
    return live.version()


def _identity(target: Target, env: Environment) -> str:
    live = session(target, env)
    identity.verify(target, env, live)
    if isinstance(env.cluster, ExistingCluster) and env.cluster.uid is None and env.cluster.ca_sha256 is None:
        raise NotVerified(f"neither cluster.uid nor cluster.ca_sha256 is in the values of {env.name}")
    return f"uid {live.identity().uid}"


def _nodes(target: Target, env: Environment) -> str:
    nodes = session(target, env).list("v1", "Node")
    if not nodes:
        raise Failed("the cluster has no nodes")
    waiting = [node["metadata"]["name"] for node in nodes if not cluster.node_ready(node)]
    if waiting:
        raise Failed(f"{len(waiting)} of {counted(len(nodes), 'node')} not Ready: {listed(waiting)}")
    return counted(len(nodes), "node")


def _skew(target: Target, env: Environment) -> str:
    server = session(target, env).version()
    versions = {"the API server": _MINOR.match(server), "kubectl": _MINOR.match(env.tools.kubectl)}
    minors = [int(found[1]) for found in versions.values() if found]
    if len(minors) < len(versions):
        raise NotVerified(f"{server} or {env.tools.kubectl} is not a version of Kubernetes")
    told = f"the API server is {server}, kubectl {env.tools.kubectl}"
    if abs(minors[0] - minors[1]) > _SKEW:
        raise Failed(told)
    return told


CHECKS = (
    Check(
        group="cluster",
        claim="the API server is ready",
        find=_ready,
        anchor="api-server-ready",
        hint="`meshwright apply {env.name} cluster` starts a k3d cluster that is stopped",
        retry=10,
    ),
    Check(
        group="cluster",
        claim="the cluster is the one that the environment means",
        find=_identity,
        anchor="cluster-identity",
        hint="`meshwright env identity {env.name}` prints what answers; write that down if it is the right one",
        needs=("api-server-ready",),
    ),
    Check(
        group="cluster",
        claim="every node is Ready",
        find=_nodes,
        anchor="nodes-ready",
        hint="`kubectl describe node NAME` says why",
        retry=10,
        needs=("api-server-ready",),
    ),
    Check(
        group="cluster",
        claim="kubectl is within one minor version of the API server",
        find=_skew,
        anchor="kubectl-skew",
        hint="Set tools.kubectl to a version near the API server's",
        fatal=False,
        needs=("api-server-ready",),
    ),
)
