"""How a client's proxy chooses one of a host's pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.words import Duration, HeaderName, Number, Percent, Spec
from meshwright.environment.vocabulary import Text

__all__ = ["LoadBalancer"]


class CookieAttribute(Spec):
    """An attribute of a cookie."""

    name: Text
    """SameSite, for instance."""
    value: str | None = None
    """Its value."""


class HttpCookie(Spec):
    """A cookie that is hashed; made where it is missing and `ttl` is given."""

    name: Text
    """Its name."""
    path: Text | None = None
    """Its path."""
    ttl: Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")] | None = None
    """How long it lives; 0s: as long as the browser's session."""
    attributes: list[CookieAttribute] = []
    """Further attributes of a cookie that is made."""


class RingHash(Spec):
    """The ring of hashes."""

    minimum_ring_size: Number | None = None
    """The fewest entries of the ring."""


class Maglev(Spec):
    """Maglev's table."""

    table_size: Number | None = None
    """Its size, a prime."""


class ConsistentHash(Spec):
    """What is hashed: the same value leads to the same pod, while the pods stay."""

    required = (("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),)
    exclusive = (("ringHash", "maglev", "minimumRingSize"),)

    http_header_name: HeaderName | None = None
    """A header."""
    http_cookie: HttpCookie | None = None
    """A cookie."""
    use_source_ip: bool | None = None
    """The address of the client."""
    http_query_parameter_name: Text | None = None
    """A parameter of the query."""
    ring_hash: RingHash | None = None
    """By a ring of hashes."""
    maglev: Maglev | None = None
    """By Maglev's table."""
    minimum_ring_size: Number | None = None
    """The older way to write ringHash."""


class Distribute(Spec):
    """Where traffic of one locality goes."""

    from_: Text
    """The locality of the client: region/zone/subzone, with *."""
    to: dict[Text, Annotated[int, Field(ge=0, le=100)]]
    """Shares of localities in percent."""


class Failover(Spec):
    """Where traffic of one region goes when it is not healthy there."""

    from_: Text
    """The region of the client."""
    to: Text
    """The region that takes over."""


class LocalityLbSetting(Spec):
    """Localities: regions and zones."""

    exclusive = (("distribute", "failover"), ("distribute", "failoverPriority"))

    enabled: bool | None = None
    """Whether localities count."""
    distribute: list[Distribute] = []
    """Shares of localities."""
    failover: list[Failover] = []
    """Regions that take over; works with outlierDetection only."""
    failover_priority: list[Text] = []
    """Labels by which near pods are told."""


class ZoneAwareLbSetting(Spec):
    """Requests stay in their zone as far as its pods can take them."""

    enabled: bool | None = None
    """Whether it is on."""
    min_cluster_size: Number | None = None
    """With fewer pods it is off."""
    failover: list[Failover] = []
    """Regions that take over."""
    failover_priority: list[Text] = []
    """Labels by which near pods are told."""


class Warmup(Spec):
    """New pods get their share little by little."""

    duration: Duration
    """For how long."""
    minimum_percent: Percent | None = None
    """The share that they begin with."""
    aggression: Annotated[float, Field(ge=1, le=100)] | None = None
    """How fast the share grows; 1: evenly."""


class LoadBalancer(Spec):
    """How a pod is chosen."""

    exclusive = (("simple", "consistentHash"), ("localityLbSetting", "zoneAwareLbSetting"))

    simple: Literal["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST", "PASSTHROUGH", "UNSPECIFIED"] | None = None
    """LEAST_REQUEST is Istio's default."""
    consistent_hash: ConsistentHash | None = None
    """The same pod for the same header, cookie, address or parameter."""
    locality_lb_setting: LocalityLbSetting | None = None
    """Localities."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    """Zones."""
    warmup: Warmup | None = None
    """New pods get their share little by little."""
