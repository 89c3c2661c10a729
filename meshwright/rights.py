"""The rights that Meshwright needs in a cluster, by role: the one table that the manifests of the roles, the access
check and docs/access.md go by.

Each right is there because a call of the code needs it; `why` names it. What an authenticated user may do everywhere
(discovery, asking about its own rights) is not in it: Kubernetes' own system:discovery and system:basic-user give that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from meshwright import gateway_release
from meshwright.environment import Environment
from meshwright.environment.timetable import TRANSITION

__all__ = ["OWN", "ROLES", "Right", "Role", "accounts", "of_role", "plural", "run"]

OWN = "meshwright"
"""The namespace of our own objects."""
STANDBY = "meshwright-ca-standby"
"""The Secret with the key that does not sign now, during a transition."""

_READ, _WRITE, _ALL = ("get", "list"), ("create", "patch"), ("create", "patch", "delete")
_ISTIO = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io")
_GATEWAY = "gateway.networking.k8s.io"
_RBAC, _ADMISSION, _CRDS = "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io"
_WEBHOOKS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_WORKLOADS = ("deployments", "statefulsets", "daemonsets")


class Role(StrEnum):
    """What somebody may do with Meshwright. Each of the other two has what READ has."""

    READ = "read"
    APPLY = "apply"
    CERTS = "certs"


ROLES = tuple(Role)


@dataclass(frozen=True)
class Right:
    """Verbs on resources (plural, `pods/portforward` for a subresource, `*` for all) of an API group.

    `namespace` is None for all namespaces and for what has none. `names` are the only objects that it is for; none:
    all. `why` is what needs it.
    """

    why: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    namespace: str | None = None
    names: tuple[str, ...] = ()


def of_role(role: Role, env: Environment, steps: Iterable[str], objects: Sequence[dict[str, Any]] = ()) -> list[Right]:
    """The rights of a role in the cluster of an environment. `steps` are the names of those that APPLY is for,
    `objects` those that the environment's resources are."""
    rights = _read(env, objects)
    if role is Role.APPLY:
        rights += _own(env, objects) + [right for step in steps for right in _of_step(step, env, objects)]
    if role is Role.CERTS:
        rights += _own(env, ()) + _certs(env)
    return list(dict.fromkeys(rights))


def _read(env: Environment, objects: Sequence[dict[str, Any]]) -> list[Right]:
    found = [
        Right("the mesh and what runs in it", "", ("namespaces", "nodes", "pods", "services"), _READ),
        Right("plans, records and what was applied last", "", ("configmaps", "serviceaccounts"), _READ),
        Right("why a pod is not ready", "", ("events",), _READ),
        # It reaches every port of every pod, Envoy's admin port among them: docs/access.md.
        Right("asking Envoys and istiods", "", ("pods/portforward",), ("get", "create")),
        Right("logs of proxies", "", ("pods/log",), ("get",)),
        Right("plans and rollouts", "apps", (*_WORKLOADS, "replicasets"), _READ),
        Right("plans of the installation", "policy", ("poddisruptionbudgets",), _READ),
        Right("plans of the installation", "autoscaling", ("horizontalpodautoscalers",), _READ),
        Right(
            "plans of the installation", _RBAC, ("roles", "rolebindings", "clusterroles", "clusterrolebindings"), _READ
        ),
        Right("plans of the installation, and the webhooks' state", _ADMISSION, _WEBHOOKS, _READ),
        Right("plans of the installation", _CRDS, ("customresourcedefinitions",), _READ),
        Right("the gateway's nodes", "discovery.k8s.io", ("endpointslices",), _READ),
        Right("who is at work", "coordination.k8s.io", ("leases",), _READ, OWN),
        *(Right("Istio's configuration", group, ("*",), _READ) for group in (*_ISTIO, _GATEWAY)),
    ]
    if _in_cluster(env):
        found.append(Right("plans of the schedule", "batch", ("cronjobs",), _READ, OWN))
    # Secrets are nobody's to list: it would be all of them, and the CA's keys are among them.
    kinds = {_resource(obj) for obj in objects} - {("", "secrets")}
    covered = {(right.group, resource) for right in found for resource in right.resources if right.namespace is None}
    found += [
        Right("plans of the environment's resources", group, (resource,), _READ)
        for group, resource in sorted(kinds - covered)
        if (group, "*") not in covered
    ]
    if env.bookinfo.enabled:
        why = "a request inside the mesh, sent from a pod of ratings"
        found.append(Right(why, "", ("pods/exec",), ("get", "create"), env.bookinfo.namespace))
    return found


def run(env: Environment) -> list[Right]:
    """What every run that changes something in a cluster writes, whatever else it writes."""
    return [
        replace(right, names=(OWN,)) if right.names else right
        for right in _own(env, ())
        if right.namespace or right.names
    ]


def _own(env: Environment, objects: Sequence[dict[str, Any]]) -> list[Right]:
    """What every run that changes something writes."""
    written = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Namespace"}
    names = tuple(sorted({OWN, env.istio.namespace, *env.namespaces} | written))
    return [
        Right("the Lease that keeps two runs apart", "coordination.k8s.io", ("leases",), ("create", "update"), OWN),
        Right("records, and what was applied last", "", ("configmaps",), ("update", *_ALL), OWN),
        # The name of what is created cannot be limited (Kubernetes, RBAC: referring to resources).
        Right("the environment's namespaces and our own", "", ("namespaces",), ("create",)),
        Right("the environment's namespaces and our own", "", ("namespaces",), ("patch",), None, names),
    ]


def _of_step(step: str, env: Environment, objects: Sequence[dict[str, Any]]) -> list[Right]:
    match step:
        case "gateway-api":
            return _crds_of_gateway_api(env, objects)
        case "istio":
            return _install(env)
        case "bookinfo" if env.bookinfo.enabled:
            at = env.bookinfo.namespace
            return [
                Right("Bookinfo", "", ("services", "serviceaccounts"), _WRITE, at),
                Right("Bookinfo", "apps", ("deployments",), _WRITE, at),
                Right("Bookinfo", "networking.istio.io", ("gateways", "virtualservices"), _WRITE, at),
            ]
        case "resources":
            return _resources(env, objects)
        case "accesslog":
            # Of any namespace: which one, a person says when it is switched.
            return [Right("access logs", "telemetry.istio.io", ("telemetries",), _ALL)]
        case "cronjobs" | "cronjobs-remove" if _in_cluster(env):
            return _schedule(env)
    return []


def _in_cluster(env: Environment) -> bool:
    return env.schedule is not None and env.schedule.by == "kubernetes"


def accounts(env: Environment) -> tuple[str, ...]:
    """The accounts of a schedule by Kubernetes: one for all jobs that look, and one for each that changes something."""
    assert env.schedule is not None
    own = [name for name, job in env.schedule.jobs.items() if job.deploy is not None]
    own += [TRANSITION] if env.schedule.transition is not None else []
    return (f"schedule.{env.environment}", *(f"schedule.{env.environment}.{name}" for name in own))


def _schedule(env: Environment) -> list[Right]:
    why = "the schedule"
    names = tuple(f"{OWN}.{account}" for account in accounts(env))
    return [
        Right(why, "batch", ("cronjobs",), _ALL, OWN),
        Right(why, "", ("serviceaccounts",), _ALL, OWN),
        Right(why, _RBAC, ("clusterroles", "clusterrolebindings", "roles", "rolebindings"), _ALL),
        # Who gives rights that he has not must be allowed just that, for these roles alone.
        Right(f"{why}: what its jobs may do", _RBAC, ("clusterroles", "roles"), ("escalate", "bind"), None, names),
    ]


def _crds_of_gateway_api(env: Environment, objects: Sequence[dict[str, Any]]) -> list[Right]:
    """What the CRDs of the Gateway API take, where the environment has objects of it and may bring them."""
    if env.istio.gateway_api.crds == "never" or not any(_resource(obj)[0] == _GATEWAY for obj in objects):
        return []
    why, crds = "the CRDs of the Gateway API", ("customresourcedefinitions",)
    # The name of what is created cannot be limited.
    return [
        Right(why, _CRDS, crds, ("create",)),
        Right(why, _CRDS, crds, ("patch",), None, tuple(gateway_release.wanted(env))),
    ]


def _resources(env: Environment, objects: Sequence[dict[str, Any]]) -> list[Right]:
    why = "the environment's resources"
    places = {obj["metadata"].get("namespace") for obj in objects} - {None, ""} | set(env.namespaces)
    istio = [
        Right(why, group, ("*",), _ALL, place)
        for place in sorted({env.istio.namespace, *places})
        for group in (*_ISTIO, _GATEWAY)
    ]
    others = {
        (*_resource(obj), obj["metadata"].get("namespace") or None)
        for obj in objects
        if _resource(obj)[0] not in (*_ISTIO, _GATEWAY) and obj["kind"] != "Namespace"
    }
    # What is neither in a namespace nor pruned: CRDs.
    return istio + [
        Right(why, group, (resource,), _WRITE if group == _CRDS else _ALL, place)
        for group, resource, place in sorted(others, key=lambda each: (each[2] or "", *each[:2]))
    ]


def _install(env: Environment) -> list[Right]:
    """What `istioctl install` writes, and what its precheck asks to be allowed."""
    at, why = env.istio.namespace, "istioctl install"
    suffix = f"{env.istio.revision}-{at}" if env.istio.revision else at
    named = ("istio-reader-clusterrole", "istiod-clusterrole", "istiod-gateway-controller")
    clusterroles = tuple(f"{name}-{suffix}" for name in named)
    roles = (f"istiod-{env.istio.revision}" if env.istio.revision else "istiod", *(f"{g}-sds" for g in _gateways(env)))
    return [
        # istioctl reads by watching: its precheck, its wait, and istioctl analyze.
        *(replace(right, why="istioctl", verbs=("watch",)) for right in _read(env, ()) if right.verbs == _READ),
        # All Secrets of the cluster, the CA's keys among them: its pruning and its analyzers look at them, and cannot
        # be told to leave them out.
        Right("istioctl", "", ("secrets",), ("list", "watch")),
        Right(why, _CRDS, ("customresourcedefinitions",), _WRITE),
        Right(why, _ADMISSION, _WEBHOOKS, ("update", *_ALL)),
        Right(why, _RBAC, ("clusterroles", "clusterrolebindings"), _ALL),
        # istiod's own roles allow more than this one does; without both verbs nobody but an administrator gives them.
        Right(why + ": istiod's own roles", _RBAC, ("clusterroles",), ("escalate", "bind"), None, clusterroles),
        Right(why + ": istiod's own roles", _RBAC, ("roles",), ("escalate", "bind"), at, roles),
        Right(why, _RBAC, ("roles", "rolebindings"), _ALL, at),
        Right(why, "", ("configmaps", "services", "serviceaccounts"), _ALL, at),
        Right(why, "apps", ("deployments", "daemonsets"), _ALL, at),
        Right(why, "policy", ("poddisruptionbudgets",), _ALL, at),
        Right(why, "autoscaling", ("horizontalpodautoscalers",), _ALL, at),
    ]


def _gateways(env: Environment) -> tuple[str, ...]:
    return tuple(sorted({"istio-ingressgateway", "istio-egressgateway", env.ingress.service}))


def _certs(env: Environment) -> list[Right]:
    at = env.istio.namespace
    secrets = ("cacerts", "istio-ca-secret", STANDBY)
    # Remote secrets have any name, and a right to list cannot be limited to a label.
    several = env.name != env.environment
    remote = [Right("who is in the mesh: remote secrets", "", ("secrets",), ("list",), at)] if several else []
    return [
        *remote,
        Right("the CA's keys", "", ("secrets",), ("get", "update", "patch", "delete"), at, secrets),
        Right("the CA's keys", "", ("secrets",), ("create",), at),
        Right("the nudge that makes kubelets and agents look at once", "", ("pods",), ("patch",)),
        Right("restarts, where a transition needs them", "apps", _WORKLOADS, ("patch",)),
        # In our own namespace: a pod that is only tried out.
        Right("trying out an injected pod", "", ("pods",), ("create",), OWN),
        Right("asking istiods for a leaf", "", ("serviceaccounts/token",), ("create",), at, ("default",)),
        Right("the roots that agents have mounted (not with --no-files)", "", ("pods/exec",), ("get", "create")),
    ]


def _resource(obj: dict[str, Any]) -> tuple[str, str]:
    """API group and resource of an object."""
    return obj["apiVersion"].rpartition("/")[0], plural(obj["kind"])


def plural(kind: str) -> str:
    """The resource of a kind: an answer without a cluster. The rule is kubectl's guess (UnsafeGuessKindToResource of
    k8s.io/apimachinery), but that a `y` after a vowel stays (gateways)."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("s"):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else word + "s"
