"""The Istio control plane and its gateways: what `istioctl install` would change, and running it when that is anything.

Facts about the installer are from operator/pkg/install and operator/pkg/webhook of istio/istio: it applies what
`istioctl manifest generate` prints, server-side, by force, as the manager `istio-operator`, with labels of its own;
then it makes the webhooks of the `default` tag from the live injector webhook, which it switches off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import yaml

from meshwright import cluster, objects, operator_spec, ownership, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, ProcessError, Unverified
from meshwright.kube import Session
from meshwright.kube.explain import explain
from meshwright.plan import Action, Change, Compared, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["has_istiod", "install", "istioctl", "manifest", "owner", "revision", "wait_for_webhooks"]

_MANAGER = "istio-operator"
_DEFAULT_TAG = ("istio-revision-tag-default", "istiod-default-validator")
_NEVER = {"istio.io/deactivated": "never-match"}
_INSTALLED = "install.operator.istio.io/owning-resource"
_PAUSE = 0.5
_ADMISSION = "admissionregistration.k8s.io/v1"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# The kinds that istioctl prunes (operator/pkg/uninstall), but for CRDs, which it never does.
_PRUNED = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (_ADMISSION, "MutatingWebhookConfiguration"),
    (_ADMISSION, "ValidatingWebhookConfiguration"),
)


def revision(env: Environment) -> str:
    """The value of the label istio.io/rev on what belongs to the environment's control plane."""
    return env.istio.revision or "default"


def has_istiod(env: Environment) -> bool:
    """Whether the control plane is in the environment's own cluster: two profiles have none."""
    return env.istio.profile not in ("remote", "empty")


def istioctl(target: Target, env: Environment) -> list[str]:
    """The start of every istioctl command line: the tool, and the environment's own kubeconfig and context."""
    path = tools.path(target, env, "istioctl")
    return [path, "--kubeconfig", cluster.kubeconfig_path(target, env), "--context", cluster.context(target, env)]


def owner(session: Session, env: Environment) -> str | None:
    """Who else keeps the istiod of this environment (Helm, Sail, ...), None when nobody does."""
    for deployment in session.list("apps/v1", "Deployment", env.istio.namespace, labels="app=istiod"):
        found = ownership.owner(deployment)
        if found:
            return found
    return None


def manifest(target: Target, env: Environment, session: Session) -> list[dict[str, Any]]:
    """What `istioctl manifest generate` prints for the environment, with the cluster detection that install uses.

    It takes half a second and depends on nothing but its inputs, so its answer is kept for the next run.
    """
    spec = operator_spec.text(env)
    inputs = digest([env.istio.version, spec, session.version()])
    path = f"{target.state}/{env.name}/manifest.json"
    kept = target.read(path)
    if kept is not None:
        try:
            document = json.loads(kept)
            if document["inputs"] == inputs:
                return list(document["objects"])
        except (ValueError, KeyError, TypeError):
            pass  # Not what we wrote; made anew below.
    command = [*istioctl(target, env), "manifest", "generate", "--cluster-specific", "-f", "-"]
    done = target.run(command, input=spec.encode(), timeout=60)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    generated = [obj for obj in yaml.load_all(done.stdout, Loader=loader) if obj]
    target.write(path, json.dumps({"inputs": inputs, "objects": generated}).encode())
    return generated


def _plan(target: Target, env: Environment) -> Plan:
    desired = digest([env.istio.version, operator_spec.operator(env)])
    session = cluster.session(target, env)
    if session is None:
        return Plan("istio", desired, after="cluster")
    kept_by = owner(session, env)
    if kept_by:
        return Plan("istio", desired, checked=1, notes=(f"istiod is kept by {kept_by}: it is left alone",))
    if tools.installed(target, env, "istioctl") is None:
        return Plan("istio", desired, after="tools")
    labels = _labels(env)
    wanted = [_labelled(obj, labels) for obj in manifest(target, env, session)]
    compared = _compare(target, env, session, wanted)
    namespace = session.get("v1", "Namespace", env.istio.namespace)
    first = [Change(Action.ADD, "Namespace", env.istio.namespace)] if namespace is None else []
    tags = [] if env.istio.revision else _missing_tags(session)
    gone = _pruned(session, wanted, labels) if namespace is not None else []
    changes = (*first, *compared.changes, *tags, *gone)
    checked = len(wanted) + 1 + len(_DEFAULT_TAG) + len(gone)
    return Plan(
        "istio",
        desired,
        changes,
        checked=checked,
        notes=compared.notes,
        seen=compared.seen,
        objects=tuple(wanted),
    )


def _compare(_target: Target, _env: Environment, session: Session, wanted: Sequence[objects.Object]) -> Compared:
    return objects.compare(session, wanted, manager=_MANAGER, force=True, adjust=_adjusted)


def _labels(env: Environment) -> dict[str, str]:
    """The labels that the installer puts on everything besides the component's, which the manifest does not say."""
    return {
        "operator.istio.io/managed": "Reconcile",
        "operator.istio.io/version": env.istio.version,
        "install.operator.istio.io/owning-resource-namespace": env.istio.namespace,
        "istio.io/rev": revision(env),
    }


def _labelled(obj: objects.Object, labels: dict[str, str]) -> objects.Object:
    """The object with these labels too."""
    return {**obj, "metadata": {**obj["metadata"], "labels": {**(obj["metadata"].get("labels") or {}), **labels}}}


def _adjusted(now: objects.Object, wanted: objects.Object) -> objects.Object:
    """The wanted object as the installer sends it, with the fields that istiod and the default tag own by rule."""
    have = now["metadata"].get("labels") or {}
    put = _labelled(wanted, {k: v for k, v in have.items() if k == "operator.istio.io/component"})
    if wanted["kind"] in _WEBHOOKS:
        there = {hook["name"]: hook for hook in now.get("webhooks") or []}
        put["webhooks"] = [_webhook(hook, there.get(hook["name"])) for hook in wanted["webhooks"]]
    return put


def _webhook(wanted: dict[str, Any], now: dict[str, Any] | None) -> dict[str, Any]:
    if now is None:
        return wanted
    put = dict(wanted)
    put["failurePolicy"] = now["failurePolicy"]
    bundle = (now.get("clientConfig") or {}).get("caBundle")
    if bundle:
        put["clientConfig"] = {**wanted["clientConfig"], "caBundle": bundle}
    if (now.get("namespaceSelector") or {}).get("matchLabels") == _NEVER:
        # Switched off in favour of the default tag's webhook.
        put["namespaceSelector"] = now["namespaceSelector"]
        put["objectSelector"] = now["objectSelector"]
    return put


def _missing_tags(session: Session) -> list[Change]:
    why = "istioctl makes it for the default tag"
    return [
        Change(Action.ADD, kind, name, why=why)
        for kind, name in zip(_WEBHOOKS, _DEFAULT_TAG, strict=True)
        if session.get(_ADMISSION, kind, name) is None
    ]


def _pruned(session: Session, wanted: list[objects.Object], labels: dict[str, str]) -> list[Change]:
    """What the installer would delete: its own objects that the manifest no longer has."""
    stay = {(obj["kind"], *objects.key(obj)[2:]) for obj in wanted}
    keep = {k: v for k, v in labels.items() if k != "operator.istio.io/version"}
    selector = ",".join([*(f"{k}={v}" for k, v in keep.items()), "operator.istio.io/component"])
    listed = session.map(lambda kind: session.list(*kind, labels=selector), _PRUNED)
    return [
        Change(Action.DESTROY, obj["kind"], objects.title(obj), why="no longer part of the installation")
        for found in listed
        for obj in found
        if (obj["kind"], *objects.key(obj)[2:]) not in stay
        and obj["metadata"]["labels"].get("install.operator.istio.io/owning-resource-not-pruned") != "true"
    ]


def _apply(target: Target, env: Environment, _plan: Plan) -> None:
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to install Istio in", hint="Put the step `cluster` before `istio`")
    _precheck(target, env)
    path = f"{target.state}/{env.name}/istio-operator.yaml"
    target.write(path, operator_spec.text(env).encode())
    target.say(f"installing Istio {env.istio.version}")
    command = [*istioctl(target, env), "install", "-y", "-f", path, "--readiness-timeout", f"{env.istio.timeout}s"]
    try:
        target.run(command, timeout=env.istio.timeout + 120)
    except ProcessError as error:
        lines = _unwell(session, env.istio.namespace)
        if not lines:
            raise  # all pods are well: what istioctl said is all there is to say
        raise ProcessError(
            f"Istio {env.istio.version} did not become ready: {lines[0]}",
            command=error.command,
            output="\n".join([*lines, error.output]),
            code=error.code,
            hint="Mend that and run the same command again; it goes on from here",
        ) from None
    session.forget_kinds()
    wait_for_webhooks(session, env.istio.timeout, expected=True)


def _unwell(session: Session, namespace: str) -> list[str]:
    """What is wrong with the pods of the installation; istiod first: when it is not well, the gateways cannot be."""
    for labels in ("app=istiod", _INSTALLED):
        if session.list("v1", "Pod", namespace, labels=labels):
            lines = explain(session, namespace, labels)
            if lines:
                return lines
    return []


def _precheck(target: Target, env: Environment) -> None:
    """What istioctl itself looks at before an installation. Its warnings do not stop one; its errors do."""
    done = target.run([*istioctl(target, env), "x", "precheck", "-o", "json"], timeout=60, ok=None)
    try:
        found = json.loads(done.stdout or b"[]")
    except ValueError:
        raise MeshwrightError(f"istioctl x precheck failed: {done.complaint[-200:]}") from None
    for message in found:
        sentence = f"{message.get('code')} {message.get('origin', '')}: {message.get('message')}"
        if message.get("level") == "Error":
            raise MeshwrightError(
                f"istioctl's precheck refuses: {sentence}", hint=str(message.get("documentationUrl", ""))
            )
        target.say(f"precheck: {sentence}")


def wait_for_webhooks(session: Session, seconds: float, *, expected: bool = False) -> None:
    """Waits until every webhook of istiod that checks configuration refuses what it cannot check: before that, an
    invalid object would be let in. Where there is no such webhook, only one that is `expected` is waited for.

    Raises Unverified when that takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        hooks = _webhooks(session)
        if not hooks and not expected:
            return
        if hooks and all(h["failurePolicy"] == "Fail" and h["clientConfig"].get("caBundle") for h in hooks):
            return
        if time.monotonic() > deadline:
            raise Unverified(
                "istiod has not taken over its webhooks: an invalid object would be let in",
                hint="`kubectl -n istio-system logs deploy/istiod` says why",
            )
        time.sleep(_PAUSE)


def _webhooks(session: Session) -> list[dict[str, Any]]:
    found = session.list(_ADMISSION, "ValidatingWebhookConfiguration", labels="istio")
    return [hook for config in found for hook in config.get("webhooks") or []]


install = Step("istio", _plan, _apply, compare=_compare)
"""Installs Istio as the environment wants it; leaves alone one that Helm or the Sail operator keeps."""
