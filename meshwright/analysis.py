"""`istioctl analyze`: what Istio's own rules say about objects that were written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import istio, objects, tools
from meshwright.environment import Environment
from meshwright.errors import Unreachable
from meshwright.target import Target

__all__ = ["Finding", "about", "analyze"]

_LEVELS = ("Error", "Warning")
# More namespaces than that are analyzed together with all others: each is a process of half a second.
_FEW = 2
_TIMEOUT = 60.0


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

    Raises Unreachable: it could not look. A finding that the object itself suppresses is not among them.
    """
    if tools.installed(target, env, "istioctl") is None:
        return None
    names = sorted(set(namespaces))
    scopes = [["--namespace", name] for name in names] if len(names) <= _FEW else [["--all-namespaces"]]
    return [finding for scope in scopes for finding in _run(target, env, scope)]


def _run(target: Target, env: Environment, scope: Sequence[str]) -> list[Finding]:
    revision = ["--revision", env.istio.revision] if env.istio.revision else []
    command = [*istio.istioctl(target, env), "analyze", *scope, *revision, "--output", "json"]
    done = target.run(command, timeout=_TIMEOUT, ok=None)
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


def about(findings: Iterable[Finding], written: Iterable[dict[str, Any]]) -> list[Finding]:
    """The findings about objects of `written`, errors first."""
    origins = {f"{obj['kind']} {objects.title(obj)}" for obj in written}
    return sorted((each for each in findings if each.origin in origins), key=lambda each: each.level)
