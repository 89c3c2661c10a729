"""The control plane: istiod, its webhooks, and how namespaces ask for sidecars."""

from __future__ import annotations

from meshwright import istio, pods
from meshwright import istiods as asking
from meshwright import namespaces as wanted_namespaces
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import (
    Object,
    counted,
    istiods,
    listed,
    ready_istiods,
    session,
)
from meshwright.environment import Environment
from meshwright.kube import Session
from meshwright.kube.explain import explain
from meshwright.kube.rollout import progress
from meshwright.target import Target

__all__ = ["CHECKS"]

_ADMISSION = "admissionregistration.k8s.io/v1"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_INJECTION, _REVISION = "istio-injection", "istio.io/rev"
# With one of each, whatever is restarted is away for a while.
_REDUNDANT = 2


def _available(target: Target, env: Environment) -> str:
    live = session(target, env)
    found = live.list("apps/v1", "Deployment", env.istio.namespace, labels=istiods(env))
    if not found:
        raise Failed(f"namespace {env.istio.namespace} has no Deployment with {istiods(env)}")
    for deployment in found:
        name, at = deployment["metadata"]["name"], progress(deployment)
        if not at.done:
            why = explain(live, env.istio.namespace, istiods(env))
            raise Failed("; ".join([f"Deployment {name}: {at.why}", *why[:2]]))
        if not deployment["spec"].get("replicas", 1):
            raise Failed(f"Deployment {name} is scaled to nothing")
    replicas = sum(deployment["spec"].get("replicas", 1) for deployment in found)
    return counted(replicas, "replica")


def _version(target: Target, env: Environment) -> str:
    live = session(target, env)
    running = ready_istiods(live, env)
    asked = live.map(lambda istiod: asking.ask(live, istiod, "/version").decode(errors="replace").strip(), running)
    said = dict(zip(map(str, running), asked, strict=True))
    # VERSION-COMMIT-STATUS; a version may have dashes of its own.
    others = {name: version for name, version in said.items() if not f"{version}-".startswith(f"{env.istio.version}-")}
    if others:
        name, version = min(others.items())
        what = f"{len(others)} of {counted(len(running), 'istiod')} not {env.istio.version}"
        raise Failed(f"{what}: {name} says that it is {version}")
    return f"{counted(len(running), 'istiod')} of {env.istio.version}"


def _webhooks(target: Target, env: Environment) -> str:
    live = session(target, env)
    count = 0
    for kind in _WEBHOOKS:
        configs = live.list(_ADMISSION, kind, labels=f"istio.io/rev={istio.revision(env)}")
        hooks = [(config["metadata"]["name"], hook) for config in configs for hook in config.get("webhooks") or []]
        if not hooks:
            raise Failed(f"there is no {kind} with istio.io/rev={istio.revision(env)}")
        for name, hook in hooks:
            if hook.get("failurePolicy") != "Fail":
                raise Failed(f"{hook['name']} of {kind} {name} lets everything through: its failurePolicy is not Fail")
            if not hook["clientConfig"].get("caBundle"):
                raise Failed(f"{hook['name']} of {kind} {name} has no caBundle: istiod has not taken it over")
        count += len(hooks)
    return counted(count, "webhook")


def _one_label(target: Target, env: Environment) -> str:
    found = session(target, env).list("v1", "Namespace")
    labelled = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in found}
    both = [name for name, labels in labelled.items() if _INJECTION in labels and _REVISION in labels]
    if both:
        raise Failed(f"{listed(both)}: {_INJECTION} wins, and {_REVISION} does nothing")
    return counted(len(labelled), "namespace")


def _labelled(target: Target, env: Environment) -> str:
    found = session(target, env).list("v1", "Namespace")
    live = {namespace["metadata"]["name"]: namespace["metadata"].get("labels") or {} for namespace in found}
    wrong = []
    for wanted in wanted_namespaces.wanted(env):
        name = wanted["metadata"]["name"]
        if name not in live:
            wrong.append(f"{name} is not there")
            continue
        for key, value in (wanted["metadata"].get("labels") or {}).items():
            if live[name].get(key) != value:
                wrong.append(f"{name} has {key} {live[name].get(key, 'not at all')} and not {value}")
    if wrong:
        raise Failed("; ".join(wrong))
    return counted(len(env.namespaces), "namespace")


def _redundant(target: Target, env: Environment) -> str:
    live = session(target, env)
    budgets = live.list("policy/v1", "PodDisruptionBudget")
    weak, told = [], []
    for what, namespace, labels in _workloads(live, env):
        running = [pod for pod in live.list("v1", "Pod", namespace, labels=labels) if pods.ready(pod)]
        told.append(f"{what}: {len(running)}")
        if len(running) < _REDUNDANT:
            weak.append(f"{what} has {len(running)} ready")
        if running and not any(_covers(budget, running[0]) for budget in budgets):
            weak.append(f"{what} has no PodDisruptionBudget")
    if weak:
        raise Failed("; ".join(weak))
    return ", ".join(told)


def _workloads(live: Session, env: Environment) -> list[tuple[str, str, str]]:
    """istiod and the ingress gateway: a name, the namespace, and the label selector of the pods."""
    service = live.get("v1", "Service", env.ingress.service, env.ingress.namespace)
    selector = (service or {}).get("spec", {}).get("selector") or {}
    if not selector:
        raise NotVerified(f"there is no Service {env.ingress.namespace}/{env.ingress.service} that selects pods")
    gateway = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return [
        ("istiod", env.istio.namespace, istiods(env)),
        (env.ingress.service, env.ingress.namespace, gateway),
    ]


def _covers(budget: Object, pod: Object) -> bool:
    if budget["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return False
    selector = budget["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    # Istio's own budgets use matchLabels alone.
    wanted = selector.get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


CHECKS = (
    Check(
        group="control-plane",
        claim="istiod is available",
        find=_available,
        anchor="istiod-available",
        hint="`kubectl -n {env.istio.namespace} describe pods -l app=istiod` and the logs of istiod say more",
        retry=10,
        needs=("api-server-ready",),
        applies=istio.has_istiod,
    ),
    Check(
        group="control-plane",
        claim="every istiod runs the version that the environment wants",
        find=_version,
        anchor="istiod-version",
        hint="`meshwright plan {env.name}` shows what `meshwright apply {env.name}` would change",
        retry=10,
        needs=("istiod-available",),
        applies=istio.has_istiod,
    ),
    Check(
        group="control-plane",
        claim="istiod's webhooks refuse what they cannot check",
        find=_webhooks,
        anchor="webhooks-closed",
        hint="istiod sets both fields when it is ready; if they stay open, its log says why. Never set them by hand",
        retry=10,
        needs=("istiod-available",),
        applies=istio.has_istiod,
    ),
    Check(
        group="control-plane",
        claim="no namespace has both labels for injection",
        find=_one_label,
        anchor="one-injection-label",
        hint="Remove one: `kubectl label namespace NAME istio-injection-` or `istio.io/rev-`",
        needs=("api-server-ready",),
    ),
    Check(
        group="control-plane",
        claim="the namespaces of the environment have the labels that it wants",
        find=_labelled,
        anchor="namespaces-labelled",
        hint="`meshwright apply {env.name}` labels them",
        needs=("api-server-ready",),
        applies=lambda env: bool(env.namespaces),
    ),
    Check(
        group="control-plane",
        claim="istiod and the ingress gateway outlive a restart: two are ready of each, with a PodDisruptionBudget",
        find=_redundant,
        anchor="redundant",
        hint="Raise autoscaleMin in istio.values, and keep their PodDisruptionBudgets on",
        fatal=False,
        needs=("istiod-available",),
        applies=lambda env: env.protected,
    ),
)
