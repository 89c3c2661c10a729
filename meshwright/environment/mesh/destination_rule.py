"""Istio's DestinationRule: what clients do on the way to a host, and its subsets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.load_balancing import LoadBalancer
from meshwright.environment.mesh.matching import PortSelector
from meshwright.environment.mesh.security import WorkloadSelector
from meshwright.environment.mesh.words import (
    Duration,
    Host,
    Labels,
    MeshObject,
    Number,
    ObjectName,
    Percent,
    Ratio,
    Spec,
)
from meshwright.environment.vocabulary import Name, Port, Text

__all__ = ["ClientTls", "ConnectionPool", "DestinationRule", "OutlierDetection", "Subset", "TrafficPolicy"]


class TcpKeepalive(Spec):
    """Probes that find dead connections."""

    probes: Number | None = None
    """How many go unanswered before the connection is dead."""
    time: Duration | None = None
    """How long a connection is idle before the first."""
    interval: Duration | None = None
    """Time between two."""


class TcpPool(Spec):
    """Limits of connections."""

    max_connections: Number | None = None
    """The most connections to the host."""
    connect_timeout: Duration | None = None
    """How long connecting may take."""
    idle_timeout: Duration | None = None
    """How long a TCP connection may be idle."""
    max_connection_duration: Duration | None = None
    """How old a connection may become; then it is drained."""
    tcp_keepalive: TcpKeepalive | None = None
    """Probes that find dead connections."""


class Http2KeepAlive(Spec):
    """PINGs on HTTP/2 connections."""

    interval: Duration | None = None
    """Time between two."""
    timeout: Duration | None = None
    """How long an answer may take."""


class HttpPool(Spec):
    """Limits of requests."""

    http1_max_pending_requests: Number | None = None
    """The most requests that wait for a connection."""
    http2_max_requests: Number | None = None
    """The most requests at once."""
    max_requests_per_connection: Number | None = None
    """The most requests of one connection; 1: no keep-alive."""
    max_retries: Number | None = None
    """The most attempts at once beyond the first ones."""
    idle_timeout: Duration | None = None
    """How long a connection without a request is kept."""
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    """Whether HTTP/1.1 is sent on as HTTP/2."""
    use_client_protocol: bool | None = None
    """Whether the client's protocol is kept."""
    max_concurrent_streams: Number | None = None
    """The most requests at once on one HTTP/2 connection."""
    http2_keep_alive: Http2KeepAlive | None = None
    """PINGs on HTTP/2 connections."""


class ConnectionPool(Spec):
    """Limits: what is above them is answered with 503 at once."""

    tcp: TcpPool | None = None
    """Of connections."""
    http: HttpPool | None = None
    """Of requests."""


class OutlierDetection(Spec):
    """The circuit breaker: pods that fail get nothing for a time."""

    consecutive_5xx_errors: Annotated[Number | None, Field(alias="consecutive5xxErrors")] = None
    """How many errors 5xx in a row eject a pod; 0 switches this off."""
    consecutive_gateway_errors: Number | None = None
    """How many errors 502, 503 and 504 in a row eject a pod; 0 switches this off."""
    split_external_local_origin_errors: bool | None = None
    """Whether failures to connect are counted by themselves."""
    consecutive_local_origin_failures: Number | None = None
    """How many of these in a row eject a pod."""
    interval: Duration | None = None
    """Time between two looks."""
    base_ejection_time: Duration | None = None
    """How long a pod is out the first time; n times as long the nth time."""
    max_ejection_percent: Ratio | None = None
    """The most pods that may be out, in percent; 10 where absent, which of a few pods may mean none."""
    min_health_percent: Ratio | None = None
    """Below this share of healthy pods nobody is ejected and all get requests."""


class ClientTls(Spec):
    """The TLS that clients speak with the host."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
    """ISTIO_MUTUAL: the mesh's own; SIMPLE and MUTUAL: TLS to a host outside of the mesh."""
    credential_name: ObjectName | None = None
    """The Secret with the client's certificate; for gateways, or with a selector."""
    client_certificate: Text | None = None
    """Path of the client's certificate."""
    private_key: Text | None = None
    """Path of its private key."""
    ca_certificates: Text | None = None
    """Path of the CA certificates that the host's is checked with; `system` for those of the image."""
    ca_crl: Text | None = None
    """Path of a list of revoked certificates."""
    subject_alt_names: list[Text] = []
    """Names of which the host's certificate must have one."""
    sni: Text | None = None
    """The name in the TLS handshake."""
    insecure_skip_verify: bool | None = None
    """Whether the host's certificate is not checked."""


class PortPolicy(Spec):
    """What holds for one port instead of the rest."""

    port: PortSelector
    """The port."""
    load_balancer: LoadBalancer | None = None
    """How a pod is chosen."""
    connection_pool: ConnectionPool | None = None
    """Limits."""
    outlier_detection: OutlierDetection | None = None
    """The circuit breaker."""
    tls: ClientTls | None = None
    """TLS to the host."""


class Tunnel(Spec):
    """TCP through an HTTP proxy."""

    protocol: Literal["CONNECT", "POST"] | None = None
    """How the proxy is asked."""
    target_host: Host
    """The host behind the proxy."""
    target_port: Port
    """Its port."""


class ProxyProtocol(Spec):
    """The PROXY protocol towards the host."""

    version: Literal["V1", "V2"] | None = None
    """Its version."""


class RetryBudget(Spec):
    """A limit of attempts that depends on how many requests there are."""

    percent: Percent | None = None
    """Attempts at once, in percent of the requests at once."""
    min_retry_concurrency: Number | None = None
    """How many attempts at once there may always be."""


class TrafficPolicy(Spec):
    """What clients do on the way to the host."""

    exclusive = (("tunnel", "proxyProtocol"),)

    load_balancer: LoadBalancer | None = None
    """How a pod is chosen."""
    connection_pool: ConnectionPool | None = None
    """Limits."""
    outlier_detection: OutlierDetection | None = None
    """The circuit breaker."""
    tls: ClientTls | None = None
    """TLS to the host."""
    port_level_settings: list[PortPolicy] = []
    """What holds for single ports; nothing of the rest is inherited."""
    tunnel: Tunnel | None = None
    """TCP through an HTTP proxy."""
    proxy_protocol: ProxyProtocol | None = None
    """The PROXY protocol."""
    retry_budget: RetryBudget | None = None
    """A limit of attempts."""


class Subset(Spec):
    """Some of a host's pods, under a name."""

    name: Name
    """The name that routes use."""
    labels: Labels = {}
    """Labels that its pods have, beside those of the Service."""
    traffic_policy: TrafficPolicy | None = None
    """What holds for this subset instead of the host's."""


class DestinationRule(MeshObject):
    """A DestinationRule of Istio."""

    host: Host
    """The host; a name without a dot is one of the object's own namespace."""
    traffic_policy: TrafficPolicy | None = None
    """What clients do on the way there."""
    subsets: list[Subset] = []
    """Parts of the host that routes can name."""
    workload_selector: WorkloadSelector | None = None
    """The pods whose proxies it is for; absent: all that see it."""
    export_to: list[Name | Literal[".", "*"]] = []
    """Namespaces that see it: their names, . (its own) or * (all)."""
