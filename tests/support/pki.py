"""Certificates of the tests' own, made when they are needed: authorities with intermediates, leaves, CA Secrets."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from meshwright.certs.certificate import Certificate

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def ec_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Signed:
    """A certificate with its key, and what signed it above it."""

    certificate: Certificate
    key: Key
    above: tuple[Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return self.certificate.x509.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode()

    @property
    def chain(self) -> tuple[Certificate, ...]:
        return (self.certificate, *self.above)


def make(
    name: str,
    by: Signed | None = None,
    *,
    ca: bool = True,
    key: Key | None = None,
    days: tuple[float, float] = (-1, 3650),
    names: tuple[str, ...] = (),
    identifiers: bool = True,
    aki: bytes | None = None,
    path_length: int | None = None,
) -> Signed:
    """A certificate for `name` ("" for no subject), signed by `by` or by itself; `days` is its life, from now."""
    key = key or ec_key()
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)] if name else [])
    issuer = by.certificate.x509.subject if by else subject
    signing = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if names:
        kinds = [x509.UniformResourceIdentifier(n) if "://" in n else x509.DNSName(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(kinds), critical=not name)
    if identifiers and ca:
        ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(ski, critical=False)
    if aki is not None:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(aki, None, None), critical=False)
    elif identifiers and by is not None and by.certificate.ski:
        # As the issuer has it: tools compute it in different ways.
        found = x509.AuthorityKeyIdentifier(bytes.fromhex(by.certificate.ski), None, None)
        builder = builder.add_extension(found, critical=False)
    made = builder.sign(signing, hashes.SHA256())
    der = made.public_bytes(serialization.Encoding.DER)
    above = () if by is None else tuple(c for c in by.chain if not c.self_signed)
    return Signed(Certificate(der), key, above)


def leaf(by: Signed, identity: str = "spiffe://cluster.local/ns/shop/sa/web", days: tuple[float, float] = (-0.1, 0.9)):
    """A workload's certificate as istiod signs it: no subject, a SPIFFE name."""
    return make("", by, ca=False, names=(identity,), days=days)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(name: str, data: dict[str, str], namespace: str = "istio-system", kind: str = "Opaque") -> dict[str, Any]:
    """A Secret with `data` in plain text."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: b64(text) for key, text in data.items()},
    }


def self_signed(root: Signed, *more: Signed) -> dict[str, Any]:
    """istio-ca-secret, as istiod makes it; with `more`, several roots of which the first signs."""
    text = "".join(each.pem for each in (root, *more))
    data = {
        "ca-cert.pem": text,
        "ca-key.pem": root.key_pem,
        "root-cert.pem": root.pem,
        "cert-chain.pem": "",
        "key.pem": "",
    }
    return secret("istio-ca-secret", data, kind="istio.io/ca-root")


def plugged(signer: Signed, *roots: Signed, **extra: str) -> dict[str, Any]:
    """cacerts, with all four files."""
    chain = "".join(_pem(each) for each in signer.chain if not each.self_signed)
    data = {
        "ca-cert.pem": signer.pem,
        "ca-key.pem": signer.key_pem,
        "cert-chain.pem": chain,
        "root-cert.pem": "".join(each.pem for each in roots),
        **extra,
    }
    return secret("cacerts", data)


def _pem(certificate: Certificate) -> str:
    return certificate.x509.public_bytes(serialization.Encoding.PEM).decode()
