"""Whether a CA can sign a mesh: what is looked at before anything is written.

istiod verifies a CA before it takes it over and keeps the old one when it is not satisfied, but one that restarts with
such a CA does not start (security/pkg/pki/util/keycertbundle.go, Verify). So the same is proven here first, and what
would break later with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshwright.certs.certificate import Certificate
from meshwright.certs.chain import paths, why_none
from meshwright.certs.contents import Ca, Case
from meshwright.certs.finding import Finding
from meshwright.check import State

__all__ = ["findings"]

_SERVER_OR_ANY = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def findings(
    new: Ca, old: Ca | None, now: dt.datetime, leaf_life: dt.timedelta, case: Case, *, key: bool = True
) -> list[Finding]:
    """Everything that is wrong with `new` as the CA after `old`; `leaf_life` is the longest life that istiod gives to a
    workload's certificate. FAILED: it must not be used; WARNING: it works, and somebody should know. Without `key` the
    key is not looked at: a plan does not read it."""
    return [
        *(_key(new) if key else ()),
        *_path(new, now),
        *_lives(new, now, leaf_life),
        *_usages(new),
        *_beside(new, old, case),
    ]


def _failed(about: str, detail: str, hint: str = "") -> Finding:
    return Finding(State.FAILED, about, detail, hint)


def _key(new: Ca) -> Iterator[Finding]:
    name = f"key of {new.signer.label}"
    try:
        key = load_pem_private_key(new.key.encode(), password=None)
    except (ValueError, TypeError):
        yield _failed(name, "it cannot be read", "Give the key as PEM, without a password")
        return
    if _public(key) != _public_of(new.signer):
        yield _failed(name, "it is the key of another certificate", "ca-key.pem and ca-cert.pem must belong together")


def _public(key: object) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return made


def _public_of(certificate: Certificate) -> bytes:
    return certificate.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _path(new: Ca, now: dt.datetime) -> Iterator[Finding]:
    for each in _all(new):
        if not each.ca:
            yield _failed(each.label, "it is no CA: its certificates would be refused")
    if not new.root.self_signed:
        yield _failed(new.root.label, "it did not sign itself, so it is no root", "Put what signed it at the end")
    if not paths(new.signer, new.chain, [new.root], now):
        why = why_none(new.signer, new.chain, [new.root], now)
        yield _failed(new.signer.label, f"it has no path to {new.root.label}: {why}", "cert-chain.pem must lead there")


def _lives(new: Ca, now: dt.datetime, leaf_life: dt.timedelta) -> Iterator[Finding]:
    for each in _all(new):
        if each.not_before > now:
            yield _failed(each.label, f"it is not valid before {each.not_before:%Y-%m-%d %H:%M} UTC")
        elif each.not_after <= now:
            yield _failed(each.label, f"it expired on {each.not_after:%Y-%m-%d %H:%M} UTC")
        elif each.not_after - now <= leaf_life:
            days = each.days(now)
            text = f"it ends in {days} days, before a certificate that it would sign"
            yield _failed(each.label, text, "Give one that outlives them: near its end leaves get shorter and shorter")
    for below, above in zip((new.signer, *new.chain), (*new.chain, new.root), strict=False):
        if above.not_after < below.not_after:
            text = f"it outlives {above.label}, which it is under"
            yield Finding(State.WARNING, below.label, text, "It ends with the one above")


def _usages(new: Ca) -> Iterator[Finding]:
    for each in _all(new):
        try:
            usage = each.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            continue
        if not _SERVER_OR_ANY & set(usage):
            yield _failed(each.label, "its extended key usage has no server authentication, so istiod refuses it")
    if not new.root.ski:
        hint = "It works; only when it is extended one day, every tool has to agree on what was never written"
        yield Finding(State.WARNING, new.root.label, "it has no subject key id", hint)


def _beside(new: Ca, old: Ca | None, case: Case) -> Iterator[Finding]:
    if old is None:
        return
    same = _public_of(new.root) == _public_of(old.root)
    if case is Case.EXTEND:
        yield from _extension(new, old, same)
        return
    if new.root == old.root:
        yield _failed(new.root.label, "it is the root that the mesh has already")
    elif same:
        yield _failed(new.root.label, "it has the key of the old root", "That is an extension, not a new root")
    elif new.root.subject == old.root.subject:
        text = f"it has the name of the old root, {old.root.subject}"
        yield Finding(State.WARNING, new.root.label, text, "It works; logs and dashboards cannot tell them apart")


def _extension(new: Ca, old: Ca, same: bool) -> Iterator[Finding]:
    if not same:
        yield _failed(new.root.label, "it has another key than the old root, so it is a new root, not an extension")
    if new.root.x509.subject.public_bytes() != old.root.x509.subject.public_bytes():
        yield _failed(new.root.label, "its subject is not byte for byte that of the old root")
    if new.root.ski != old.root.ski:
        text = "its subject key id is not that of the old root: OpenSSL and Envoy would build no path to it"
        yield _failed(new.root.label, text, "Copy it from the old root: tools compute it in different ways")
    if new.root.not_after <= old.root.not_after:
        yield _failed(new.root.label, "it does not last longer than the old root")


def _all(new: Ca) -> tuple[Certificate, ...]:
    return tuple(dict.fromkeys((new.signer, *new.chain, new.root)))
