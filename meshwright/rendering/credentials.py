"""What Secrets have in them: what references stand for, looked at first, or a certificate that is made here."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
    PublicKeyTypes,
)

from meshwright.environment import Environment
from meshwright.environment.mesh.credential import CertManagerCredential, ReferenceCredential, SelfSignedCredential
from meshwright.environment.mesh.reference import Reference, SecretObject
from meshwright.environment.problems import Path
from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.rendering import self_signed
from meshwright.secrets import Resolver

__all__ = ["WithData", "certificate", "data"]

WithData = CertManagerCredential | ReferenceCredential | SecretObject | SelfSignedCredential
T = TypeVar("T")
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


def data(project: Project, env: Environment, path: Path, obj: WithData, resolver: Resolver) -> dict[str, str]:
    """The Secret's data in base64; empty where cert-manager makes it. `path` is where `obj` is in the values.

    Raises what `resolver` does, and BadInput: a certificate that is not PEM or has expired, a key of another
    certificate, a list of revoked ones that would make the gateway refuse everybody.
    """
    if isinstance(obj, CertManagerCredential):
        return {}
    if isinstance(obj, SelfSignedCredential):
        file = project.of(env.name) / "credentials" / f"{path[-1]}.pem"
        found = self_signed.kept(file, obj.hosts, obj.days, env.certs.gateway_days_warn, _now())
    elif isinstance(obj, SecretObject):
        found = {key: resolver.resolve((*path, "data", key), one) for key, one in obj.data.items()}
    else:
        found = _referred(env, path, obj, resolver)
    return {name: base64.b64encode(content).decode() for name, content in found.items()}


def certificate(pem: bytes) -> x509.Certificate:
    """The first certificate of a chain. Raises ValueError."""
    return x509.load_pem_x509_certificates(pem)[0]


def _referred(env: Environment, path: Path, obj: ReferenceCredential, resolver: Resolver) -> dict[str, bytes]:
    given: Mapping[str, Reference | None] = {"tls.crt": obj.certificate, "tls.key": obj.key, "ca.crt": obj.ca}
    # The keys that istiod reads (GetServerCredential in pilot/pkg/credentials/kube/secrets.go).
    given = {**given, "ca.crl": obj.crl}
    paths = dict(zip(given, ("certificate", "key", "ca", "crl"), strict=True))
    found = {name: resolver.resolve((*path, paths[name]), one) for name, one in given.items() if one is not None}

    def bad(name: str, sentence: str, hint: str) -> BadInput:
        reference = given[name]
        assert reference is not None
        return BadInput(f"{env.where(*path, paths[name])}: {reference.shown} {sentence}", hint=hint)

    def parsed(name: str, parse: Callable[[bytes], T], what: str, hint: str = "It begins with -----BEGIN") -> T:
        try:
            return parse(found[name])
        except (ValueError, TypeError):
            raise bad(name, f"has no {what}", hint) from None

    own = parsed("tls.crt", certificate, "certificate in PEM")
    ends = own.not_valid_after_utc
    if ends <= _now():
        raise bad("tls.crt", f"has expired at {ends:%Y-%m-%d %H:%M} UTC", "Have it issued anew")
    key = parsed("tls.key", _key, "private key in PEM without a password", "openssl pkey -in FILE says what it is")
    if _public(key.public_key()) != _public(own.public_key()):
        raise bad("tls.key", f"is not the key of {obj.certificate.shown}", "The chain begins with the host's own")
    authorities = parsed("ca.crt", x509.load_pem_x509_certificates, "certificate in PEM") if obj.ca else []
    for one in parsed("ca.crl", _revoked, "list of revoked certificates in PEM") if obj.crl else []:
        if one.issuer not in [authority.subject for authority in authorities]:
            raise bad("ca.crl", "is of another authority than those of ca", "openssl crl -issuer -in FILE says whose")
        if one.next_update_utc is not None and one.next_update_utc <= _now():
            ended = f"{one.next_update_utc:%Y-%m-%d %H:%M} UTC"
            raise bad("ca.crl", f"was due to be replaced at {ended}", "With it the gateway refuses every client")
    return found


def _key(pem: bytes) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(pem, None)


def _revoked(pem: bytes) -> list[x509.CertificateRevocationList]:
    found = [x509.load_pem_x509_crl(one) for one in _CRL.findall(pem)]
    if not found:
        raise ValueError
    return found


def _public(key: PublicKeyTypes | CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
