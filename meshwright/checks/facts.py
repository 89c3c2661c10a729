"""What several checks look at: the session, and objects as lists of names."""

from __future__ import annotations

from typing import Any

from meshwright import cluster, istio, pods
from meshwright import istiods as asking
from meshwright.check import Failed, NotVerified
from meshwright.environment import Environment
from meshwright.kube import Session
from meshwright.target import Target
from meshwright.wording import counted, listed

__all__ = [
    "Object",
    "counted",
    "injected",
    "istiods",
    "listed",
    "ready_istiods",
    "session",
]

Object = dict[str, Any]


def session(target: Target, env: Environment) -> Session:
    """The session with the environment's cluster.

    Raises Failed: there is provably none that could answer; NotVerified: it cannot be known yet.
    """
    found = cluster.session(target, env)
    if found is not None:
        return found
    unknown = cluster.view(target, env).state is cluster.State.UNKNOWN
    raise (NotVerified if unknown else Failed)(cluster.no_session(target, env))


def istiods(env: Environment) -> str:
    """The label selector of the Deployments and pods of the environment's istiod."""
    return f"app=istiod,istio.io/rev={istio.revision(env)}"


def ready_istiods(live: Session, env: Environment, *, every: bool = False) -> list[asking.Istiod]:
    """The ready istiods of the environment's revision, or of `every` one. Raises Failed where there are none."""
    found = [each for each in asking.ready(live, env) if every or each.revision == istio.revision(env)]
    if not found:
        what = "app=istiod" if every else istiods(env)
        raise Failed(f"no pod with {what} is ready in namespace {env.istio.namespace}")
    return found


def injected(live: Session) -> list[Object]:
    """The pods in all namespaces that istiod gives a sidecar to, without those that have ended."""
    namespaces = {namespace["metadata"]["name"]: namespace for namespace in live.list("v1", "Namespace")}
    return [
        pod
        for pod in live.list("v1", "Pod")
        # A namespace that came between the two lists is looked at the next time.
        if (around := namespaces.get(pod["metadata"]["namespace"])) is not None
        and not pods.finished(pod)
        and pods.wants_sidecar(pod, around)
    ]
