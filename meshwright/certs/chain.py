"""Paths from a certificate to a root, built and proven, never guessed from the order of a bundle.

Proven by the verifier of `cryptography` (signatures, times, basic constraints, path lengths, name constraints), with
one rule more: an authority key identifier must be the subject key identifier of the certificate above. OpenSSL and
BoringSSL, so every Envoy, build no path otherwise; Go does not look.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509 import verification

from meshwright.certs.certificate import Certificate, issued_by, named, of_der

__all__ = ["Path", "paths", "roots_of", "why_none"]

# A workload's certificate has no subject and a SPIFFE name, and Istio's own roots no key identifiers when they are old:
# the profile of the web would refuse both.
_LEAF = verification.ExtensionPolicy.permit_all()
_CA = _LEAF.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
_DEEPEST = 8


@dataclass(frozen=True)
class Path:
    """A proven path: `certificates` from the leaf to the root that anchors it."""

    certificates: tuple[Certificate, ...]

    @property
    def root(self) -> Certificate:
        """The end of the path."""
        return self.certificates[-1]


def paths(
    leaf: Certificate, others: Iterable[Certificate], roots: Iterable[Certificate], now: dt.datetime
) -> tuple[Path, ...]:
    """One path for each of `roots` that `leaf` chains to, through any of `others`, in a stable order."""
    others = tuple(dict.fromkeys(each for each in others if each != leaf))
    found = (_path(leaf, others, root, now) for root in sorted(set(roots), key=lambda each: each.sha256))
    return tuple(path for path in found if isinstance(path, Path))


def roots_of(
    leaf: Certificate, others: Iterable[Certificate], roots: Iterable[Certificate], now: dt.datetime
) -> frozenset[Certificate]:
    """Those of `roots` that `leaf` chains to."""
    return frozenset(path.root for path in paths(leaf, others, roots, now))


def why_none(leaf: Certificate, others: Iterable[Certificate], roots: Iterable[Certificate], now: dt.datetime) -> str:
    """Why there is no path from `leaf` to any of `roots`; one clause."""
    roots, others = list(dict.fromkeys(roots)), tuple(dict.fromkeys(others))
    if not roots:
        return "there is no root to chain to"
    if not leaf.valid(now):
        return _time(leaf, now)
    # Follow the issuers as far as there are any; what is wrong with the last step is the reason.
    current, seen = leaf, {leaf}
    for _ in range(_DEEPEST):
        above = [each for each in (*roots, *others) if each not in seen and issued_by(current, each)]
        if not above:
            by_name = [each for each in (*roots, *others) if each != current and each.subject == current.issuer]
            if by_name:
                return f"{current.label} says that {current.issuer} signed it, but no key of that name did"
            return f"nothing here signed {current.label}; it names {current.issuer} as its issuer"
        parent = min(above, key=lambda each: (each not in roots, not each.valid(now), each.sha256))
        if not parent.valid(now):
            return _time(parent, now)
        if not parent.ca:
            return f"{parent.label} is no CA"
        if _mismatch(current, parent):
            return f"the authority key id of {current.label} is not the subject key id of {parent.label}"
        if parent in roots:
            said = _path(leaf, others, parent, now)
            return said if isinstance(said, str) else "there is one"
        current = parent
        seen.add(current)
    return f"it is longer than {_DEEPEST} certificates: {named(seen)}"


def _path(leaf: Certificate, others: tuple[Certificate, ...], root: Certificate, now: dt.datetime) -> Path | str:
    """The path to one root, or why there is none in the verifier's words."""
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store([root.x509]))
            .time(now)
            .max_chain_depth(_DEEPEST)
            .extension_policies(ca_policy=_CA, ee_policy=_LEAF)
            .build_client_verifier()
        )
        chain = verifier.verify(leaf.x509, [each.x509 for each in others]).chain
    except (verification.VerificationError, ValueError) as error:
        return str(error).rpartition("exhausted: ")[2]
    found = Path(tuple(of_der(_der(each)) for each in chain))
    broken = next(
        (c for c, p in zip(found.certificates, found.certificates[1:], strict=False) if _mismatch(c, p)), None
    )
    if broken is not None:
        return f"the authority key id of {broken.label} is not the subject key id of what signed it"
    return found


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _mismatch(child: Certificate, parent: Certificate) -> bool:
    return bool(child.aki and parent.ski and child.aki != parent.ski)


def _time(certificate: Certificate, now: dt.datetime) -> str:
    if certificate.not_before > now:
        return f"{certificate.label} is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    return f"{certificate.label} expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC"
