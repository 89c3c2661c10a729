"""Egress: hosts outside of the mesh that are reached through the egress gateway only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.others import Endpoint
from meshwright.environment.mesh.words import Host, Labels, MeshObject, Spec
from meshwright.environment.vocabulary import Port, Words

__all__ = ["Egress", "EgressGateway"]


HostOutside = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)+$", max_length=253
    ),
    Words("one host outside, such as api.example.com, without scheme, port and path"),
]


class EgressGateway(Spec):
    """The egress gateway."""

    host: Host = "istio-egressgateway.istio-system.svc.cluster.local"
    """The host of its Service."""
    selector: Labels = {"istio": "egressgateway"}
    """Labels of its pods."""


class Egress(MeshObject):
    """A host outside: a ServiceEntry, and a Gateway and a VirtualService that lead through the egress gateway."""

    host: HostOutside
    """The host."""
    port: Port
    """Its port."""
    protocol: Literal["HTTP", "TLS"]
    """HTTP, or TLS that is handed on by its SNI."""
    resolution: Literal["DNS", "STATIC"] = "DNS"
    """How the gateway finds its addresses."""
    endpoints: list[Endpoint] = []
    """Its addresses, with STATIC."""
    originate_tls: bool = False
    """With HTTP: the gateway speaks TLS with the host, at tlsPort."""
    tls_port: Port = 443
    """The port at which the host speaks TLS."""
    gateway: EgressGateway = EgressGateway()
    """The egress gateway."""
