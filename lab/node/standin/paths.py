"""Where things are: k3s's paths, as far as k3d and its users look at them."""

from pathlib import Path

DATA = Path("/var/lib/rancher/k3s")
TLS = DATA / "server/tls"
DATABASE = DATA / "server/db/etcd"
MANIFESTS = DATA / "server/manifests"
AGENT = DATA / "agent"
IMAGES = AGENT / "images"
KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
CONTAINERD_SOCKET = Path("/run/k3s/containerd/containerd.sock")
CNI_CONFIG = Path("/etc/cni/net.d/10-bridge.conflist")
# host-local keeps one file per address here.
CNI_ADDRESSES = Path("/var/lib/cni/networks")
KUBELET_KUBECONFIG = AGENT / "kubelet.kubeconfig"
LOGS = Path("/var/log/k3s")
# This program's own files in the image.
PROGRAM = Path(__file__).resolve().parent.parent

CLUSTER_CIDR = "10.42.0.0/16"
FIRST_NODE_CIDR = "10.42.0.0/24"
SERVICE_CIDR = "10.43.0.0/16"
API_SERVICE_ADDRESS = "10.43.0.1"
DNS_ADDRESS = "10.43.0.10"
API_PORT = 6443
