"""Istio's VirtualService: how requests for hosts are routed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.matching import (
    Destination,
    Headers,
    HttpDestination,
    HttpMatch,
    Percentage,
    StringMatch,
    TcpMatch,
    TlsMatch,
    WeightedDestination,
)
from meshwright.environment.mesh.words import (
    Duration,
    GatewayRef,
    HeaderName,
    Host,
    MeshObject,
    ObjectName,
    Spec,
    StatusCode,
)
from meshwright.environment.vocabulary import Name, Port, Text, Words

__all__ = ["HttpRoute", "TcpRoute", "TlsRoute", "VirtualService"]

Destinations = Annotated[list[WeightedDestination], Field(min_length=1), Words("a list of at least one destination")]


class RegexRewrite(Spec):
    """A path rewritten by a regular expression."""

    match: Text
    """RE2 that finds what is replaced."""
    rewrite: str
    r"""What is put in its place, with \1 for the first group."""


class Rewrite(Spec):
    """What of a request is rewritten before it is sent on."""

    exclusive = (("uri", "uriRegexRewrite"),)

    uri: Text | None = None
    """Replaces the path, or the prefix that was matched."""
    authority: Text | None = None
    """Replaces the host."""
    uri_regex_rewrite: RegexRewrite | None = None
    """Replaces parts of the path."""


class Redirect(Spec):
    """A redirect that is answered at once."""

    exclusive = (("port", "derivePort"), ("uri", "prefixRewrite"))

    uri: Text | None = None
    """The path that it leads to."""
    prefix_rewrite: Text | None = None
    """Replaces the prefix of the path that was matched."""
    authority: Text | None = None
    """The host that it leads to."""
    port: Port | None = None
    """The port that it leads to."""
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    """Takes the port from the scheme, or from the request."""
    scheme: Literal["http", "https"] | None = None
    """The scheme that it leads to."""
    redirect_code: Literal[301, 302, 303, 307, 308] | None = None
    """The status; 301 where absent."""


class Body(Spec):
    """What is answered."""

    required = (("string", "bytes"),)

    string: str | None = None
    """As text."""
    bytes_: Text | None = None
    """As base64."""


class DirectResponse(Spec):
    """An answer without any backend."""

    status: StatusCode
    """The status of the answer."""
    body: Body | None = None
    """Its body, of at most 1 MiB."""


class Retries(Spec):
    """Attempts after the first."""

    attempts: Annotated[int, Field(ge=0, le=100)] | None = None
    """The most further attempts; 0: none."""
    per_try_timeout: Duration | None = None
    """How long one attempt may take, the first too."""
    retry_on: Text | None = None
    """What is tried again, in Envoy's words: 5xx,connect-failure,refused-stream,503."""
    backoff: Duration | None = None
    """The shortest pause between attempts."""
    retry_remote_localities: bool | None = None
    """Whether attempts may go to other localities."""
    retry_ignore_previous_hosts: bool | None = None
    """Whether an attempt goes to a pod that was not tried before."""


class Delay(Spec):
    """Requests that are held up."""

    fixed_delay: Duration
    """For how long."""
    percentage: Percentage
    """How many of them; to Istio an absent one means none."""


class Abort(Spec):
    """Requests that are answered with an error."""

    required = (("httpStatus", "grpcStatus"),)

    http_status: StatusCode | None = None
    """The status, for HTTP."""
    grpc_status: Text | None = None
    """The status, for gRPC: UNAVAILABLE."""
    percentage: Percentage
    """How many of them; to Istio an absent one means none."""


class Fault(Spec):
    """Faults that are made on purpose, at the client's proxy."""

    delay: Delay | None = None
    """Holds requests up."""
    abort: Abort | None = None
    """Answers with an error."""


class Mirror(Spec):
    """A copy of requests, whose answers are dropped."""

    destination: Destination
    """Where the copies go."""
    percentage: Percentage | None = None
    """How many requests are copied; all where absent."""


class CorsPolicy(Spec):
    """Cross-origin resource sharing."""

    allow_origins: list[StringMatch] = []
    """Origins that may ask."""
    allow_methods: list[Text] = []
    """Methods that they may use."""
    allow_headers: list[HeaderName | Literal["*"]] = []
    """Headers that they may send."""
    expose_headers: list[HeaderName | Literal["*"]] = []
    """Headers that their scripts may read."""
    max_age: Duration | None = None
    """How long a preflight's answer may be kept."""
    allow_credentials: bool | None = None
    """Whether credentials may be sent."""
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] | None = None
    """What becomes of a preflight of another origin."""


class Delegate(Spec):
    """Another VirtualService, which has the routes."""

    name: ObjectName
    """Its name."""
    namespace: Name | None = None
    """Its namespace; the same where absent."""


class HttpRoute(Spec):
    """A route for HTTP and gRPC. The first that matches is taken."""

    required = (("route", "redirect", "directResponse", "delegate"),)
    exclusive = (("redirect", "rewrite"), ("redirect", "fault"), ("redirect", "timeout"), ("mirror", "mirrors"))

    name: Text | None = None
    """Name of the route, shown in access logs and Envoy's configuration."""
    match: list[HttpMatch] = []
    """Conditions, of which one must hold; none: every request."""
    route: Annotated[list[HttpDestination], Field(min_length=1), Words("a list of at least one destination")] = []
    """Where requests go, with shares."""
    redirect: Redirect | None = None
    """A redirect instead."""
    direct_response: DirectResponse | None = None
    """An answer instead."""
    delegate: Delegate | None = None
    """Routes of another VirtualService instead."""
    rewrite: Rewrite | None = None
    """What is rewritten before a request is sent on."""
    timeout: Duration | None = None
    """How long a request may take, with all attempts."""
    retries: Retries | None = None
    """Attempts after the first."""
    fault: Fault | None = None
    """Faults that are made on purpose."""
    mirror: Destination | None = None
    """Where a copy of each request goes."""
    mirror_percentage: Percentage | None = None
    """How many requests `mirror` copies; all where absent."""
    mirrors: list[Mirror] = []
    """Several mirrors."""
    cors_policy: CorsPolicy | None = None
    """Cross-origin resource sharing."""
    headers: Headers | None = None
    """What is done to headers."""


class TlsRoute(Spec):
    """A route for TLS that is handed on, by SNI."""

    match: Annotated[list[TlsMatch], Field(min_length=1), Words("a list of at least one match")]
    """Conditions, of which one must hold."""
    route: Destinations
    """Where connections go, with shares."""


class TcpRoute(Spec):
    """A route for TCP."""

    match: list[TcpMatch] = []
    """Conditions, of which one must hold; none: every connection."""
    route: Destinations
    """Where connections go, with shares."""


class VirtualService(MeshObject):
    """A VirtualService of Istio."""

    hosts: list[Host] = []
    """The hosts that requests name; none only where other VirtualServices delegate to this one."""
    gateways: list[GatewayRef] = []
    """Gateways that it is for, and mesh for the sidecars; mesh alone where absent."""
    http: list[HttpRoute] = []
    """Routes for HTTP, in order."""
    tls: list[TlsRoute] = []
    """Routes for TLS that is handed on, in order."""
    tcp: list[TcpRoute] = []
    """Routes for TCP, in order."""
    export_to: list[Name | Literal[".", "*"]] = []
    """Namespaces that see it: their names, . (its own) or * (all)."""
