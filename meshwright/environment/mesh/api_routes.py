"""The Gateway API's HTTPRoute and GRPCRoute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.gateway_api import BackendRef, ParentRef, WeightedBackend
from meshwright.environment.mesh.words import HeaderName, Host, MeshObject, ObjectRef, Spec
from meshwright.environment.vocabulary import Port, Text, Words

__all__ = ["GrpcRoute", "HttpRouteOfApi"]

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
# GEP-2257: at most four of Go's units, five digits each.
ApiDuration = Annotated[
    str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), Words("a time with its unit, such as 500ms, 10s or 0s (none)")
]


class NamedValue(Spec):
    """A name and its value."""

    name: HeaderName
    """The name."""
    value: Text
    """The value."""


class HeaderFilter(Spec):
    """What is done to headers."""

    set_: list[NamedValue] = []
    """Headers that get this value."""
    add: list[NamedValue] = []
    """Headers to which a value is added."""
    remove: list[HeaderName] = []
    """Headers that are taken away."""


class PathModifier(Spec):
    """A new path."""

    required = (("replaceFullPath", "replacePrefixMatch"),)

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    """What is replaced."""
    replace_full_path: str | None = None
    """The new path."""
    replace_prefix_match: str | None = None
    """What takes the place of the prefix."""


class RedirectFilter(Spec):
    """A redirect."""

    scheme: Literal["http", "https"] | None = None
    """The scheme that it leads to."""
    hostname: Host | None = None
    """The host that it leads to."""
    path: PathModifier | None = None
    """The path that it leads to."""
    port: Port | None = None
    """The port that it leads to."""
    status_code: Literal[301, 302, 303, 307, 308] | None = None
    """The status; 302 where absent."""


class RewriteFilter(Spec):
    """What of a request is rewritten before it is sent on."""

    hostname: Host | None = None
    """The new host."""
    path: PathModifier | None = None
    """The new path."""


class Fraction(Spec):
    """A part of requests."""

    numerator: Annotated[int, Field(ge=0, le=2147483647)]
    """So many."""
    denominator: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    """Of so many; 100 where absent."""


class MirrorFilter(Spec):
    """A copy of requests, whose answers are dropped."""

    exclusive = (("percent", "fraction"),)

    backend_ref: BackendRef
    """Where the copies go."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many requests are copied; all where absent."""
    fraction: Fraction | None = None
    """The same as a fraction."""


class CorsFilter(Spec):
    """Cross-origin resource sharing."""

    allow_origins: list[Text] = []
    """Origins that may ask."""
    allow_methods: list[Method | Literal["*"]] = []
    """Methods that they may use."""
    allow_headers: list[HeaderName] = []
    """Headers that they may send."""
    expose_headers: list[HeaderName] = []
    """Headers that their scripts may read."""
    max_age: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    """Seconds that a preflight's answer may be kept."""
    allow_credentials: bool | None = None
    """Whether credentials may be sent."""


class GrpcFilter(Spec):
    """Something that is done to requests or responses; the key is that of its type."""

    required = (("requestHeaderModifier", "responseHeaderModifier", "requestMirror", "extensionRef"),)

    type: Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]
    """What it does."""
    request_header_modifier: HeaderFilter | None = None
    """Headers of requests."""
    response_header_modifier: HeaderFilter | None = None
    """Headers of responses."""
    request_mirror: MirrorFilter | None = None
    """A copy of requests."""
    extension_ref: ObjectRef | None = None
    """An object of the implementation."""


class HttpFilter(Spec):
    """Something that is done to requests or responses; the key is that of its type."""

    required = (
        (
            "requestHeaderModifier",
            "responseHeaderModifier",
            "requestMirror",
            "requestRedirect",
            "urlRewrite",
            "cors",
            "extensionRef",
        ),
    )

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
        "ExtensionRef",
    ]
    """What it does."""
    request_header_modifier: HeaderFilter | None = None
    """Headers of requests."""
    response_header_modifier: HeaderFilter | None = None
    """Headers of responses."""
    request_mirror: MirrorFilter | None = None
    """A copy of requests."""
    request_redirect: RedirectFilter | None = None
    """A redirect."""
    url_rewrite: RewriteFilter | None = None
    """Another path or host."""
    cors: CorsFilter | None = None
    """Cross-origin resource sharing."""
    extension_ref: ObjectRef | None = None
    """An object of the implementation."""


class PathMatch(Spec):
    """A path."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = None
    """How it is matched; PathPrefix where absent."""
    value: Text
    """The path."""


class ValueMatch(Spec):
    """A header or a parameter of the query."""

    type: Literal["Exact", "RegularExpression"] | None = None
    """How it is matched; Exact where absent."""
    name: HeaderName
    """Its name."""
    value: Text
    """Its value."""


class HttpRouteMatch(Spec):
    """Conditions on a request, all of which must hold."""

    path: PathMatch | None = None
    """The path."""
    method: Method | None = None
    """The method."""
    headers: list[ValueMatch] = []
    """Headers."""
    query_params: list[ValueMatch] = []
    """Parameters of the query."""


class Timeouts(Spec):
    """Times that requests may take."""

    request: ApiDuration | None = None
    """With all attempts."""
    backend_request: ApiDuration | None = None
    """One attempt."""


class HttpBackend(WeightedBackend):
    """A backend, its share, and what is done on the way there."""

    filters: list[HttpFilter] = []
    """What is done to requests on this way."""


class HttpRule(Spec):
    """A rule of an HTTPRoute."""

    name: Text | None = None
    """Its name."""
    matches: list[HttpRouteMatch] = []
    """Conditions, of which one must hold; none: every request."""
    filters: list[HttpFilter] = []
    """What is done to requests."""
    backend_refs: list[HttpBackend] = []
    """Where they go, with shares."""
    timeouts: Timeouts | None = None
    """Times that they may take."""


class HttpRouteOfApi(MeshObject):
    """An HTTPRoute of the Gateway API."""

    parent_refs: list[ParentRef] = []
    """Gateways, or inside the mesh Services, that it attaches itself to."""
    hostnames: list[Host] = []
    """The hosts that requests name; those of the listener where absent."""
    rules: list[HttpRule] = []
    """Where requests go."""


class GrpcMethod(Spec):
    """A method of a service."""

    type: Literal["Exact", "RegularExpression"] | None = None
    """How it is matched; Exact where absent."""
    service: Text | None = None
    """PACKAGE.SERVICE."""
    method: Text | None = None
    """The method."""


class GrpcMatch(Spec):
    """Conditions on a request, all of which must hold."""

    method: GrpcMethod | None = None
    """The method."""
    headers: list[ValueMatch] = []
    """Headers."""


class GrpcBackend(WeightedBackend):
    """A backend, its share, and what is done on the way there."""

    filters: list[GrpcFilter] = []
    """What is done to requests on this way."""


class GrpcRule(Spec):
    """A rule of a GRPCRoute."""

    name: Text | None = None
    """Its name."""
    matches: list[GrpcMatch] = []
    """Conditions, of which one must hold; none: every request."""
    filters: list[GrpcFilter] = []
    """What is done to requests."""
    backend_refs: list[GrpcBackend] = []
    """Where they go, with shares."""


class GrpcRoute(MeshObject):
    """A GRPCRoute of the Gateway API."""

    parent_refs: list[ParentRef] = []
    """Gateways, or inside the mesh Services, that it attaches itself to."""
    hostnames: list[Host] = []
    """The hosts that requests name; those of the listener where absent."""
    rules: list[GrpcRule] = []
    """Where requests go."""
