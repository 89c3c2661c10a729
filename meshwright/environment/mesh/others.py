"""Istio's ServiceEntry and Sidecar."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.destination_rule import ConnectionPool
from meshwright.environment.mesh.gateway import ServerTls
from meshwright.environment.mesh.matching import Destination
from meshwright.environment.mesh.words import (
    Address,
    Host,
    Labels,
    MeshObject,
    Number,
    PortName,
    Protocol,
    SidecarHost,
    Spec,
)
from meshwright.environment.vocabulary import Name, Port, Text, Words

__all__ = ["ServiceEntry", "Sidecar"]


class EntryPort(Spec):
    """A port of a host."""

    number: Port
    """Port that clients use."""
    name: PortName
    """Name of the port."""
    protocol: Protocol | None = None
    """What is spoken there."""
    target_port: Port | None = None
    """Port of the endpoints, where it is another."""


class Endpoint(Spec):
    """An address of a host."""

    address: Text | None = None
    """An IP address; with DNS a name."""
    ports: dict[PortName, Port] = {}
    """Ports by their names, where they are others."""
    labels: Labels = {}
    """Labels, for subsets."""
    network: Text | None = None
    """Its network."""
    locality: Text | None = None
    """region/zone/subzone."""
    weight: Number | None = None
    """Its share."""
    service_account: Text | None = None
    """The account that its sidecar has."""


class LabelSelector(Spec):
    """Pods by their labels."""

    labels: Labels
    """Labels that they have."""


class ServiceEntry(MeshObject):
    """A ServiceEntry of Istio: hosts that no Service of the cluster stands for."""

    exclusive = (("workloadSelector", "endpoints"),)

    hosts: Annotated[list[Host], Field(min_length=1), Words("a list of at least one host")]
    """The hosts; none is * alone."""
    addresses: list[Address] = []
    """Addresses that the hosts have for clients."""
    ports: list[EntryPort] = []
    """Ports of the hosts."""
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] | None = None
    """Whether they are in the mesh: outside, mutual TLS is not tried."""
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] | None = None
    """How their addresses are found: the client's own, `endpoints`, or DNS."""
    endpoints: list[Endpoint] = []
    """Their addresses."""
    workload_selector: LabelSelector | None = None
    """Pods that stand for them."""
    subject_alt_names: list[Text] = []
    """Identities that they may have."""
    export_to: list[Name | Literal[".", "*"]] = []
    """Namespaces that see it: their names, . (its own) or * (all)."""


class SidecarPort(Spec):
    """A port that a sidecar listens on."""

    number: Port
    """The port."""
    name: PortName | None = None
    """Its name."""
    protocol: Protocol | None = None
    """What is spoken there."""


class EgressListener(Spec):
    """What pods may reach."""

    hosts: Annotated[list[SidecarHost], Field(min_length=1), Words("a list of at least one NAMESPACE/HOST")]
    """The hosts that the sidecar knows."""
    port: SidecarPort | None = None
    """The port it listens on for them."""
    bind: Text | None = None
    """The address it listens on for them."""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] | None = None
    """How connections get there."""


class IngressListener(Spec):
    """What reaches the pods."""

    port: SidecarPort
    """The port it listens on."""
    bind: Text | None = None
    """The address it listens on."""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] | None = None
    """How connections get there."""
    default_endpoint: Text | None = None
    """Where requests go: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///PATH."""
    tls: ServerTls | None = None
    """TLS that ends at the sidecar."""
    connection_pool: ConnectionPool | None = None
    """Limits towards the application."""


class OutboundTrafficPolicy(Spec):
    """Hosts that nobody knows."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] | None = None
    """Whether they can be reached."""
    egress_proxy: Destination | None = None
    """Where traffic for them goes."""


class Sidecar(MeshObject):
    """A Sidecar of Istio: what the proxies of pods know and listen on."""

    workload_selector: LabelSelector | None = None
    """Its pods; absent: all of the namespace."""
    egress: list[EgressListener] = []
    """What they may reach."""
    ingress: list[IngressListener] = []
    """What reaches them."""
    inbound_connection_pool: ConnectionPool | None = None
    """Limits of what reaches them."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """Hosts that nobody knows."""
