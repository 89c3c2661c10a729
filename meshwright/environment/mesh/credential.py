"""Credentials: where the certificate of a credentialName comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.words import Duration, Host, MeshObject, ObjectName, Spec
from meshwright.environment.vocabulary import Text, Words

__all__ = ["CertManagerCredential", "Credential", "FileCredential", "SelfSignedCredential"]

Hosts = Annotated[list[Host], Field(min_length=1), Words("a list of at least one host")]


class FileCredential(MeshObject):
    """A Secret from files of the project folder, which are not in Git."""

    kind: Literal["file"]
    """`file`: from PEM files; `self_signed`: made here, for a lab; `cert_manager`: made by cert-manager."""
    certificate: Text
    """Path of the certificate chain, PEM, the host's own certificate first."""
    key: Text
    """Path of its private key, PEM."""
    ca: Text | None = None
    """Path of the CA certificates that clients are checked with (MUTUAL)."""


class SelfSignedCredential(MeshObject):
    """A Secret with a certificate that is made here and signed by nobody else; for a lab."""

    kind: Literal["self_signed"]
    """`file`: from PEM files; `self_signed`: made here, for a lab; `cert_manager`: made by cert-manager."""
    hosts: Hosts
    """The hosts that it is for."""
    days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How long it is valid; it is made anew when a third of that is left."""


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
    """`file`: from PEM files; `self_signed`: made here, for a lab; `cert_manager`: made by cert-manager."""
    hosts: Hosts
    """The hosts that it is for."""
    issuer: Issuer
    """Who issues it."""
    duration: Duration | None = None
    """How long it is valid: 2160h."""
    renew_before: Duration | None = None
    """How long before its end it is made anew: 360h."""


Credential = Annotated[FileCredential | SelfSignedCredential | CertManagerCredential, Field(discriminator="kind")]
