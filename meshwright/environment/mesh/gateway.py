"""Istio's Gateway: the ports that gateway proxies open, for which hosts, with which certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.words import GatewayHost, Labels, MeshObject, ObjectName, PortName, Protocol, Spec
from meshwright.environment.vocabulary import Port, Text, Words

__all__ = ["Gateway", "Server", "ServerPort", "ServerTls"]

TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class ServerPort(Spec):
    """The port of a server."""

    number: Port
    """Port that is opened, as clients of the gateway's Service see it."""
    name: PortName
    """Name of the port, its own in the gateway."""
    protocol: Protocol
    """What is spoken there."""


class FileCertificate(Spec):
    """A certificate in files of the gateway's pods."""

    server_certificate: Text
    """Path of the certificate chain."""
    private_key: Text
    """Path of its private key."""
    ca_certificates: Text | None = None
    """Path of the CA certificates that clients are checked with."""


class ServerTls(Spec):
    """What a server does about TLS. The certificate is that of a credential, or of files in the gateway's pods."""

    exclusive = (
        ("credentialName", "credentialNames", "serverCertificate", "tlsCertificates"),
        ("credentialName", "credentialNames", "privateKey", "tlsCertificates"),
        ("caCertCredentialName", "caCertificates"),
    )

    mode: Literal["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"] | None = (
        None
    )
    """SIMPLE ends TLS here; MUTUAL asks for a client's certificate too; PASSTHROUGH hands TLS on by its SNI."""
    https_redirect: bool | None = None
    """Answers plain HTTP by a redirect (301) to https."""
    credential_name: ObjectName | None = None
    """The Secret with the certificate, in the namespace of the gateway's pods."""
    credential_names: list[ObjectName] = []
    """Two Secrets, one RSA and one ECDSA certificate."""
    ca_cert_credential_name: ObjectName | None = None
    """The Secret with the CA certificates that clients are checked with, where it is not NAME-cacert."""
    server_certificate: Text | None = None
    """Path of the certificate chain in the gateway's pods."""
    private_key: Text | None = None
    """Path of its private key there."""
    ca_certificates: Text | None = None
    """Path of the CA certificates there."""
    ca_crl: Text | None = None
    """Path of a list of revoked certificates there."""
    tls_certificates: list[FileCertificate] = []
    """Two certificates in files, one RSA and one ECDSA."""
    subject_alt_names: list[Text] = []
    """Names of which a client's certificate must have one."""
    verify_certificate_spki: list[Text] = []
    """Digests of public keys (base64 of SHA-256) of which a client's must be one."""
    verify_certificate_hash: list[Text] = []
    """Digests of certificates (hex of SHA-256) of which a client's must be one."""
    min_protocol_version: TlsVersion | None = None
    """The oldest TLS that is spoken."""
    max_protocol_version: TlsVersion | None = None
    """The newest TLS that is spoken."""
    cipher_suites: list[Text] = []
    """The cipher suites that are offered, in Envoy's names."""


class Server(Spec):
    """One port and what is served there."""

    port: ServerPort
    """The port."""
    hosts: Annotated[list[GatewayHost], Field(min_length=1), Words("a list of at least one host")]
    """The hosts that are served; a VirtualService for others finds no way through."""
    name: Text | None = None
    """Name of the server, its own in the gateway."""
    bind: Text | None = None
    """Address that is listened on."""
    tls: ServerTls | None = None
    """TLS; needed for HTTPS and TLS."""


class Gateway(MeshObject):
    """A Gateway of Istio."""

    selector: Labels = {"istio": "ingressgateway"}
    """Labels of the gateway pods that it is for."""
    servers: Annotated[list[Server], Field(min_length=1), Words("a list of at least one server")]
    """The ports, each with hosts and TLS."""
