"""The IstioOperator of an environment: what `istioctl install -f` gets."""

from __future__ import annotations

from typing import Any

import yaml

from meshwright.environment import Environment

__all__ = ["operator", "text"]


def operator(env: Environment) -> dict[str, Any]:
    """The IstioOperator object. The hub is always said; the gateway's ports come from `ingress.ports`."""
    istio = env.istio
    spec: dict[str, Any] = {
        "profile": istio.profile,
        "hub": istio.hub,
        "tag": istio.tag or istio.version,
        "namespace": istio.namespace,
    }
    if istio.revision:
        spec["revision"] = istio.revision
    if istio.mesh_config:
        spec["meshConfig"] = istio.mesh_config
    components = dict(istio.components)
    if env.ingress.ports:
        components["ingressGateways"] = _with_ports(components.get("ingressGateways") or [], env)
    if components:
        spec["components"] = components
    values = dict(istio.values)
    if istio.namespace != "istio-system":
        values["global"] = {**values.get("global", {}), "istioNamespace": istio.namespace}
    if values:
        spec["values"] = values
    return {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec}


def _with_ports(gateways: list[dict[str, Any]], env: Environment) -> list[dict[str, Any]]:
    """The list of ingress gateways, with the ports of `ingress` in the one whose Service that is."""
    ports = [
        {"name": port.name, "port": port.port, "targetPort": port.target_port}
        | ({"nodePort": port.node_port} if port.node_port else {})
        for port in env.ingress.ports
    ]
    service = env.ingress.service
    new: dict[str, Any] = {"name": service, "enabled": True}
    ours = next((g for g in gateways if g.get("name") == service), new)
    k8s = ours.get("k8s", {})
    put = {**ours, "k8s": {**k8s, "service": {**k8s.get("service", {}), "ports": ports}}}
    return [put if g.get("name") == service else g for g in gateways] if ours in gateways else [*gateways, put]


def text(env: Environment) -> str:
    """The object as YAML."""
    return yaml.safe_dump(operator(env), sort_keys=False, width=4096)
