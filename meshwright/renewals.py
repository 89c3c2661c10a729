"""How long the certificates of credentials last: what a plan says of them."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cryptography import x509

from meshwright import objects
from meshwright.environment import Environment
from meshwright.environment.problems import Path
from meshwright.manifests import Manifest
from meshwright.plan import Change

__all__ = ["CERT_MANAGER", "end", "of_cert_manager", "said", "sentences"]

CERT_MANAGER = "cert-manager.io"
_FORM = "%Y-%m-%d %H:%M UTC"


def end(secret: objects.Object) -> dt.datetime | None:
    """When the first of the certificates in a Secret's tls.crt ends; None where it has none that can be read."""
    text = (secret.get("data") or {}).get("tls.crt") or ""
    try:
        chain = x509.load_pem_x509_certificates(base64.b64decode(str(text)))
    except (binascii.Error, ValueError):
        return None
    return min(one.not_valid_after_utc for one in chain)


def said(change: Change, live: Mapping[objects.Key, objects.Object]) -> Change:
    """The change of a Secret with both dates, where its certificate is another one after it."""
    if change.kind != "Secret" or not isinstance(change.payload, dict):
        return change
    now = live.get(objects.key(change.payload))
    before, after = end(now) if now else None, end(change.payload)
    if before is None or after is None or before == after:
        return change
    why = f"certificate until {before:{_FORM}} -> until {after:{_FORM}}"
    return replace(change, why=f"{change.why}; {why}" if change.why else why)


def sentences(
    env: Environment, found: Sequence[Manifest], live: Mapping[objects.Key, objects.Object], now: dt.datetime
) -> Iterator[str]:
    """What is to be said of the credentials of an environment, however little a plan changes: which files must be
    replaced, and what cert-manager says. `live` are the objects that are there."""
    for manifest in found:
        # Only what a template has made knows its place in the values.
        path: Path = getattr(manifest, "path", ())
        if path[:2] != ("resources", "credentials"):
            continue
        credential = getattr(env.resources, "credentials")[path[2]]  # noqa: B009 - not every environment has some
        if credential.kind == "cert_manager":
            yield of_cert_manager(str(path[2]), live.get(objects.key(manifest.obj)))
        elif credential.kind == "reference":
            ends = end(manifest.obj)
            days = (ends - now).days if ends else env.certs.gateway_days_warn
            if ends and days < env.certs.gateway_days_warn:
                yield (
                    f"Secret {path[2]}: its certificate ends {ends:{_FORM}}, in {days} days: replace "
                    f"{credential.certificate.shown} ({env.where(*path, 'certificate')}) before that"
                )


def of_cert_manager(name: str, certificate: objects.Object | None) -> str:
    """What a live Certificate of cert-manager says of itself (CertificateStatus of cert-manager.io/v1)."""
    title = f"Certificate {name}"
    status: dict[str, Any] = (certificate or {}).get("status") or {}
    ready = next((one for one in status.get("conditions") or () if one.get("type") == "Ready"), None)
    if certificate is None or ready is None:
        return f"{title}: cert-manager has said nothing about it yet"
    until = f", until {_date(status['notAfter'])}" if status.get("notAfter") else ""
    if ready.get("status") != "True":
        why = ready.get("message") or ready.get("reason") or "without a reason"
        return f"{title}: not Ready: {why}{until}"
    renewed = f", renewed at {_date(status['renewalTime'])}" if status.get("renewalTime") else ""
    return f"{title}: Ready{until}{renewed}"


def _date(text: Any) -> str:
    try:
        return f"{dt.datetime.fromisoformat(str(text)):{_FORM}}"
    except ValueError:
        return str(text)
