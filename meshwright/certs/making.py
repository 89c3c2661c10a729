"""CAs with their keys: read from a Secret or from files, made anew, or extended. In memory only.

A root that is made here must be one that istiod could have made: in the last part of its life istiod signs it anew by
itself, with the same key, from a template of its own (security/pkg/pki/util/generate_cert.go). What that template does
not keep would come out different, and certificates that live would have no path to the new root. So: a subject of one
organization and nothing else, as PrintableString, and the subject key id that istiod's Go computes.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from meshwright.certs.authority import SELF_SIGNED_SECRET
from meshwright.certs.certificate import Certificate, bundle, issued_by, of_der
from meshwright.certs.contents import Ca
from meshwright.certs.versions import Version
from meshwright.errors import BadInput, MeshwrightError

__all__ = ["extended", "from_files", "held", "new_root"]

Object = dict[str, Any]

# Clocks differ; a certificate that has begun an hour ago has begun everywhere.
_EARLIER = dt.timedelta(hours=1)
_KEY_SIZE = 2048
# istio/istio, go.mod: built with Go 1.25 from here on, whose SubjectKeyId is a truncated SHA-256 (golang/go#71746).
_SHA256_SKI = (1, 29, 0)
# What PrintableString may have (ITU-T X.680, 41.4).
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]+")
_DATED = re.compile(r" \d{4}-\d{2}-\d{2}(\.\d+)?$")
_WANTED, _CHAIN = ("ca-cert.pem", "ca-key.pem", "root-cert.pem"), "cert-chain.pem"


def new_root(old: Certificate, now: dt.datetime, life: dt.timedelta, istiod: Version) -> Ca:
    """A new self-signed root with a key of its own, RSA as istiod makes them. Its organization is that of `old` with
    the day, so that people can tell the two apart. Raises BadInput: that is no name that istiod could keep."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)
    kind = _ASN1Type.PrintableString
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _organization(old, now), _type=kind)])
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    made = (
        _begun(name, key, now, life)
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(_key_id(key, istiod)), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _alone(made, key)


def extended(old: Ca, now: dt.datetime, life: dt.timedelta) -> Ca:
    """The same root with a longer life: same key, and subject and all extensions copied as they are, because what lives
    names them. Raises MeshwrightError: the key of the root is not here."""
    if old.signer != old.root:
        raise MeshwrightError(
            f"the key of {old.root.label} is not here: {old.signer.label} signs",
            hint="Whoever has that key extends the root; then replace it",
        )
    key = _key(old.key, f"the key of {old.root.label}")
    builder = _begun(old.root.x509.subject, key, now, life)
    for extension in old.root.x509.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())
    ca = _alone(made, key)
    return Ca(ca.root, ca.signer, (), old.key)


def held(secret: Object) -> Ca:
    """The CA of a CA Secret, key included: its first certificate signs. Of several roots the one that the signer is
    under is its own; `roots_text` is the whole text. Raises MeshwrightError: it is not complete."""
    metadata, data = secret["metadata"], secret.get("data") or {}
    where = f"Secret {metadata['namespace']}/{metadata['name']}"
    try:
        texts = {name: base64.b64decode(data.get(name) or "", validate=True).decode() for name in (*_WANTED, _CHAIN)}
    except (binascii.Error, UnicodeDecodeError):
        raise MeshwrightError(f"{where} has a file that is no text") from None
    own = metadata["name"] == SELF_SIGNED_SECRET
    if own:
        texts["root-cert.pem"] = texts["ca-cert.pem"]
    ca = _assembled(texts, where, MeshwrightError)
    return Ca(ca.root, ca.signer, ca.chain, ca.key, str(metadata["name"]), texts["root-cert.pem"])


def from_files(files: Mapping[str, bytes], where: str) -> Ca:
    """The CA in the four files that istiod wants, by name; cert-chain.pem may be absent or empty where the root itself
    signs. Raises BadInput."""
    try:
        texts = {name: files.get(name, b"").decode() for name in (*_WANTED, _CHAIN)}
    except UnicodeDecodeError:
        raise BadInput(f"{where} has a file that is no text", hint="All four files are PEM") from None
    missing = [name for name in _WANTED if not texts[name].strip()]
    if missing:
        raise BadInput(f"{where} has no {', '.join(missing)}", hint=f"Give {', '.join(_WANTED)} and {_CHAIN}")
    roots = frozenset(bundle(texts["root-cert.pem"], f"root-cert.pem of {where}"))
    if len(roots) > 1:
        raise BadInput(
            f"root-cert.pem of {where} has {len(roots)} roots",
            hint="Give the new root alone: the old one is put beside it, and taken away, by the change itself",
        )
    return _assembled(texts, where, BadInput)


def _assembled(texts: Mapping[str, str], where: str, wrong: type[MeshwrightError]) -> Ca:
    signers = bundle(texts["ca-cert.pem"], f"ca-cert.pem of {where}")
    roots = bundle(texts["root-cert.pem"], f"root-cert.pem of {where}")
    chain = bundle(texts[_CHAIN], f"{_CHAIN} of {where}")
    if not signers or not roots or "PRIVATE KEY" not in texts["ca-key.pem"]:
        raise wrong(f"{where} has not all of a CA: a certificate, its key, and a root")
    signer = signers[0]
    above = tuple(dict.fromkeys(each for each in (*signers[1:], *chain) if each not in (signer, *roots)))
    return Ca(_own_root(signer, above, roots), signer, above, texts["ca-key.pem"])


def _own_root(signer: Certificate, above: tuple[Certificate, ...], roots: tuple[Certificate, ...]) -> Certificate:
    """The root that the signer is under: itself, or the one that its chain leads to; the first where none is, which is
    for meshwright.certs.candidate to say."""
    if signer in roots:
        return signer
    for each in (*reversed(above), signer):
        found = next((root for root in roots if issued_by(each, root)), None)
        if found is not None:
            return found
    return roots[0]


def _organization(old: Certificate, now: dt.datetime) -> str:
    names = old.x509.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    before = str(names[0].value) if names else "cluster.local"
    name = f"{_DATED.sub('', before)} {now:%Y-%m-%d}"
    if name == before:  # a second one on that day
        name += f".{now:%H%M%S}"
    if not _PRINTABLE.fullmatch(name):
        raise BadInput(f"{name!r} is no organization for a root", hint="Only letters, digits and ' ( ) + , - . / : = ?")
    return name


def _begun(name: x509.Name, key: Any, now: dt.datetime, life: dt.timedelta) -> x509.CertificateBuilder:
    start = now - _EARLIER
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + life)
    )


def _key_id(key: rsa.RSAPrivateKey, istiod: Version) -> bytes:
    raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if istiod >= _SHA256_SKI:
        return hashlib.sha256(raw).digest()[:20]
    return hashlib.sha1(raw, usedforsecurity=False).digest()


def _key(text: str, where: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        raise MeshwrightError(f"{where} cannot be read") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise MeshwrightError(f"{where} is neither RSA nor EC")
    return key


def _alone(made: x509.Certificate, key: Any) -> Ca:
    """A root that signs by itself. Keys in the form in which istiod writes them."""
    root = of_der(made.public_bytes(Encoding.DER))
    text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return Ca(root, root, (), text)
