"""Istio's policies: mutual TLS, tokens, and who may do what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.words import Address, Duration, HeaderName, Labels, MeshObject, ObjectName, Spec
from meshwright.environment.vocabulary import Name, Text, Words

__all__ = ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "TargetRef", "WorkloadSelector"]

# The keys of portLevelMtls are ports, and keys are text.
PortKey = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}$"), Words('a port in quotes, such as "8080"')]
PortText = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}$"), Words('a port as text, such as "8080"')]


class WorkloadSelector(Spec):
    """The pods that a policy is for."""

    match_labels: Labels
    """Labels that they have."""


class TargetRef(Spec):
    """The Gateway, Service or other object that a policy is for."""

    group: str | None = None
    """Its API group; "" for a Service."""
    kind: Text
    """Its kind."""
    name: ObjectName
    """Its name."""


_TARGETS = (("selector", "targetRefs"),)


class Mtls(Spec):
    """Mutual TLS."""

    mode: Literal["STRICT", "PERMISSIVE", "DISABLE", "UNSET"]
    """STRICT: plain text is refused; PERMISSIVE: both are taken."""


class PeerAuthentication(MeshObject):
    """A PeerAuthentication of Istio."""

    selector: WorkloadSelector | None = None
    """Its pods; absent: all of the namespace, in the root namespace all of the mesh."""
    mtls: Mtls | None = None
    """Mutual TLS of these pods."""
    port_level_mtls: dict[PortKey, Mtls] = {}
    """Mutual TLS of single ports of the pods; needs a selector."""


class JwtHeader(Spec):
    """A header that a token is in."""

    name: HeaderName
    """Its name."""
    prefix: str | None = None
    """What stands before the token."""


class ClaimToHeader(Spec):
    """A claim that is passed on in a header."""

    header: HeaderName
    """The header."""
    claim: Text
    """The claim."""


class JwtRule(Spec):
    """Tokens (JWT) of one issuer."""

    exclusive = (("jwks", "jwksUri"),)

    issuer: Text
    """Who issues the tokens."""
    audiences: list[Text] = []
    """Audiences of which a token must name one."""
    jwks_uri: Annotated[str, Field(pattern=r"^https?://[^\s]+$"), Words("a URL")] | None = None
    """Where the issuer's public keys are."""
    jwks: Text | None = None
    """The issuer's public keys themselves, as JSON."""
    from_headers: list[JwtHeader] = []
    """Headers that tokens are in; Authorization where absent."""
    from_params: list[Text] = []
    """Parameters of the query that tokens are in."""
    from_cookies: list[Text] = []
    """Cookies that tokens are in."""
    output_payload_to_header: HeaderName | None = None
    """The header in which the whole payload is passed on, in base64url."""
    output_claim_to_headers: list[ClaimToHeader] = []
    """Claims that are passed on."""
    forward_original_token: bool | None = None
    """Whether the token is passed on."""
    space_delimited_claims: list[Text] = []
    """Claims with several words in them, that rules see one by one."""
    timeout: Duration | None = None
    """How long fetching the keys may take."""


class RequestAuthentication(MeshObject):
    """A RequestAuthentication of Istio. It refuses wrong tokens; requests without any pass."""

    exclusive = _TARGETS

    selector: WorkloadSelector | None = None
    """Its pods; absent: all of the namespace."""
    target_refs: list[TargetRef] = []
    """The objects that it is for, instead of pods."""
    jwt_rules: list[JwtRule] = []
    """Issuers that are trusted."""


class Source(Spec):
    """Who asks; all that is given must hold."""

    principals: list[Text] = []
    """Identities of clients: TRUST DOMAIN/ns/NAMESPACE/sa/ACCOUNT; need mutual TLS."""
    not_principals: list[Text] = []
    """Identities that it is not."""
    request_principals: list[Text] = []
    """Identities of tokens: ISSUER/SUBJECT."""
    not_request_principals: list[Text] = []
    """Identities of tokens that it is not."""
    namespaces: list[Text] = []
    """Namespaces of clients; need mutual TLS."""
    not_namespaces: list[Text] = []
    """Namespaces that it is not."""
    service_accounts: list[Text] = []
    """Service accounts of clients: NAMESPACE/ACCOUNT, or ACCOUNT."""
    not_service_accounts: list[Text] = []
    """Service accounts that it is not."""
    trust_domains: list[Text] = []
    """Trust domains of clients."""
    not_trust_domains: list[Text] = []
    """Trust domains that it is not."""
    ip_blocks: list[Address] = []
    """Addresses that packets come from."""
    not_ip_blocks: list[Address] = []
    """Addresses that it is not."""
    remote_ip_blocks: list[Address] = []
    """Addresses of clients as X-Forwarded-For or the PROXY protocol tells them."""
    not_remote_ip_blocks: list[Address] = []
    """Addresses that it is not."""


class Operation(Spec):
    """What is asked for; all that is given must hold. Each may begin or end with *."""

    hosts: list[Text] = []
    """Hosts of requests."""
    not_hosts: list[Text] = []
    """Hosts that it is not."""
    ports: list[PortText] = []
    """Ports of the pods."""
    not_ports: list[PortText] = []
    """Ports that it is not."""
    methods: list[Text] = []
    """Methods, such as GET; with gRPC always POST."""
    not_methods: list[Text] = []
    """Methods that it is not."""
    paths: list[Text] = []
    """Paths, with gRPC /PACKAGE.SERVICE/METHOD."""
    not_paths: list[Text] = []
    """Paths that it is not."""


class From(Spec):
    """Who asks."""

    source: Source
    """Who asks."""


class To(Spec):
    """What is asked for."""

    operation: Operation
    """What is asked for."""


class Condition(Spec):
    """A further condition."""

    key: Text
    """An attribute, such as request.headers[x-user] or source.ip."""
    values: list[Text] = []
    """Values of which it must have one."""
    not_values: list[Text] = []
    """Values that it must not have."""


class Rule(Spec):
    """One of each list must hold."""

    from_: list[From] = []
    """Who asks; absent: anybody."""
    to: list[To] = []
    """What is asked for; absent: anything."""
    when: list[Condition] = []
    """Further conditions, all of which must hold."""


class Provider(Spec):
    """An authorizer outside."""

    name: Name
    """Its name in meshConfig.extensionProviders."""


class AuthorizationPolicy(MeshObject):
    """An AuthorizationPolicy of Istio. With ALLOW and no rules it allows nothing."""

    exclusive = _TARGETS

    selector: WorkloadSelector | None = None
    """Its pods; absent: all of the namespace, in the root namespace all of the mesh."""
    target_refs: list[TargetRef] = []
    """The objects that it is for, instead of pods."""
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] | None = None
    """What a rule that holds does; ALLOW where absent."""
    provider: Provider | None = None
    """The authorizer that CUSTOM asks."""
    rules: list[Rule] = []
    """Rules, of which one must hold."""
