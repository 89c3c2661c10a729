"""The configuration files of the components, as plain data. YAML readers accept JSON, so that is what is written."""

import base64
import json
from pathlib import Path
from typing import Any

from standin import paths


def write(path: Path, document: dict[str, Any], mode: int = 0o600) -> None:
    """Write a document to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.chmod(mode)
    new.replace(path)


def kubeconfig(server: str, authority: Path, user: dict[str, Any]) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context, all called `default` as k3s calls them."""
    cluster = {"server": server, "certificate-authority-data": encoded(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": cluster}],
        "users": [{"name": "default", "user": user}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    }


def certificate_user(folder: Path, name: str) -> dict[str, Any]:
    """The user of a kubeconfig that shows a client certificate."""
    return {
        "client-certificate-data": encoded(folder / f"{name}.crt"),
        "client-key-data": encoded(folder / f"{name}.key"),
    }


def encoded(path: Path) -> str:
    """A file's content in base64."""
    return base64.b64encode(path.read_bytes()).decode()


def kubelet(client_authority: Path) -> dict[str, Any]:
    """The kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(client_authority)},
        },
        "authorization": {"mode": "Webhook"},
        # No systemd in the node; and CI machines still have version 1 of cgroups, which the kubelet refuses by default.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [paths.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
        "rotateCertificates": True,
        # The node's file system is the machine's: what fills that up is not this node's affair, and its images
        # cannot be fetched again once they were collected as garbage.
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi"},
        # A lower score than a parent's needs CAP_SYS_RESOURCE, which a host may not have.
        "oomScoreAdj": 0,
        # 110 by default; one small process each is what the lab runs.
        "maxPods": 250,
        # Fewer, larger steps in the start of many pods at once.
        "serializeImagePulls": False,
    }


def proxy() -> dict[str, Any]:
    """kube-proxy's configuration. It talks as its node: `system:nodes` gets kube-proxy's role (see nodes.yaml)."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(paths.KUBELET_KUBECONFIG)},
        "clusterCIDR": paths.CLUSTER_CIDR,
        "mode": "iptables",
        "oomScoreAdj": 0,
        # Zero: leave the machine's own limits as they are; a container may not write them.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def network(node_cidr: str) -> dict[str, Any]:
    """The network of a node's pods: a bridge. Masquerading is one rule for the whole cluster (see network.py)."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": node_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "cbr0", "plugins": [bridge, ports]}
