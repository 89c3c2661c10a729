"""What routes match on and lead to: parts that the routes of a VirtualService share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meshwright.environment.mesh.words import (
    Address,
    GatewayRef,
    HeaderName,
    Host,
    Labels,
    Percent,
    Ratio,
    Spec,
)
from meshwright.environment.vocabulary import Name, Port, Text, Words

__all__ = [
    "Destination",
    "HeaderMatch",
    "HeaderOperations",
    "Headers",
    "HttpDestination",
    "HttpMatch",
    "Percentage",
    "PortSelector",
    "StringMatch",
    "TcpMatch",
    "TlsMatch",
    "WeightedDestination",
]


class StringMatch(Spec):
    """Text that is matched in one of three ways."""

    required = (("exact", "prefix", "regex"),)

    exact: Text | None = None
    """The whole text."""
    prefix: Text | None = None
    """How the text begins."""
    regex: Text | None = None
    """RE2, for the whole text."""


class HeaderMatch(Spec):
    """A header, matched in one of three ways; {} matches wherever it is there."""

    exclusive = (("exact", "prefix", "regex"),)

    exact: str | None = None
    """The whole value."""
    prefix: Text | None = None
    """How the value begins."""
    regex: Text | None = None
    """RE2, for the whole value."""


class Percentage(Spec):
    """A part of a hundred."""

    value: Percent
    """Percent, 0.01 at the finest."""


class PortSelector(Spec):
    """A port by its number."""

    number: Port
    """Port of the Service."""


class Destination(Spec):
    """Where requests go."""

    host: Host
    """A host of the service registry; a name without a dot is one of the object's own namespace."""
    subset: Name | None = None
    """A subset that a DestinationRule of the host defines."""
    port: PortSelector | None = None
    """Port of the host; needed where it has several."""


class HeaderOperations(Spec):
    """What is done to headers."""

    set_: dict[HeaderName, str] = {}
    """Headers that get this value."""
    add: dict[HeaderName, str] = {}
    """Headers to which a value is added."""
    remove: list[HeaderName] = []
    """Headers that are taken away."""


class Headers(Spec):
    """What is done to the headers of requests and responses."""

    request: HeaderOperations | None = None
    """Before a request is sent on."""
    response: HeaderOperations | None = None
    """Before a response is sent back."""


class WeightedDestination(Spec):
    """A destination and its share."""

    destination: Destination
    """Where requests or connections go."""
    weight: Ratio | None = None
    """Its share in percent; those of one route add up to 100."""


class HttpDestination(WeightedDestination):
    """A destination, its share, and what is done on the way there."""

    headers: Headers | None = None
    """What is done to headers on this way."""


class HttpMatch(Spec):
    """Conditions on a request, all of which must hold."""

    name: Text | None = None
    """Name of the match, shown in access logs."""
    uri: StringMatch | None = None
    """The path."""
    ignore_uri_case: bool | None = None
    """Whether upper and lower case are the same in uri (not for regex)."""
    scheme: StringMatch | None = None
    """http or https."""
    method: StringMatch | None = None
    """The method, such as GET."""
    authority: StringMatch | None = None
    """The host that the request names."""
    headers: dict[HeaderName, HeaderMatch] = {}
    """Headers, by name in lower case."""
    without_headers: dict[HeaderName, HeaderMatch] = {}
    """Headers that must not match."""
    query_params: dict[Text, HeaderMatch] = {}
    """Parameters of the query."""
    port: Port | None = None
    """The port that the request came to."""
    source_labels: Labels = {}
    """Labels of the pods that the rule is for, inside the mesh."""
    source_namespace: Name | None = None
    """Namespace of the pods that the rule is for, inside the mesh."""
    gateways: list[GatewayRef] = []
    """The gateways that the match is for, instead of those of the VirtualService."""
    stat_prefix: Text | None = None
    """Prefix of the statistics of this route."""


class TlsMatch(Spec):
    """Conditions on a TLS connection that is handed on."""

    sni_hosts: Annotated[list[Host], Field(min_length=1), Words("a list of at least one host")]
    """Names of the TLS handshake (SNI); hosts of the VirtualService, or parts of them."""
    destination_subnets: list[Address] = []
    """Address ranges of the destination."""
    port: Port | None = None
    """The port that the connection came to."""
    source_labels: Labels = {}
    """Labels of the pods that the rule is for, inside the mesh."""
    source_namespace: Name | None = None
    """Namespace of the pods that the rule is for, inside the mesh."""
    gateways: list[GatewayRef] = []
    """The gateways that the match is for, instead of those of the VirtualService."""


class TcpMatch(Spec):
    """Conditions on a connection."""

    destination_subnets: list[Address] = []
    """Address ranges of the destination."""
    port: Port | None = None
    """The port that the connection came to."""
    source_labels: Labels = {}
    """Labels of the pods that the rule is for, inside the mesh."""
    source_namespace: Name | None = None
    """Namespace of the pods that the rule is for, inside the mesh."""
    gateways: list[GatewayRef] = []
    """The gateways that the match is for, instead of those of the VirtualService."""
