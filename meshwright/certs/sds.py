"""What a proxy has: the secrets in Envoy's config dump, and the certificates in ztunnel's.

Envoy gets its secrets over SDS from the agent beside it: `default` is the workload's certificate, `ROOTCA` what it
trusts, `kubernetes://...` and `file-cert:...` the credentials of a gateway. Its config dump has them as PEM, without
keys (envoy.admin.v3.SecretsConfigDump); `/certs` has no PEM and so proves nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from meshwright.certs.certificate import Certificate, bundle
from meshwright.errors import MeshwrightError

__all__ = ["SECRETS", "WARMING", "Served", "of_envoy", "of_ztunnel"]

SECRETS = (
    "/config_dump?resource=dynamic_active_secrets&mask=name,last_updated,"
    "secret.tls_certificate.certificate_chain,secret.validation_context.trusted_ca"
)
"""Only the secrets that Envoy works with, and of these only certificates: 5 KB where the whole dump has hundreds."""

WARMING = "/config_dump?resource=dynamic_warming_secrets&mask=name"
"""Secrets that an Envoy waits for."""

_LEAF, _ROOTS = "default", "ROOTCA"


@dataclass(frozen=True)
class Served:
    """What one identity presents and trusts. `chain` is its certificate and what came with it: Istio appends all roots
    to it, so its last one is not the issuer. None: it has not got it. `name` is the SPIFFE name.

    `credentials` are further certificates that a gateway presents, by the name of the secret.
    """

    name: str
    chain: tuple[Certificate, ...] | None
    roots: tuple[Certificate, ...] | None
    updated: str = ""
    credentials: dict[str, tuple[Certificate, ...]] = field(default_factory=dict)

    @property
    def leaf(self) -> Certificate | None:
        """The certificate that it presents."""
        return self.chain[0] if self.chain else None


def of_envoy(body: bytes, where: str) -> Served:
    """From the answer to `SECRETS`. Raises MeshwrightError: it is no such answer, or has damaged certificates."""
    chains: dict[str, tuple[Certificate, ...]] = {}
    roots: tuple[Certificate, ...] | None = None
    updated = ""
    for entry in _document(body, where).get("configs") or []:
        name, secret = str(entry.get("name") or ""), entry.get("secret") or {}
        if name == _ROOTS:
            roots = _inline(secret.get("validation_context"), "trusted_ca", f"ROOTCA of {where}")
        chain = _inline(secret.get("tls_certificate"), "certificate_chain", f"{name} of {where}")
        if chain:
            chains[name] = chain
        if name == _LEAF:
            updated = str(entry.get("last_updated") or "")
    leaf = chains.pop(_LEAF, None)
    spiffe = next(iter(leaf[0].names), "") if leaf else ""
    return Served(spiffe, leaf, roots or None, updated, chains)


def of_ztunnel(body: bytes, where: str) -> list[Served]:
    """From ztunnel's `/config_dump`: one for each identity on its node. Raises as `of_envoy` does."""
    found = []
    for entry in _document(body, where).get("certificates") or []:
        name, state = str(entry.get("identity") or ""), str(entry.get("state") or "")
        texts = {key: "".join(_pem(each) for each in entry.get(key) or []) for key in ("certChain", "rootCerts")}
        chain, roots = (bundle(text, f"{name} of {where}") for text in (texts["certChain"], texts["rootCerts"]))
        found.append(Served(name, chain or None, roots or None, state))
    return found


def _pem(entry: dict[str, Any]) -> str:
    """The PEM of an entry; ztunnel has it in base64."""
    text = str(entry.get("pem") or "")
    return text if "-----BEGIN" in text or not text else base64.b64decode(text).decode(errors="replace")


def _inline(holder: dict[str, Any] | None, key: str, where: str) -> tuple[Certificate, ...]:
    source = (holder or {}).get(key) or {}
    if "inline_string" in source:
        return bundle(source["inline_string"], where)
    return bundle(base64.b64decode(source.get("inline_bytes") or ""), where)


def _document(body: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise MeshwrightError(f"{where} does not answer with a config dump")
    return document
