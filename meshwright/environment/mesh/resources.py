"""The objects of an environment, by what they are. This is imported only where an environment has some."""

from __future__ import annotations

from typing import Annotated

from meshwright.environment.base import Model
from meshwright.environment.mesh.api_routes import GrpcRoute, HttpRouteOfApi
from meshwright.environment.mesh.credential import Credential
from meshwright.environment.mesh.destination_rule import DestinationRule
from meshwright.environment.mesh.egress import Egress
from meshwright.environment.mesh.gateway import Gateway
from meshwright.environment.mesh.gateway_api import BackendTlsPolicy, K8sGateway, ReferenceGrant, TlsRouteOfApi
from meshwright.environment.mesh.others import ServiceEntry, Sidecar
from meshwright.environment.mesh.rate_limit import RateLimit
from meshwright.environment.mesh.reference import SecretObject
from meshwright.environment.mesh.security import AuthorizationPolicy, PeerAuthentication, RequestAuthentication
from meshwright.environment.mesh.telemetry import Telemetry
from meshwright.environment.mesh.virtual_service import VirtualService
from meshwright.environment.mesh.words import ObjectKey, removable
from meshwright.environment.model import Environment, Resources

__all__ = ["GatewayApi", "MeshEnvironment", "MeshResources"]


class GatewayApi(Model):
    """Objects of the Gateway API."""

    gateways: Annotated[dict[ObjectKey, K8sGateway], removable(K8sGateway)] = {}
    """Gateways, by NAMESPACE/NAME; null takes away one that all.yaml has."""
    http_routes: Annotated[dict[ObjectKey, HttpRouteOfApi], removable(HttpRouteOfApi)] = {}
    """HTTPRoutes."""
    grpc_routes: Annotated[dict[ObjectKey, GrpcRoute], removable(GrpcRoute)] = {}
    """GRPCRoutes."""
    tls_routes: Annotated[dict[ObjectKey, TlsRouteOfApi], removable(TlsRouteOfApi)] = {}
    """TLSRoutes."""
    reference_grants: Annotated[dict[ObjectKey, ReferenceGrant], removable(ReferenceGrant)] = {}
    """ReferenceGrants."""
    backend_tls_policies: Annotated[dict[ObjectKey, BackendTlsPolicy], removable(BackendTlsPolicy)] = {}
    """BackendTLSPolicies."""


class MeshResources(Resources):
    """The environment's own objects in the cluster."""

    gateways: Annotated[dict[ObjectKey, Gateway], removable(Gateway)] = {}
    """Gateways of Istio, by NAMESPACE/NAME; null takes away one that all.yaml has."""
    credentials: Annotated[dict[ObjectKey, Credential], removable(Credential)] = {}
    """What a credentialName means: Secrets with certificates."""
    secrets: Annotated[dict[ObjectKey, SecretObject], removable(SecretObject)] = {}
    """Other Secrets, whose values are references."""
    virtual_services: Annotated[dict[ObjectKey, VirtualService], removable(VirtualService)] = {}
    """VirtualServices."""
    destination_rules: Annotated[dict[ObjectKey, DestinationRule], removable(DestinationRule)] = {}
    """DestinationRules."""
    service_entries: Annotated[dict[ObjectKey, ServiceEntry], removable(ServiceEntry)] = {}
    """ServiceEntries."""
    egress: Annotated[dict[ObjectKey, Egress], removable(Egress)] = {}
    """Hosts outside that are reached through the egress gateway."""
    sidecars: Annotated[dict[ObjectKey, Sidecar], removable(Sidecar)] = {}
    """Sidecars."""
    peer_authentications: Annotated[dict[ObjectKey, PeerAuthentication], removable(PeerAuthentication)] = {}
    """PeerAuthentications."""
    request_authentications: Annotated[dict[ObjectKey, RequestAuthentication], removable(RequestAuthentication)] = {}
    """RequestAuthentications."""
    authorization_policies: Annotated[dict[ObjectKey, AuthorizationPolicy], removable(AuthorizationPolicy)] = {}
    """AuthorizationPolicies."""
    telemetries: Annotated[dict[ObjectKey, Telemetry], removable(Telemetry)] = {}
    """Telemetries."""
    rate_limits: Annotated[dict[ObjectKey, RateLimit], removable(RateLimit)] = {}
    """Rate limits, each an EnvoyFilter."""
    gateway_api: GatewayApi = GatewayApi()
    """Objects of the Gateway API."""


class MeshEnvironment(Environment):
    """An environment whose values have objects."""

    resources: MeshResources = MeshResources()
    """The environment's own objects in the cluster."""
