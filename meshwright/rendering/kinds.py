"""Which template makes an object of which values: one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """`values` is where the mapping of objects is in the values (below `resources`), `template` what renders one."""

    values: tuple[str, ...]
    template: str


def _named(*values: str, template: str) -> Kind:
    return Kind(values, f"{template}.yaml.j2")


KINDS = (
    _named("gateways", template="gateway"),
    _named("credentials", template="credential"),
    _named("secrets", template="secret"),
    _named("virtual_services", template="virtual_service"),
    _named("destination_rules", template="destination_rule"),
    _named("service_entries", template="service_entry"),
    _named("egress", template="egress"),
    _named("sidecars", template="sidecar"),
    _named("peer_authentications", template="peer_authentication"),
    _named("request_authentications", template="request_authentication"),
    _named("authorization_policies", template="authorization_policy"),
    _named("telemetries", template="telemetry"),
    _named("rate_limits", template="rate_limit"),
    _named("gateway_api", "gateways", template="api_gateway"),
    _named("gateway_api", "http_routes", template="http_route"),
    _named("gateway_api", "grpc_routes", template="grpc_route"),
    _named("gateway_api", "tls_routes", template="tls_route"),
    _named("gateway_api", "reference_grants", template="reference_grant"),
    _named("gateway_api", "backend_tls_policies", template="backend_tls_policy"),
)
