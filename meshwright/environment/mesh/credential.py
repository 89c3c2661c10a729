"""Credentials: where the certificate of a credentialName comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.reference import SecretAt
from meshwright.environment.mesh.words import Duration, Host, MeshObject, ObjectName, Spec
from meshwright.environment.vocabulary import Text, Words

__all__ = ["CertManagerCredential", "Credential", "ReferenceCredential", "SelfSignedCredential"]

Hosts = Annotated[list[Host], Field(min_length=1), Words("a list of at least one host")]


class ReferenceCredential(MeshObject):
    """A Secret from references to PEM."""

    kind: Literal["reference"]
    """`reference`: from where the values say; `self_signed`: made here, for a lab; `cert_manager`: of cert-manager."""
    certificate: SecretAt
    """The certificate chain, the host's own certificate first."""
    key: SecretAt
    """Its private key."""
    ca: SecretAt | None = None
    """The CA certificates that clients are checked with (MUTUAL)."""
    crl: SecretAt | None = None
    """The revoked certificates of these, which clients are checked with too."""


class SelfSignedCredential(MeshObject):
    """A Secret with a certificate that is made here and signed by nobody else; for a lab."""

    kind: Literal["self_signed"]
    """`reference`: from where the values say; `self_signed`: made here, for a lab; `cert_manager`: of cert-manager."""
    hosts: Hosts
    """The hosts that it is for."""
    days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How long it is valid; made anew when fewer days are left than certs.gateway_days_warn, or than half of it."""


class Issuer(Spec):
    """An issuer of cert-manager."""

    name: ObjectName
    """Its name."""
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
    """Its kind."""
    group: Text = "cert-manager.io"
    """Its API group."""


class CertManagerCredential(MeshObject):
    """A Certificate of cert-manager, which keeps the Secret."""

    kind: Literal["cert_manager"]
    """`reference`: from where the values say; `self_signed`: made here, for a lab; `cert_manager`: of cert-manager."""
    hosts: Hosts
    """The hosts that it is for."""
    issuer: Issuer
    """Who issues it."""
    duration: Duration | None = None
    """How long it is valid: 2160h."""
    renew_before: Duration | None = None
    """How long before its end it is made anew: 360h."""


Credential = Annotated[ReferenceCredential | SelfSignedCredential | CertManagerCredential, Field(discriminator="kind")]
