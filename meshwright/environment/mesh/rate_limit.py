"""Rate limits, in Envoy's words; a template makes an EnvoyFilter of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from meshwright.environment.mesh.words import Duration, HeaderName, Host, Labels, MeshObject, Spec
from meshwright.environment.vocabulary import Port, Text, Words

__all__ = ["LimitedRoute", "RateLimit", "RateLimitService", "TokenBucket"]


_VHOST = Words("HOST:PORT, as Envoy names the virtual host of a gateway, or inbound|http|PORT")


class EnvoySpec(Spec):
    """A mapping in Envoy's words, which have underscores."""

    model_config = ConfigDict(alias_generator=None)


class TokenBucket(EnvoySpec):
    """So many requests in so much time, counted by each proxy for itself."""

    max_tokens: Annotated[int, Field(ge=1, le=4294967295), Words("a whole number, 1 or more")]
    """The most requests at once."""
    tokens_per_fill: Annotated[int, Field(ge=1, le=4294967295), Words("a whole number, 1 or more")]
    """How many more there may be after each fill_interval."""
    fill_interval: Duration
    """50ms or more."""


class RateLimitService(EnvoySpec):
    """A rate limit service (envoyproxy/ratelimit), which counts for all proxies."""

    host: Host
    """The host of its Service."""
    port: Port = 8081
    """Its gRPC port."""
    domain: Text
    """The domain of its configuration."""
    timeout: Duration = "250ms"
    """How long its answer may take."""
    failure_mode_deny: bool = False
    """Whether requests are refused (500) when it does not answer."""


class GenericKey(EnvoySpec):
    """The same entry for every request."""

    descriptor_key: Text = "generic_key"
    """Its key."""
    descriptor_value: Text
    """Its value."""


class RemoteAddress(EnvoySpec):
    """An entry with the address of the client: key remote_address."""


class RequestHeader(EnvoySpec):
    """An entry with the value of a header; without the header there is no limit."""

    header_name: HeaderName
    """The header."""
    descriptor_key: Text
    """The entry's key."""


class Action(EnvoySpec):
    """One entry of a descriptor."""

    required: ClassVar[tuple[tuple[str, ...], ...]] = (("generic_key", "remote_address", "request_headers"),)

    generic_key: GenericKey | None = None
    """The same entry for every request."""
    remote_address: RemoteAddress | None = None
    """The address of the client; {}."""
    request_headers: RequestHeader | None = None
    """The value of a header."""


class Descriptor(EnvoySpec):
    """What the service is asked: entries, which together are counted."""

    actions: Annotated[list[Action], Field(min_length=1), Words("a list of at least one action")]
    """The entries, in order."""


class LimitedRoute(EnvoySpec):
    """A limit for some requests."""

    vhost: Annotated[str, Field(pattern=r"^([^\s:/|]+:[0-9]{1,5}|inbound\|http\|[0-9]{1,5})$"), _VHOST]
    """The virtual host: HOST:PORT, as the gateway's Envoy has it; of a sidecar inbound|http|PORT."""
    route: Text | None = None
    """The name of an http route there; all of the host where absent."""
    local: TokenBucket | None = None
    """A token bucket of its own."""
    rate_limits: list[Descriptor] = []
    """What the service is asked about these requests."""


class RateLimit(MeshObject):
    """A rate limit: an EnvoyFilter with a cluster, a filter, and what vhosts and routes need."""

    model_config = ConfigDict(alias_generator=None)

    workload: Labels = {"istio": "ingressgateway"}
    """Labels of the pods whose proxies count."""
    context: Literal["GATEWAY", "SIDECAR_INBOUND"] = "GATEWAY"
    """Whether these are gateways, or pods with a sidecar."""
    proxy_version: Text | None = None
    """RE2 for the versions of proxies that it is for; those of istio.version where absent."""
    local: TokenBucket | None = None
    """A token bucket for all requests of each proxy."""
    service: RateLimitService | None = None
    """The rate limit service that descriptors are sent to."""
    routes: list[LimitedRoute] = []
    """Limits of single virtual hosts and routes."""
