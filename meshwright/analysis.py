"""`istioctl analyze`: what Istio's own rules say about objects that were written, or that would be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import cluster, istio, objects, tools
from meshwright.environment import Environment
from meshwright.errors import ProcessError, Unreachable
from meshwright.kube import Session
from meshwright.process import Completed
from meshwright.target import Target

__all__ = ["Finding", "about", "analyze", "forecast", "live"]

_LEVELS = ("Error", "Warning")
# More namespaces than that are analyzed together with all others: each is a process of half a second.
_FEW = 2
_TIMEOUT = 60.0

_NO_SECRETS, _OF_SECRETS = "secrets is forbidden", "credentialName"
_CONFIG = ("istio", "istio-sidecar-injector")
_KINDS = (
    *(("v1", kind) for kind in ("Namespace", "Service", "Pod")),
    ("apps/v1", "Deployment"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    *(("networking.istio.io/v1", kind) for kind in ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry")),
    *(("networking.istio.io/v1", kind) for kind in ("Sidecar", "WorkloadEntry", "WorkloadGroup")),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    *(("security.istio.io/v1", kind) for kind in ("AuthorizationPolicy", "PeerAuthentication")),
    ("security.istio.io/v1", "RequestAuthentication"),
    ("telemetry.istio.io/v1", "Telemetry"),
    ("extensions.istio.io/v1alpha1", "WasmPlugin"),
    *(("gateway.networking.k8s.io/v1", kind) for kind in ("GatewayClass", "Gateway", "HTTPRoute")),
)


@dataclass(frozen=True)
class Finding:
    """One message of istioctl: `code` ("IST0101"), `level` (Error, Warning), `origin` ("VirtualService shop/web")."""

    code: str
    level: str
    origin: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.origin}: {self.message}"


def analyze(target: Target, env: Environment, namespaces: Iterable[str]) -> list[Finding] | None:
    """The errors and warnings of istioctl about the live objects of `namespaces`; None where it is not installed.

    Without the right to list Secrets it is given the live objects without them, and that is said. A finding that the
    object itself suppresses is not among them. Raises Unreachable: it could not look.
    """
    if tools.installed(target, env, "istioctl") is None:
        return None
    names = sorted(set(namespaces))
    scopes = [["--namespace", name] for name in names] if len(names) <= _FEW else [["--all-namespaces"]]
    return [finding for scope in scopes for finding in _run(target, env, scope)]


def _run(target: Target, env: Environment, scope: Sequence[str]) -> list[Finding]:
    command = [*istio.istioctl(target, env), "analyze", *scope, *_revision(env), "--output", "json"]
    done = _done(target, command)
    partly = _NO_SECRETS in done.complaint and (session := cluster.session(target, env)) is not None
    if partly:
        assert session is not None
        target.say("not verified: whether the Secrets that gateways name are there, which takes the right to list them")
        given = "\n---\n".join(json.dumps(_plain(obj)) for obj in live(session, env)).encode()
        done = _done(target, [*command, "--use-kube=false", "-"], given)
    return [finding for finding in _read(done) if not (partly and _OF_SECRETS in finding.message)]


def forecast(target: Target, env: Environment, given: Iterable[dict[str, Any]]) -> list[Finding] | None:
    """The errors and warnings of istioctl about `given`, taken for all that there is: no cluster is asked. None where
    it is not installed. Secrets need not be among them: what istioctl says for want of one is left out.

    Raises Unreachable: it could not look.
    """
    tool = tools.installed(target, env, "istioctl")
    if tool is None:
        return None
    text = "\n---\n".join(json.dumps(_plain(obj)) for obj in given).encode()
    command = [tool, "analyze", "--all-namespaces", *_revision(env), "--output", "json", "--use-kube=false", "-"]
    # A kubeconfig of the user's is none of its business.
    found = _read(_done(target, command, text, {"KUBECONFIG": "/dev/null"}))
    return [finding for finding in found if _OF_SECRETS not in finding.message]


def _revision(env: Environment) -> list[str]:
    return ["--revision", env.istio.revision] if env.istio.revision else []


def _read(done: Completed) -> list[Finding]:
    try:
        messages = json.loads(done.stdout)
    except ValueError:
        # It says what went wrong in words, and still ends with 0.
        raise Unreachable(f"istioctl analyze: {done.complaint.strip()[-200:] or 'no output'}") from None
    return [
        Finding(each.get("code", ""), each["level"], each.get("origin") or "", each.get("message", "").rstrip("."))
        for each in messages
        if each.get("level") in _LEVELS
    ]


def _done(
    target: Target, command: Sequence[str], given: bytes | None = None, env: Mapping[str, str] | None = None
) -> Completed:
    try:
        return target.run(command, input=given, env=env, timeout=_TIMEOUT, ok=None)
    except ProcessError as error:  # it was not started, or did not end
        why = error.message.removeprefix(shlex.join(command[:3])).strip()
        raise Unreachable(f"istioctl analyze {why}") from None


def live(session: Session, env: Environment) -> list[dict[str, Any]]:
    """The live objects that istioctl looks at, but for Secrets: it would list all of them, in all namespaces, which
    only who installs may (docs/access.md)."""
    listed = session.map(lambda kind: session.list(*kind), _KINDS)
    named = [f"{name}{f'-{env.istio.revision}' if env.istio.revision else ''}" for name in _CONFIG]
    maps = session.map(lambda name: session.get("v1", "ConfigMap", name, env.istio.namespace), named)
    return [*(obj for objs in listed for obj in objs), *filter(None, maps)]


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def about(findings: Iterable[Finding], written: Iterable[dict[str, Any]]) -> list[Finding]:
    """The findings about objects of `written`, errors first."""
    origins = {f"{obj['kind']} {objects.title(obj)}" for obj in written}
    return sorted((each for each in findings if each.origin in origins), key=lambda each: each.level)
