"""Which authority signs a mesh, by the rules that istiod follows when it starts (istio.io/istio, pilot/pkg/bootstrap,
istio_ca.go), and the certificates that it has.

Which one signs *now* can be another: istiod reads the files of a plugged-in CA again while it runs only when it started
with them. So callers prove it by a certificate that istiod presents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from meshwright.certs.certificate import Certificate, bundle
from meshwright.certs.mesh import Mesh, Plane, setting, true
from meshwright.kube import Session

__all__ = ["Authority", "Kind", "Material", "decide", "find", "material"]

Object = dict[str, Any]

SELF_SIGNED_SECRET, PLUGGED_SECRET = "istio-ca-secret", "cacerts"

# What istiod wants to be there before it calls a directory a plugged-in CA; cert-chain.pem may be empty.
_FILES = ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
_TLS_FILES = ("tls.crt", "tls.key", "ca.crt")
_CERTIFICATES = ("ca-cert.pem", "cert-chain.pem", "root-cert.pem", "tls.crt", "ca.crt")
_MADE_BY_ISTIOD = "istio-generated"
_TLS = "kubernetes.io/tls"


class Kind(StrEnum):
    """The kinds of authority; the values are words for a sentence."""

    PLUGGED = "plugged-in CA"
    PLUGGED_TLS = "plugged-in CA in the layout of kubernetes.io/tls"
    SELF_SIGNED = "self-signed CA of istiod"
    ISTIO_CSR = "istio-csr of cert-manager"
    KUBERNETES = "a signer of the Kubernetes CSR API"
    EXTERNAL = "an external CA"
    INCOMPLETE = "incomplete plugged-in CA"
    NONE = "none yet"
    UNSEEN = "not looked at"


DRIVEN = frozenset({Kind.PLUGGED, Kind.SELF_SIGNED})
"""Those that Meshwright can change; all are checked and shown."""


@dataclass(frozen=True)
class Material:
    """What a CA Secret has, without its key.

    `secret` is NAMESPACE/NAME; `signer` the certificate that signs first and what follows it in the same file; `md5`
    that of each value's base64 text and a newline, by file, which is what the script of 2019 printed; `missing` the
    files that istiod wants and that are not there; `version` the Secret's resourceVersion; `text` the files with
    certificates as they stand.
    """

    secret: str
    layout: str
    signer: tuple[Certificate, ...]
    chain: tuple[Certificate, ...]
    roots: tuple[Certificate, ...]
    md5: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    made_by_istiod: bool = False
    version: str = ""
    text: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def empty(self) -> bool:
        """Whether it has none of the files that istiod looks for."""
        return len(self.missing) == len(_TLS_FILES if self.layout == _TLS else _FILES)

    @property
    def everything(self) -> tuple[Certificate, ...]:
        """All certificates in it, each once, signer first."""
        return tuple(dict.fromkeys((*self.signer, *self.chain, *self.roots)))


@dataclass(frozen=True)
class Authority:
    """Who signs. `signer` is the certificate whose key signs and `roots` what is handed out to be trusted; both empty
    where the cluster does not have them. `others` are CA Secrets that are there and not used; `why` is the rule."""

    kind: Kind
    why: str
    secret: str = ""
    signer: Certificate | None = None
    chain: tuple[Certificate, ...] = ()
    roots: frozenset[Certificate] = frozenset()
    used: Material | None = None
    others: tuple[Material, ...] = ()

    @property
    def ordered(self) -> tuple[Certificate, ...]:
        """The roots as the Secret has them: in order, with doubles."""
        if self.used is None:
            return ()
        return self.used.signer if self.kind is Kind.SELF_SIGNED else self.used.roots

    @property
    def roots_text(self) -> str:
        """The same as the text that is handed out; "" where the cluster does not have it."""
        if self.used is None:
            return ""
        return self.used.text.get("ca-cert.pem" if self.kind is Kind.SELF_SIGNED else "root-cert.pem", "")

    @property
    def driven(self) -> bool:
        """Whether Meshwright can change it."""
        return self.kind in DRIVEN


def material(secret: Object) -> Material:
    """The certificates of a CA Secret. The key is taken out of `secret` first and goes no further.

    Raises BrokenBundle.
    """
    data: dict[str, str] = dict(secret.get("data") or {})
    secret["data"] = {}
    have = frozenset(data)
    data = {name: text for name, text in data.items() if name in _CERTIFICATES}
    metadata = secret["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"

    def decoded(name: str) -> str:
        try:
            return base64.b64decode(data.get(name) or "", validate=True).decode(errors="replace")
        except binascii.Error:
            return ""

    def read(name: str) -> tuple[Certificate, ...]:
        return bundle(decoded(name), f"{name} of Secret {where}")

    # Where tls.crt is, istiod looks for nothing else (detectSigningCABundleAndCRL).
    tls = "tls.crt" in have
    wanted = _TLS_FILES if tls else _FILES
    names = ("tls.crt", "", "ca.crt") if tls else ("ca-cert.pem", "cert-chain.pem", "root-cert.pem")
    md5 = {
        name: hashlib.md5((text + "\n").encode(), usedforsecurity=False).hexdigest()
        for name, text in sorted(data.items())
        if text
    }
    return Material(
        where,
        _TLS if tls else "istio",
        read(names[0]),
        read(names[1]),
        read(names[2]),
        md5,
        tuple(name for name in wanted if name not in have),
        _MADE_BY_ISTIOD in have,
        str(metadata.get("resourceVersion") or ""),
        {name: text for name in names if (text := decoded(name)) and "PRIVATE KEY" not in text},
    )


def find(live: Session, mesh: Mesh) -> Authority:
    """The authority of the environment's istiod, from its settings and the CA Secrets. Raises Forbidden, Unreachable,
    BrokenBundle."""
    plane = mesh.plane
    names = {SELF_SIGNED_SECRET, (plane.cacerts if plane else "") or PLUGGED_SECRET}
    found = {}
    for name in sorted(names):
        secret = live.get("v1", "Secret", name, mesh.namespace)
        if secret is not None:
            found[name] = material(secret)
    addresses = sorted({setting(pod, "CA_ADDR", "istio-proxy") for pod in mesh.pods} - {""})
    return decide(plane, found, addresses)


def decide(plane: Plane | None, secrets: dict[str, Material], ca_addresses: Sequence[str] = ()) -> Authority:
    """The rules, in the order in which istiod looks. `secrets` are those that are there, by name; `ca_addresses` where
    proxies send their requests for certificates."""
    settings = plane.settings if plane else {}
    there = tuple(secrets.values())
    elsewhere = [address for address in ca_addresses if "istiod" not in address]
    csr = next((address for address in elsewhere if "istio-csr" in address), "")
    if csr:
        return Authority(Kind.ISTIO_CSR, f"proxies ask {csr} for their certificates", others=there)
    if not true(settings.get("ENABLE_CA_SERVER", "true")):
        asked = f"; proxies ask {elsewhere[0]}" if elsewhere else ""
        return Authority(Kind.EXTERNAL, f"istiod's own CA is off (ENABLE_CA_SERVER){asked}", others=there)
    if elsewhere and len(elsewhere) == len(ca_addresses):
        return Authority(Kind.EXTERNAL, f"proxies ask {elsewhere[0]} for their certificates", others=there)
    external = settings.get("EXTERNAL_CA", "")
    if external:
        kind = Kind.KUBERNETES if "KUBERNETES" in external.upper() else Kind.EXTERNAL
        return Authority(kind, f"EXTERNAL_CA of istiod is {external}", others=there)

    name = plane.cacerts if plane else PLUGGED_SECRET
    plugged, own = secrets.get(name), secrets.get(SELF_SIGNED_SECRET)
    reuse = true(settings.get("USE_CACERTS_FOR_SELF_SIGNED_CA", ""))
    if plugged is not None and plugged.empty:
        plugged = None  # of no use to istiod, and no hindrance
    if plugged is not None and plugged.made_by_istiod and reuse and not plugged.missing:
        # It counts as istiod's own; the older Secret goes before it. The mounted roots are handed out in any case.
        why = "istiod keeps its own CA in cacerts (USE_CACERTS_FOR_SELF_SIGNED_CA)"
        return _self_signed(own or plugged, there, why, plugged.roots)
    if plugged is not None and plugged.missing:
        why = f"Secret {plugged.secret} has no {', '.join(plugged.missing)}: istiod does not start with it"
        return Authority(Kind.INCOMPLETE, why, plugged.secret, used=plugged, others=_others(there, plugged))
    if plugged is not None:
        kind = Kind.PLUGGED_TLS if plugged.layout == _TLS else Kind.PLUGGED
        return Authority(
            kind,
            f"Secret {plugged.secret} is mounted into istiod and goes before {SELF_SIGNED_SECRET}",
            plugged.secret,
            plugged.signer[0] if plugged.signer else None,
            (*plugged.signer, *plugged.chain),
            frozenset(plugged.roots),
            plugged,
            _others(there, plugged),
        )
    if own is not None:
        return _self_signed(own, there, f"there is no Secret {name or PLUGGED_SECRET} that istiod mounts")
    return Authority(Kind.NONE, "there is no CA Secret: istiod makes one when it starts")


def _self_signed(
    used: Material, there: tuple[Material, ...], why: str, mounted: Sequence[Certificate] = ()
) -> Authority:
    # istiod reads only ca-cert.pem of it: its first certificate signs, and all of them are handed out as roots. What
    # root-cert.pem says was true on the day the Secret was made.
    return Authority(
        Kind.SELF_SIGNED,
        why,
        used.secret,
        used.signer[0] if used.signer else None,
        used.signer,
        frozenset((*used.signer, *mounted)),
        used,
        _others(there, used),
    )


def _others(there: tuple[Material, ...], used: Material) -> tuple[Material, ...]:
    return tuple(each for each in there if each is not used)
