"""Deleting the environment's k3d cluster, and what Meshwright has written down about it."""

from __future__ import annotations

from meshwright import cluster, engine, identity, k3d, tools
from meshwright.cluster import State
from meshwright.environment import Environment
from meshwright.environment.model import ExistingCluster
from meshwright.errors import MeshwrightError, Refused
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["refuse", "remove"]


def refuse(env: Environment) -> None:
    """Raises Refused where the environment's cluster is not ours to delete."""
    if isinstance(env.cluster, ExistingCluster):
        raise Refused(
            f"the cluster of {env.name} is not Meshwright's: it is never destroyed",
            hint="Whoever keeps that cluster can delete it",
        )
    if env.protected:
        raise Refused(f"{env.name} is protected: it is never destroyed", hint=f"See {env.where('protected')}")


def _files(target: Target, env: Environment) -> list[str]:
    """The files there are of what is only true of this very cluster; the marker of half a cluster comes last."""
    files = [cluster.kubeconfig_path(target, env), identity.path(target, env), cluster.marker_path(target, env)]
    return [file for file in files if target.read(file) is not None]


def _plan(target: Target, env: Environment) -> Plan:
    refuse(env)
    name = cluster.name(target, env)
    now = cluster.view(target, env)
    files = _files(target, env)
    if now.state is State.UNKNOWN and files:
        # Whether the cluster is there is not known, and what is written down says that it may be.
        raise MeshwrightError(
            f"whether the cluster {name} is there cannot be seen: the step {now.after} has not run",
            hint=f"`meshwright apply {env.name} cluster` brings it up; then it can be destroyed",
        )
    changes = [Change(Action.DESTROY, "File", file) for file in files]
    if now.seen is not None:
        nodes = [node.name for node in now.seen.nodes if node.role in ("server", "agent")]
        why = f"with {len(nodes)} node{'' if len(nodes) == 1 else 's'} and everything in it"
        changes.insert(0, Change(Action.DESTROY, "Cluster", name, why=why))
    return Plan("destroy", digest(["absent", name]), tuple(changes), checked=len(changes))


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    refuse(env)
    if any(change.kind == "Cluster" for change in plan.changes):
        found = engine.find(target, env)
        if found is None:
            raise MeshwrightError("the container engine has ended meanwhile", hint="Run this again")
        name = cluster.name(target, env)
        # Killed from here on, what is left is half a cluster: the next run, of whatever, removes it.
        target.write(cluster.marker_path(target, env), b"")
        target.say(f"deleting cluster {name}")
        k3d.delete(target, tools.path(target, env, "k3d"), found.environ, name, cluster.kubeconfig_path(target, env))
    for file in _files(target, env):
        target.remove(file)
    target.shared.forget(("cluster", env.name))


remove = Step("destroy", _plan, _apply, cluster=False, destructive=True)
"""Deletes the environment's k3d cluster; nothing where it provably is not there."""
