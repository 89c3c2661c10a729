"""What an API server answers when it does not do what it was asked, as errors of ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from meshwright.errors import Forbidden, MeshwrightError, Unreachable

__all__ = ["ApiError", "Call", "error", "is_absent"]

# The words of k8s.io/apiserver: `failed calling webhook` when nothing usable answered, `denied the request` when the
# webhook itself said no. Only the second says anything about the object.
_UNAVAILABLE = re.compile(r'failed calling webhook "([^"]+)"')
_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request')
# Every authorizer's refusal is put into this form (k8s.io/apiserver, responsewriters.forbiddenMessage); a 403 without
# it comes from admission: a quota, pod security, a namespace on its way out.
_UNAUTHORIZED = re.compile(r'\bcannot \w+ (resource|path) "')

_WRITES = frozenset({"apply", "create", "replace", "patch", "delete"})


@dataclass(frozen=True)
class Call:
    """What was asked, in words for a sentence: `verb` ("list"), `what` ("Deployment istio-system/istiod"), `server`
    (its URL), `context` (the name in the kubeconfig)."""

    verb: str
    what: str
    server: str
    context: str


class ApiError(MeshwrightError):
    """The API server refused or failed a call.

    `status` is the HTTP status, `reason` the machine-readable word of the Status object ("Conflict", "Invalid",
    "AlreadyExists", "" when there is none), `text` what the server said, `causes` its list of
    `{reason, message, field}`. `webhook` names the admission webhook that could not be called (istiod is unavailable:
    the object may be fine), `denied_by` the one that answered and said no.
    """

    def __init__(self, message: str, *, status: int, body: dict[str, Any], hint: str = "") -> None:
        self.status = status
        self.reason = str(body.get("reason") or "")
        self.text = str(body.get("message") or "")
        self.causes: list[dict[str, Any]] = list((body.get("details") or {}).get("causes") or [])
        self.webhook = _named(_UNAVAILABLE, self.text)
        self.denied_by = _named(_DENIED, self.text)
        super().__init__(message, hint=hint)


def _named(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _status(body: bytes) -> dict[str, Any] | None:
    """The Status object in `body`; None when there is none, which means that no API server wrote it."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("kind") == "Status" else None


def is_absent(status: int, body: bytes) -> bool:
    """Whether this answer proves that the object does not exist: a 404 that an API server wrote. A 404 page of some
    proxy on the way proves nothing."""
    if status != 404:
        return False
    said = _status(body)
    return said is not None and said.get("reason") == "NotFound"


def error(status: int, body: bytes, call: Call) -> MeshwrightError:
    """The error for an answer that is not a success."""
    said = _status(body)
    text = str((said or {}).get("message") or "") or body[:300].decode(errors="replace").strip() or "no reason given"
    if status == 401:
        return Forbidden(
            f"the API server {call.server} does not accept the credentials of context {call.context} (401: {text})",
            hint="Renew the credentials in that kubeconfig, then run this again",
        )
    if status == 403 and (said is None or call.verb not in _WRITES or _UNAUTHORIZED.search(text)):
        return Forbidden(
            f"context {call.context} may not {call.verb} {call.what} (403: {text})",
            hint="Ask whoever runs the cluster for this right; nothing is known about what is there",
        )
    if said is None and status in (404, 502, 503, 504):
        return Unreachable(
            f"what answers at {call.server} is not an API server, or cannot reach it ({status}: {text})",
            hint=f"Look at the server address of context {call.context} and at what stands before it",
        )
    if name := _named(_UNAVAILABLE, text):
        return ApiError(
            f"cannot {call.verb} {call.what}: the admission webhook {name} is unavailable ({_last(text)})",
            status=status,
            body=said or {},
            hint="The object may be fine: see that the webhook's pods are ready (istiod, for Istio's), then run again",
        )
    return ApiError(f"cannot {call.verb} {call.what}: {text}", status=status, body=said or {"message": text})


def _last(text: str) -> str:
    """The innermost reason of a chain such as `failed calling webhook ...: Post ...: connection refused`."""
    return text.rsplit(": ", 1)[-1]
