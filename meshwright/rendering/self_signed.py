"""Certificates that are signed by nobody else, for a lab: made here, and kept for the next plan."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["enough", "kept"]

_MARKER = b"-----BEGIN PRIVATE KEY-----"


def enough(certificate: x509.Certificate, warn: int, now: datetime.datetime) -> bool:
    """Whether it is not yet time for another one: more than `warn` days are left, or more than half of its life where
    that is less."""
    whole = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now > min(datetime.timedelta(days=warn), whole / 2)


def kept(file: Path, hosts: Sequence[str], days: int, warn: int, now: datetime.datetime) -> dict[str, bytes]:
    """The data of a Secret: the certificate and key in `file`, while they are for these hosts and there is `enough` of
    their life left; else new ones, which are put there."""
    try:
        pem = file.read_bytes()
        own = x509.load_pem_x509_certificates(pem)[0]
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        whole = own.not_valid_after_utc - own.not_valid_before_utc
        same = names.get_values_for_type(x509.DNSName) == list(hosts) and whole.days == days
        if same and enough(own, warn, now):
            return _parts(pem)
    except (OSError, ValueError, x509.ExtensionNotFound):
        pass
    pem = _made(hosts, days, now)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written whole or not at all, and readable by nobody else from the first byte on.
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(pem)
    new.replace(file)
    return _parts(pem)


def _parts(pem: bytes) -> dict[str, bytes]:
    chain, marker, key = pem.partition(_MARKER)
    if not marker:
        raise ValueError("no key")
    return {"tls.crt": chain, "tls.key": marker + key}


def _made(hosts: Sequence[str], days: int, now: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # RFC 5280: a common name has at most 64 characters.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
