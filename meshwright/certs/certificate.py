"""Single certificates, and bundles of them as PEM."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshwright.errors import MeshwrightError

__all__ = ["BrokenBundle", "Certificate", "bundle", "issued_by", "named", "of_der", "pem"]

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SHORT = 12
_DAY = 86400


class BrokenBundle(MeshwrightError):
    """A PEM block that says it is a certificate is none."""


@dataclass(frozen=True)
class Certificate:
    """One certificate. Two are the same when their DER is: a name, a serial number or a PEM text proves nothing."""

    der: bytes

    def __repr__(self) -> str:
        return f"<{self.label}>"

    @functools.cached_property
    def x509(self) -> x509.Certificate:
        """The certificate as the library has it."""
        return x509.load_der_x509_certificate(self.der)

    @functools.cached_property
    def sha256(self) -> str:
        """Of the DER, in hex: what openssl calls the fingerprint."""
        import hashlib

        return hashlib.sha256(self.der).hexdigest()

    @property
    def label(self) -> str:
        """Subject and the beginning of the sha256, for sentences: roots of a transition often have one subject."""
        return f"{self.subject} ({self.sha256[:_SHORT]})"

    @functools.cached_property
    def subject(self) -> str:
        """The subject in one line; a workload's certificate has none, then its first name (SPIFFE) stands here."""
        return self.x509.subject.rfc4514_string() or next(iter(self.names), "no subject")

    @functools.cached_property
    def issuer(self) -> str:
        """The issuer's name in one line."""
        return self.x509.issuer.rfc4514_string() or "no issuer"

    @property
    def serial(self) -> str:
        """The serial number in hex, as Envoy prints it."""
        return f"{self.x509.serial_number:032x}"

    @property
    def not_before(self) -> dt.datetime:
        """The beginning of its life."""
        return self.x509.not_valid_before_utc

    @property
    def not_after(self) -> dt.datetime:
        """The end of its life."""
        return self.x509.not_valid_after_utc

    def days(self, now: dt.datetime) -> int:
        """Whole days left; below 0 when it has expired."""
        return int((self.not_after - now).total_seconds() // _DAY)

    def percent(self, now: dt.datetime) -> float:
        """How much of its life is left, 0 to 100."""
        whole = (self.not_after - self.not_before).total_seconds()
        left = (self.not_after - now).total_seconds()
        return max(0.0, min(100.0, 100 * left / whole)) if whole > 0 else 0.0

    def valid(self, now: dt.datetime) -> bool:
        """Whether its life has begun and has not ended."""
        return self.not_before <= now <= self.not_after

    @functools.cached_property
    def ca(self) -> bool:
        """Whether it may sign certificates: BasicConstraints, and KeyUsage where it has one."""
        constraints = _extension(self.x509, x509.BasicConstraints)
        usage = _extension(self.x509, x509.KeyUsage)
        return bool(constraints and constraints.ca and (usage is None or usage.key_cert_sign))

    @functools.cached_property
    def self_signed(self) -> bool:
        """Whether its own key signed it: only then it is a root in the strict sense."""
        return issued_by(self, self)

    @property
    def key(self) -> str:
        """Type and size of its key, such as `RSA 2048` or `EC secp256r1`."""
        public = self.x509.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            return f"RSA {public.key_size}"
        if isinstance(public, ec.EllipticCurvePublicKey):
            return f"EC {public.curve.name}"
        return type(public).__name__.removeprefix("_").removesuffix("PublicKey")

    @functools.cached_property
    def ski(self) -> str:
        """The subject key identifier in hex, "" without one."""
        found = _extension(self.x509, x509.SubjectKeyIdentifier)
        return found.digest.hex() if found else ""

    @functools.cached_property
    def aki(self) -> str:
        """The authority key identifier in hex: the SKI that its issuer must have. "" without one."""
        found = _extension(self.x509, x509.AuthorityKeyIdentifier)
        return found.key_identifier.hex() if found and found.key_identifier else ""

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Its alternative names that are URIs or DNS names."""
        found = _extension(self.x509, x509.SubjectAlternativeName)
        kinds = (x509.UniformResourceIdentifier, x509.DNSName)
        return tuple(str(name.value) for name in found or () if isinstance(name, kinds))

    def as_json(self, now: dt.datetime) -> dict[str, Any]:
        """What `--json` shows; times in UTC."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "sha256": self.sha256,
            "serial": self.serial,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "days_left": self.days(now),
            "key": self.key,
            "ca": self.ca,
            "subject_key_id": self.ski or None,
            "authority_key_id": self.aki or None,
        }


def issued_by(child: Certificate, parent: Certificate) -> bool:
    """Whether the name and the key of `parent` are those that signed `child`."""
    try:
        child.x509.verify_directly_issued_by(parent.x509)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@functools.lru_cache(maxsize=4096)
def of_der(der: bytes) -> Certificate:
    """The certificate; the same object for the same bytes, so that a root that 100 proxies have is read once.

    Raises ValueError for bytes that are none.
    """
    found = Certificate(der)
    _ = found.x509  # now, and not in the middle of a report
    return found


def bundle(text: bytes | str, where: str = "a bundle") -> tuple[Certificate, ...]:
    """The certificates in PEM, in order, doubles too. What is between the blocks, and blocks of other kinds (keys),
    are not looked at.

    Raises BrokenBundle, with `where`.
    """
    raw = text.encode() if isinstance(text, str) else text
    found = []
    for index, block in enumerate(_BLOCK.finditer(raw)):
        try:
            found.append(of_der(base64.b64decode(b"".join(block[1].split()), validate=True)))
        except (ValueError, binascii.Error):
            raise BrokenBundle(f"certificate {index + 1} in {where} is damaged") from None
    return tuple(found)


def pem(certificates: Iterable[Certificate]) -> str:
    """The certificates as PEM, one after the other."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(each.x509.public_bytes(Encoding.PEM).decode() for each in certificates)


def named(certificates: Iterable[Certificate]) -> str:
    """Certificates for a sentence, in a stable order, each once; `none` for none."""
    return ", ".join(sorted({each.label for each in certificates})) or "none"


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None  # a ValueError is an extension that cannot be read: as good as none
