"""The namespaces that an environment keeps, with the labels that say how their pods get a sidecar."""

from __future__ import annotations

from meshwright import cluster, objects
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.plan import Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["ensure", "wanted"]


def wanted(env: Environment) -> list[objects.Object]:
    """The Namespace objects."""
    made = []
    for name, namespace in env.namespaces.items():
        labels = dict(namespace.labels)
        if namespace.injection:
            labels["istio-injection"] = namespace.injection
        if namespace.revision:
            labels["istio.io/rev"] = namespace.revision
        metadata: objects.Object = {"name": name} | ({"labels": labels} if labels else {})
        made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return made


def _plan(target: Target, env: Environment) -> Plan:
    objs = wanted(env)
    session = cluster.session(target, env)
    if session is None:
        return Plan("namespaces", digest(objs), after="cluster")
    return objects.plan("namespaces", digest(objs), target, session, objs)


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to make namespaces in")
    objects.apply(session, plan.changes, adopt=target.shared.options.adopt)


ensure = Step("namespaces", _plan, _apply, compare=objects.back)
"""Makes and labels the environment's namespaces. It never deletes one."""
