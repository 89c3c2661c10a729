"""`istioctl analyze`: what Istio's own rules say about objects that were written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import cluster, istio, objects, tools
from meshwright.environment import Environment
from meshwright.errors import ProcessError, Unreachable
from meshwright.kube import Session
from meshwright.process import Completed
from meshwright.target import Target

__all__ = ["Finding", "about", "analyze"]

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
    revision = ["--revision", env.istio.revision] if env.istio.revision else []
    command = [*istio.istioctl(target, env), "analyze", *scope, *revision, "--output", "json"]
    done = _done(target, command)
    partly = _NO_SECRETS in done.complaint and (session := cluster.session(target, env)) is not None
    if partly:
        assert session is not None
        target.say("not verified: whether the Secrets that gateways name are there, which takes the right to list them")
        command += ["--use-kube=false", "-"]
        done = _done(target, command, _files(session, env))
    try:
        messages = json.loads(done.stdout)
    except ValueError:
        # It says what went wrong in words, and still ends with 0.
        raise Unreachable(f"istioctl analyze: {done.complaint.strip()[-200:] or 'no output'}") from None
    return [
        Finding(each.get("code", ""), each["level"], each.get("origin") or "", each.get("message", "").rstrip("."))
        for each in messages
        if each.get("level") in _LEVELS and not (partly and _OF_SECRETS in each.get("message", ""))
    ]


def _done(target: Target, command: Sequence[str], given: bytes | None = None) -> Completed:
    try:
        return target.run(command, input=given, timeout=_TIMEOUT, ok=None)
    except ProcessError as error:  # it was not started, or did not end
        why = error.message.removeprefix(shlex.join(command[:3])).strip()
        raise Unreachable(f"istioctl analyze {why}") from None


def _files(session: Session, env: Environment) -> bytes:
    """The live objects that istioctl looks at, but for Secrets: it would list all of them, in all namespaces, which
    only who installs may (docs/access.md)."""
    listed = session.map(lambda kind: session.list(*kind), _KINDS)
    named = [f"{name}{f'-{env.istio.revision}' if env.istio.revision else ''}" for name in _CONFIG]
    maps = session.map(lambda name: session.get("v1", "ConfigMap", name, env.istio.namespace), named)
    found = [*(obj for objs in listed for obj in objs), *filter(None, maps)]
    for obj in found:
        obj["metadata"].pop("managedFields", None)
    return "\n---\n".join(map(json.dumps, found)).encode()


def about(findings: Iterable[Finding], written: Iterable[dict[str, Any]]) -> list[Finding]:
    """The findings about objects of `written`, errors first."""
    origins = {f"{obj['kind']} {objects.title(obj)}" for obj in written}
    return sorted((each for each in findings if each.origin in origins), key=lambda each: each.level)
