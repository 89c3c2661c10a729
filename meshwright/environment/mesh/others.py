"""Istio's ServiceEntry, Sidecar and Telemetry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from meshwright.environment.mesh.destination_rule import ConnectionPool
from meshwright.environment.mesh.gateway import ServerTls
from meshwright.environment.mesh.matching import Destination
from meshwright.environment.mesh.security import TargetRef, WorkloadSelector
from meshwright.environment.mesh.words import (
    Address,
    Duration,
    Host,
    Labels,
    MeshObject,
    Number,
    Percent,
    PortName,
    Protocol,
    SidecarHost,
    Spec,
)
from meshwright.environment.vocabulary import Name, Port, Text, Words

__all__ = ["ServiceEntry", "Sidecar", "Telemetry"]


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


class ProviderName(Spec):
    """A provider of meshConfig.extensionProviders."""

    name: Text
    """Its name."""


class Mode(Spec):
    """On which side of a connection."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] | None = None
    """Where the setting holds."""


class LogFilter(Spec):
    """Which requests are logged."""

    expression: Text
    """CEL: response.code >= 400."""


class AccessLogging(Spec):
    """Access logs."""

    match: Mode | None = None
    """On which side."""
    providers: list[ProviderName] = []
    """Who takes them."""
    disabled: bool | None = None
    """Whether none are written."""
    filter: LogFilter | None = None
    """Which requests are logged."""


class Tracing(Spec):
    """Traces."""

    match: Mode | None = None
    """On which side."""
    providers: list[ProviderName] = []
    """Who takes them."""
    random_sampling_percentage: Percent | None = None
    """How many requests are traced."""
    disable_span_reporting: bool | None = None
    """Whether nothing is sent, and headers are passed on only."""
    custom_tags: dict[Text, dict[str, Any]] = {}
    """Further tags, each with `literal`, `environment`, `header` or `formatter`."""
    enable_istio_tags: bool | None = None
    """Whether Istio's own tags are there."""
    use_request_id_for_trace_sampling: bool | None = None
    """Whether x-request-id decides."""
    disable_context_propagation: bool | None = None
    """Whether headers of traces are not passed on."""


class MetricMatch(Spec):
    """Metrics."""

    exclusive = (("metric", "customMetric"),)

    metric: Text | None = None
    """One of Istio's, such as REQUEST_COUNT; ALL_METRICS."""
    custom_metric: Text | None = None
    """Another."""
    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] | None = None
    """On which side."""


class TagOverride(Spec):
    """A tag of a metric."""

    operation: Literal["UPSERT", "REMOVE"] | None = None
    """What is done to it."""
    value: Text | None = None
    """CEL that gives its value."""


class MetricsOverride(Spec):
    """What is changed in metrics."""

    match: MetricMatch | None = None
    """Which metrics."""
    disabled: bool | None = None
    """Whether they are not kept."""
    tag_overrides: dict[Text, TagOverride] = {}
    """Their tags."""


class Metrics(Spec):
    """Metrics."""

    providers: list[ProviderName] = []
    """Who takes them."""
    overrides: list[MetricsOverride] = []
    """What is changed."""
    reporting_interval: Duration | None = None
    """How often they are sent."""


class Telemetry(MeshObject):
    """A Telemetry of Istio: access logs, traces and metrics."""

    exclusive = (("selector", "targetRefs"),)

    selector: WorkloadSelector | None = None
    """Its pods; absent: all of the namespace, in the root namespace all of the mesh."""
    target_refs: list[TargetRef] = []
    """The objects that it is for, instead of pods."""
    access_logging: list[AccessLogging] = []
    """Access logs."""
    tracing: list[Tracing] = []
    """Traces."""
    metrics: list[Metrics] = []
    """Metrics."""
