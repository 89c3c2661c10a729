"""Pods as they were read: which are ready, which have a sidecar, and which should have one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from meshwright.errors import BadInput

__all__ = [
    "INJECT",
    "PROXY",
    "REVISION",
    "controller",
    "finished",
    "injected_namespace",
    "name",
    "of_workload",
    "proxy",
    "proxy_ready",
    "ready",
    "revision",
    "wants_sidecar",
    "workload",
]

Object = dict[str, Any]

PROXY = "istio-proxy"
"""Name of the container that is the proxy, in sidecars and in gateways."""

# Namespaces in which istiod never injects (IgnoredNamespaces in istio.io/istio, pkg/kube/inject).
_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
_INJECTION = "istio-injection"
REVISION, INJECT = "istio.io/rev", "sidecar.istio.io/inject"
"""Labels that ask for a sidecar: of a revision, and at all."""


def name(pod: Object) -> str:
    """NAMESPACE/NAME."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def revision(obj: Object) -> str:
    """The revision of istiod that the label of a pod or of a Deployment names; "default" where it names none."""
    return (obj["metadata"].get("labels") or {}).get(REVISION) or "default"


def ready(pod: Object) -> bool:
    """True when the pod has the condition Ready and is not being deleted."""
    conditions = pod.get("status", {}).get("conditions") or []
    there = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return there and "deletionTimestamp" not in pod["metadata"]


def finished(pod: Object) -> bool:
    """True for a pod that has ended (of a Job, or evicted) or is being deleted."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]


def proxy(pod: Object) -> Object | None:
    """The proxy's container; None where the pod has none.

    A native sidecar is an init container that keeps running (restartPolicy Always); an init container of that name
    without it has ended before the application started.
    """
    spec = pod["spec"]
    native = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return next((c for c in [*spec["containers"], *native] if c["name"] == PROXY), None)


def proxy_ready(pod: Object) -> bool:
    """True when the proxy's container says that it is ready."""
    status = pod.get("status", {})
    statuses = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return any(s["name"] == PROXY and s.get("ready") for s in statuses)


def injected_namespace(labels: Object) -> bool:
    """True when pods of a namespace with these labels get a sidecar unless they refuse it. istio-injection wins over
    istio.io/rev."""
    injection = labels.get(_INJECTION)
    return injection == "enabled" if injection else bool(labels.get(REVISION))


def wants_sidecar(pod: Object, namespace: Object) -> bool:
    """Whether istiod gives a sidecar to this pod in `namespace` (the Namespace object) when it is created.

    The rule is that of the injection webhook's selectors and of injectRequired in istio.io/istio, pkg/kube/inject.
    """
    metadata = pod["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    around = namespace["metadata"].get("labels") or {}
    if metadata["namespace"] in _SYSTEM or pod["spec"].get("hostNetwork"):
        return False
    # The label is looked at by the webhook's selector and wins; the annotation is its older form.
    said = labels.get(INJECT) or annotations.get(INJECT)
    if said == "false":
        return False
    if injected_namespace(around):
        return True
    asked = labels.get(INJECT) == "true" or bool(labels.get(REVISION))
    return asked and _INJECTION not in around


def controller(obj: Object) -> Object | None:
    """The reference to what made a pod, or another object, and keeps it; None where nothing does."""
    references = obj["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def workload(pod: Object) -> tuple[str, str]:
    """Kind and name of what a pod belongs to, such as its Deployment; Pod and its own name where it belongs to none."""
    metadata, owner = pod["metadata"], controller(pod)
    if owner is None:
        return "Pod", str(metadata["name"])
    kind, name = str(owner["kind"]), str(owner["name"])
    # A ReplicaSet is called after its Deployment and its template's hash.
    suffix = (metadata.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
        return "Deployment", name.removesuffix(f"-{suffix}")
    return kind, name


def of_workload(listed: Sequence[Object], wanted: str, namespace: str = "") -> list[Object]:
    """The pods with a proxy that `wanted` means: a workload, a pod, or the value of the label `app`, as NAME or
    NAMESPACE/NAME; all of them where it is empty. Raises BadInput naming the nearest: there is none."""
    with_proxy = [pod for pod in listed if proxy(pod) is not None]
    space, _, called = wanted.rpartition("/")
    space = space or namespace
    if space:
        with_proxy = [pod for pod in with_proxy if pod["metadata"]["namespace"] == space]
    if not called:
        if space and not with_proxy:
            raise BadInput(f"no pod in namespace {space} has a proxy", hint="`kubectl get pods -A` shows the pods")
        return with_proxy
    found = [pod for pod in with_proxy if called in _names(pod)]
    if not found:
        known = sorted({f"{pod['metadata']['namespace']}/{workload(pod)[1]}" for pod in with_proxy})
        near = difflib.get_close_matches(wanted if "/" in wanted else called, _short(known, wanted), 1, 0.5)
        where = f" in namespace {namespace}" if namespace else ""
        raise BadInput(
            f"no pod with a proxy belongs to a workload {wanted!r}{where}",
            hint=(f"Did you mean {near[0]}? " if near else "")
            + f"Workloads with a proxy: {', '.join(known[:20])}{' ...' if len(known) > 20 else ''}",
        )
    return found


def _names(pod: Object) -> set[str]:
    return {pod["metadata"]["name"], workload(pod)[1], (pod["metadata"].get("labels") or {}).get("app", "")}


def _short(known: Sequence[str], wanted: str) -> list[str]:
    return list(known) if "/" in wanted else [name.rpartition("/")[2] for name in known]
