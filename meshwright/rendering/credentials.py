"""What a credential has in its Secret: files of the user's, or a certificate that is made here."""

from __future__ import annotations

import base64
import datetime
import os
from pathlib import Path as File

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshwright.environment import Environment
from meshwright.environment.mesh.credential import CertManagerCredential, FileCredential, SelfSignedCredential
from meshwright.environment.problems import Path, dotted
from meshwright.errors import BadInput
from meshwright.project import Project

__all__ = ["certificate", "data"]

AnyCredential = FileCredential | SelfSignedCredential | CertManagerCredential


def data(project: Project, env: Environment, path: Path, credential: AnyCredential) -> dict[str, str]:
    """The Secret's data in base64; empty where cert-manager makes it. `path` is where the credential is in the values.

    Raises BadInput: a file that is missing, not PEM, expired, or a key of another certificate.
    """
    if isinstance(credential, CertManagerCredential):
        return {}
    if isinstance(credential, FileCredential):
        found = _files(project, env, path, credential)
    else:
        found = _self_signed(project, env, path, credential)
    return {name: base64.b64encode(content).decode() for name, content in found.items()}


def certificate(pem: bytes) -> x509.Certificate:
    """The first certificate of a chain. Raises ValueError."""
    return x509.load_pem_x509_certificates(pem)[0]


def _files(project: Project, env: Environment, path: Path, credential: FileCredential) -> dict[str, bytes]:
    chain = _read(project, env, (*path, "certificate"), credential.certificate)
    key = _read(project, env, (*path, "key"), credential.key)
    found = {"tls.crt": chain, "tls.key": key}
    if credential.ca is not None:
        found["ca.crt"] = _read(project, env, (*path, "ca"), credential.ca)
        _parsed(env, (*path, "ca"), credential.ca, found["ca.crt"])
    own = _parsed(env, (*path, "certificate"), credential.certificate, chain)
    place = env.where(*path, "certificate")
    if own.not_valid_after_utc <= _now():
        raise BadInput(
            f"{place}: {credential.certificate} has expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            hint="Have it issued anew",
        )
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError):
        raise BadInput(
            f"{env.where(*path, 'key')}: {credential.key} is not a private key in PEM without a password",
            hint="openssl pkey -in FILE says what it is",
        ) from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise BadInput(
            f"{env.where(*path, 'key')}: {credential.key} is not the key of {credential.certificate}",
            hint="The chain begins with the host's own certificate",
        )
    return found


def _parsed(env: Environment, path: Path, name: str, pem: bytes) -> x509.Certificate:
    try:
        return certificate(pem)
    except ValueError:
        raise BadInput(
            f"{env.where(*path)}: {name} has no certificate in PEM", hint="It begins with -----BEGIN"
        ) from None


def _read(project: Project, env: Environment, path: Path, name: str) -> bytes:
    try:
        return (project.root / File(name).expanduser()).read_bytes()
    except OSError as error:
        raise BadInput(
            f"{env.where(*path)}: {dotted(path)} is {name}, which cannot be read: {error.strerror or error}",
            hint="Paths are relative to the project",
        ) from None


def _self_signed(project: Project, env: Environment, path: Path, credential: SelfSignedCredential) -> dict[str, bytes]:
    """The certificate that was made last, while it is for these hosts and not near its end; else a new one."""
    file = project.of(env.name) / "credentials" / f"{path[-1]}.pem"
    now = _now()
    try:
        pem = file.read_bytes()
        own = certificate(pem)
        whole = own.not_valid_after_utc - own.not_valid_before_utc
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        same = names.get_values_for_type(x509.DNSName) == credential.hosts and whole.days == credential.days
        if same and own.not_valid_after_utc - now > whole / 3:
            return _parts(pem)
    except (OSError, ValueError, x509.ExtensionNotFound):
        pass
    pem = _made(credential, now)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written whole or not at all, and readable by nobody else from the first byte on.
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(pem)
    new.replace(file)
    return _parts(pem)


def _parts(pem: bytes) -> dict[str, bytes]:
    chain, marker, key = pem.partition(b"-----BEGIN PRIVATE KEY-----")
    if not marker:
        raise ValueError("no key")
    return {"tls.crt": chain, "tls.key": marker + key}


def _made(credential: SelfSignedCredential, now: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # RFC 5280: a common name has at most 64 characters.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, credential.hosts[0][:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=credential.days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in credential.hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
