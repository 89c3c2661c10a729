"""Access logs of proxies, switched on and off by Istio's Telemetry: for the mesh, a namespace or a workload.

Which setting counts is Istio's rule (https://istio.io/latest/docs/tasks/observability/logs/telemetry-api/): a
workload's Telemetry before its namespace's, that before the mesh's in the root namespace, that before the mesh's
configuration. Of several for one scope Istio takes the oldest, so beside somebody else's ours would do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import cluster, meshconfig, objects, pods
from meshwright.environment import Environment
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.kube import Session
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["Scope", "step"]

Object = dict[str, Any]

_API, _KIND, _LABEL = "telemetry.istio.io/v1", "Telemetry", "meshwright/accesslog"
_NAME = "meshwright-accesslog"
_DEFAULT = "envoy"  # the provider that every mesh has: text, to standard output (pkg/config/mesh/mesh.go of Istio)


@dataclass(frozen=True)
class Scope:
    """Whose access logs: all of the mesh (both empty), a namespace's, or a workload's."""

    namespace: str = ""
    workload: str = ""

    @classmethod
    def of(cls, text: str) -> Scope:
        """From "", NAMESPACE or NAMESPACE/WORKLOAD."""
        namespace, _, workload = text.partition("/")
        return cls(namespace, workload)

    def __str__(self) -> str:
        if self.workload:
            return f"workload {self.namespace}/{self.workload}"
        return f"namespace {self.namespace}" if self.namespace else "the mesh"


@dataclass(frozen=True)
class _Mesh:
    """What a plan is made from: the mesh's configuration, its root namespace, and all Telemetries."""

    config: Object
    root: str
    there: Sequence[Object]

    @property
    def ours(self) -> list[Object]:
        return [obj for obj in self.there if _LABEL in (obj["metadata"].get("labels") or {})]


def _mesh(session: Session, env: Environment) -> _Mesh:
    config = meshconfig.read(session, env)
    if config is None:
        raise MeshwrightError(
            f"namespace {env.istio.namespace} has no configuration of istiod, so there is no mesh",
            hint=f"`meshwright apply {env.name}` brings it up",
        )
    return _Mesh(config, config.get("rootNamespace") or env.istio.namespace, session.list(_API, _KIND))


def _plan(target: Target, env: Environment) -> Plan:
    options = target.shared.options
    to, provider, scope = options.to, options.format or _DEFAULT, Scope.of(options.scope)
    desired = digest(["accesslog", to, provider, str(scope)])
    if to not in ("on", "off", "reset"):
        raise MeshwrightError(
            f"access logs cannot be switched {to!r}" if to else "nothing says whether access logs shall be on",
            hint=f"`meshwright accesslog {env.name} on`, off or reset; with pyinfra --data to=on",
            exit_code=Exit.USAGE,
        )
    session = cluster.session(target, env)
    if session is None:
        return Plan("accesslog", desired, after="cluster")
    if session.resource(_API, _KIND) is None:
        return Plan("accesslog", desired, after="istio")
    mesh = _mesh(session, env)
    if to == "reset":
        return Plan("accesslog", desired, tuple(_gone(mesh.ours)), checked=len(mesh.ours))
    _known(provider, mesh.config)
    name, space, selector = _place(session, mesh, scope)
    own = [obj for obj in mesh.ours if (obj["metadata"]["name"], obj["metadata"]["namespace"]) == (name, space)]
    _alone(mesh, scope, space, selector)
    if to == "off" and not _otherwise(mesh, space, own):
        return Plan("accesslog", desired, tuple(_gone(own)), checked=max(1, len(own)))
    logging: Object = {"providers": [{"name": provider}]} if to == "on" else {"disabled": True}
    spec: Object = {**({"selector": {"matchLabels": selector}} if selector else {}), "accessLogging": [logging]}
    metadata = {"name": name, "namespace": space, "labels": {_LABEL: env.environment}}
    wanted = {"apiVersion": _API, "kind": _KIND, "metadata": metadata, "spec": spec}
    compared = objects.compare(session, [wanted], adopt=options.adopt)
    return Plan("accesslog", desired, compared.changes, checked=1, notes=compared.notes, seen=compared.seen)


def _gone(found: Iterable[Object]) -> list[Change]:
    why = "access logs are as they were without it"
    return [Change(Action.DESTROY, _KIND, objects.title(obj), why=why, payload=obj) for obj in found]


def _known(provider: str, config: Object) -> None:
    given = [one["name"] for one in config.get("extensionProviders") or [] if "envoyFileAccessLog" in one]
    if provider not in (_DEFAULT, *given):
        raise BadInput(
            f"the mesh has no log format {provider!r}",
            hint=f"It has {', '.join(dict.fromkeys([_DEFAULT, *given]))}; another one is an extension provider with "
            "envoyFileAccessLog in istio.meshConfig.extensionProviders",
        )


def _place(session: Session, mesh: _Mesh, scope: Scope) -> tuple[str, str, dict[str, str]]:
    """Name, namespace and selector of the Telemetry of a scope. Raises BadInput: there is no such thing."""
    if not scope.namespace:
        return _NAME, mesh.root, {}
    if session.get("v1", "Namespace", scope.namespace) is None:
        raise BadInput(f"there is no namespace {scope.namespace!r}", hint="`kubectl get namespaces` lists them")
    if scope.namespace == mesh.root and not scope.workload:
        raise BadInput(
            f"{scope.namespace} is the mesh's root namespace: what is said for it is said for the whole mesh",
            hint="Leave the namespace out, or name a workload in it",
        )
    if not scope.workload:
        return _NAME, scope.namespace, {}
    pod = pods.of_workload(session.list("v1", "Pod"), f"{scope.namespace}/{scope.workload}")[0]
    return f"{_NAME}-{pods.workload(pod)[1]}", scope.namespace, _selector(session, pod)


def _selector(session: Session, pod: Object) -> dict[str, str]:
    """The labels by which a pod's workload finds its pods."""
    labels = dict(pod["metadata"].get("labels") or {})
    kind, name = pods.workload(pod)
    if kind != "Pod":
        found = session.get("apps/v1", kind, name, pod["metadata"]["namespace"])
        labels = dict(((found or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or labels)
    labels.pop("pod-template-hash", None)
    if not labels:
        raise BadInput(
            f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} has no labels that a Telemetry could select",
            hint="Switch the logs of its namespace instead",
        )
    return labels


def _labels(obj: Object) -> dict[str, str]:
    return dict(((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {})


def _alone(mesh: _Mesh, scope: Scope, space: str, selector: dict[str, str]) -> None:
    """Raises Refused where somebody else's Telemetry is for the same scope."""
    for obj in mesh.there:
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        if obj in mesh.ours or metadata["namespace"] != space or spec.get("targetRefs"):
            continue
        if _labels(obj) == selector:
            raise Refused(
                f"Telemetry {objects.title(obj)} is for {scope} already, and Istio takes only one",
                hint="Set spec.accessLogging in that one",
            )


def _otherwise(mesh: _Mesh, space: str, own: Sequence[Object]) -> bool:
    """Whether proxies of a scope would log without the object of that scope."""
    for area in dict.fromkeys((space, mesh.root)):
        for obj in mesh.there:
            said = (obj.get("spec") or {}).get("accessLogging")
            if obj not in own and said and obj["metadata"]["namespace"] == area and not _labels(obj):
                return not all(one.get("disabled") for one in said)
    defaults = (mesh.config.get("defaultProviders") or {}).get("accessLogging")
    return bool(defaults or mesh.config.get("accessLogFile"))


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    # It takes a while to import, which only those pay who write.
    from meshwright import taken

    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster whose access logs could be switched")
    written = [change.payload for change in plan.changes if change.action is not Action.DESTROY]
    gone = [change.payload for change in plan.changes if change.action is Action.DESTROY]
    before = taken.look(session, env, [*written, *gone])
    objects.apply(session, [change for change in plan.changes if change.payload in written])
    for obj in gone:
        metadata = obj["metadata"]
        session.delete(_API, _KIND, metadata["name"], metadata["namespace"], uid=metadata["uid"])
    taken.wait(target, env, session, written, gone, before)


step = Step("accesslog", _plan, _apply)
"""Switches access logs as the options say: `to` on, off or reset, `scope`, and `format`."""
