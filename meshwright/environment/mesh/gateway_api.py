"""The Gateway API's Gateway, TLSRoute, ReferenceGrant and BackendTLSPolicy, and what its routes share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.mesh.words import Host, Labels, MeshObject, ObjectName, ObjectRef, Spec
from meshwright.environment.vocabulary import Name, Port, Text, Words

__all__ = [
    "BackendRef",
    "BackendTlsPolicy",
    "K8sGateway",
    "ParentRef",
    "ReferenceGrant",
    "TlsRouteOfApi",
    "WeightedBackend",
]


class SecretRef(Spec):
    """An object with a certificate."""

    group: str | None = None
    """Its API group; "" where absent."""
    kind: Text | None = None
    """Its kind; Secret where absent."""
    name: ObjectName
    """Its name."""
    namespace: Name | None = None
    """Its namespace; another one needs a ReferenceGrant there."""


class ListenerTls(Spec):
    """TLS of a listener."""

    mode: Literal["Terminate", "Passthrough"] | None = None
    """Whether TLS ends here."""
    certificate_refs: list[SecretRef] = []
    """Secrets with the certificates."""
    options: dict[Text, str] = {}
    """Settings of the implementation."""


class LabelExpression(Spec):
    """A condition on a label."""

    key: Text
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """What must be so."""
    values: list[str] = []
    """Values that it is about."""


class NamespaceSelector(Spec):
    """Namespaces by their labels."""

    match_labels: Labels = {}
    """Labels that they have."""
    match_expressions: list[LabelExpression] = []
    """Conditions on their labels."""


class RouteNamespaces(Spec):
    """Namespaces that routes may come from."""

    from_: Literal["All", "Same", "Selector"] | None = None
    """Which; Same where absent."""
    selector: NamespaceSelector | None = None
    """With Selector: which."""


class RouteKind(Spec):
    """A kind of route."""

    group: str | None = None
    """Its API group."""
    kind: Text
    """The kind."""


class AllowedRoutes(Spec):
    """Routes that may attach themselves."""

    namespaces: RouteNamespaces | None = None
    """Where they may come from."""
    kinds: list[RouteKind] = []
    """What they may be."""


class Listener(Spec):
    """A port that is listened on."""

    name: Name
    """Its name, which routes may give as sectionName."""
    hostname: Host | None = None
    """The host that is served; all where absent."""
    port: Port
    """The port."""
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"]
    """What is spoken there."""
    tls: ListenerTls | None = None
    """TLS; needed for HTTPS and TLS."""
    allowed_routes: AllowedRoutes | None = None
    """Routes that may attach themselves; those of the same namespace where absent."""


class GatewayAddress(Spec):
    """An address of a gateway."""

    type: Text | None = None
    """IPAddress, Hostname or a type of the implementation."""
    value: Text
    """The address; with Istio the host of an existing gateway's Service."""


class Infrastructure(Spec):
    """What is made for a gateway."""

    labels: dict[Text, str] = {}
    """Labels of what is made."""
    annotations: dict[Text, str] = {}
    """Annotations of what is made."""
    parameters_ref: ObjectRef | None = None
    """An object with settings."""


class K8sGateway(MeshObject):
    """A Gateway of the Gateway API. Istio makes a Deployment and a Service for it, unless `addresses` names one."""

    gateway_class_name: Text = "istio"
    """The GatewayClass."""
    listeners: Annotated[list[Listener], Field(min_length=1), Words("a list of at least one listener")]
    """The ports."""
    addresses: list[GatewayAddress] = []
    """Addresses that are asked for."""
    infrastructure: Infrastructure | None = None
    """What is made for it."""


class ParentRef(Spec):
    """What a route attaches itself to."""

    group: str | None = None
    """Its API group; that of the Gateway API where absent."""
    kind: Text | None = None
    """Its kind; Gateway where absent, Service inside the mesh."""
    name: ObjectName
    """Its name."""
    namespace: Name | None = None
    """Its namespace; the route's own where absent."""
    section_name: Text | None = None
    """One listener of it."""
    port: Port | None = None
    """One port of it."""


class BackendRef(Spec):
    """Where requests go."""

    group: str | None = None
    """Its API group; "" where absent."""
    kind: Text | None = None
    """Its kind; Service where absent."""
    name: ObjectName
    """Its name."""
    namespace: Name | None = None
    """Its namespace; another one needs a ReferenceGrant there."""
    port: Port | None = None
    """Its port; a Service needs one."""


class WeightedBackend(BackendRef):
    """A backend and its share."""

    weight: Annotated[int, Field(ge=0, le=1000000)] | None = None
    """Its share among those of the rule; 1 where absent."""


class TlsRule(Spec):
    """A rule of a TLSRoute."""

    name: Text | None = None
    """Its name."""
    backend_refs: Annotated[list[WeightedBackend], Field(min_length=1), Words("a list of at least one backend")]
    """Where connections go."""


class TlsRouteOfApi(MeshObject):
    """A TLSRoute of the Gateway API: TLS that is handed on, by SNI."""

    parent_refs: list[ParentRef] = []
    """Gateways that it attaches itself to."""
    hostnames: Annotated[list[Host], Field(min_length=1), Words("a list of at least one host")]
    """Names of the TLS handshake."""
    rules: Annotated[list[TlsRule], Field(min_length=1), Words("a list of at least one rule")]
    """Where connections go."""


class GrantFrom(Spec):
    """Who may refer."""

    group: str
    """API group of the referring objects."""
    kind: Text
    """Their kind."""
    namespace: Name
    """Their namespace."""


class GrantTo(Spec):
    """What may be referred to."""

    group: str
    """API group of the objects; "" for Services and Secrets."""
    kind: Text
    """Their kind."""
    name: ObjectName | None = None
    """One of them; all where absent."""


class ReferenceGrant(MeshObject):
    """A ReferenceGrant of the Gateway API: objects of other namespaces may refer to some of this one."""

    from_: Annotated[list[GrantFrom], Field(min_length=1), Words("a list of at least one entry")]
    """Who may refer."""
    to: Annotated[list[GrantTo], Field(min_length=1), Words("a list of at least one entry")]
    """What may be referred to."""


class PolicyTarget(Spec):
    """The backend that a policy is for."""

    group: str
    """Its API group; "" for a Service."""
    kind: Text
    """Its kind."""
    name: ObjectName
    """Its name."""
    section_name: Text | None = None
    """One port of it, by name."""


class AltName(Spec):
    """A name of a certificate."""

    required = (("hostname", "uri"),)

    type: Literal["Hostname", "URI"]
    """What it is."""
    hostname: Host | None = None
    """A host."""
    uri: Text | None = None
    """A URI."""


class BackendValidation(Spec):
    """How a backend's certificate is checked."""

    required = (("caCertificateRefs", "wellKnownCACertificates"),)

    hostname: Host
    """The name of the handshake, which the certificate must have."""
    ca_certificate_refs: list[ObjectRef] = []
    """Objects with CA certificates, under ca.crt."""
    well_known_ca_certificates: Annotated[Literal["System"] | None, Field(alias="wellKnownCACertificates")] = None
    """Those of the image."""
    subject_alt_names: list[AltName] = []
    """Names of which the certificate must have one, instead of the hostname."""


class BackendTlsPolicy(MeshObject):
    """A BackendTLSPolicy of the Gateway API: TLS from the gateway to a backend."""

    target_refs: Annotated[list[PolicyTarget], Field(min_length=1), Words("a list of at least one target")]
    """The backends."""
    validation: BackendValidation
    """How their certificates are checked."""
    options: dict[Text, str] = {}
    """Settings of the implementation."""
