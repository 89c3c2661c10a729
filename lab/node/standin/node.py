"""What every node runs, server or agent: containerd, the kubelet and kube-proxy."""

import socket
import stat
import subprocess
from pathlib import Path

from standin import config, network, paths
from standin.options import Options
from standin.processes import Processes, kubectl

CAP_SYS_RESOURCE = 24


def name() -> str:
    """The node's name in the cluster: the container's."""
    return socket.gethostname()


def lacks_sys_resource(status: str) -> bool:
    """Whether a process's status (/proc/PID/status) says that CAP_SYS_RESOURCE cannot be had."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1
    return False


def prepare() -> None:
    """Make the folders and the state that a fresh start needs."""
    for folder in (paths.AGENT, paths.IMAGES, paths.TLS, Path("/var/lib/kubelet")):
        folder.mkdir(parents=True, exist_ok=True)
    network.forget_addresses()
    paths.CNI_CONFIG.unlink(missing_ok=True)
    # Mounts made in a pod have to reach the containers of the same pod, as they do on a machine of its own.
    subprocess.run(["mount", "--make-rshared", "/"], check=True, capture_output=True)
    # The kubelet reads the kernel's messages to find OOM kills, and insists on the device.
    if not Path("/dev/kmsg").exists():
        Path("/dev/kmsg").symlink_to("/dev/console")


def start_containerd(processes: Processes) -> None:
    """Start containerd and wait until it listens."""
    reduced = lacks_sys_resource(Path("/proc/self/status").read_text())
    runtime = paths.PROGRAM / "runc-without-sys-resource" if reduced else Path("/usr/sbin/runc")
    text = (paths.PROGRAM / "containerd.toml").read_text().replace('"RUNC"', f'"{runtime}"')
    target = Path("/etc/containerd/config.toml")
    target.write_text(text)
    processes.start("containerd", ["containerd", "--config", str(target)])
    processes.wait_for("containerd listens", _containerd_listens, seconds=60)


def _containerd_listens() -> bool:
    path = paths.CONTAINERD_SOCKET
    if not (path.exists() and stat.S_ISSOCK(path.stat().st_mode)):
        return False
    return subprocess.run(["ctr", "version"], capture_output=True).returncode == 0


def start_kubelet(processes: Processes, options: Options, client_authority: Path, *arguments: str) -> None:
    """Start the kubelet; it makes the node known to the cluster."""
    configuration = paths.AGENT / "kubelet.yaml"
    config.write(configuration, config.kubelet(client_authority))
    command = ["kube", "kubelet", f"--config={configuration}", f"--kubeconfig={paths.KUBELET_KUBECONFIG}"]
    command += [f"--node-ip={network.own_address()}", f"--hostname-override={name()}"]
    if options.labels:
        command.append(f"--node-labels={','.join(options.labels)}")
    if options.taints:
        command.append(f"--register-with-taints={','.join(options.taints)}")
    processes.start("kubelet", [*command, *arguments, *options.arguments_for("kubelet")])


def start_proxy(processes: Processes, options: Options) -> None:
    """Start kube-proxy, which makes Services reachable."""
    configuration = paths.AGENT / "kube-proxy.yaml"
    config.write(configuration, config.proxy())
    command = ["kube", "kube-proxy", f"--config={configuration}", f"--hostname-override={name()}"]
    processes.start("kube-proxy", [*command, *options.arguments_for("kube-proxy")])


def ready() -> bool:
    """Whether the cluster says that this node is ready."""
    path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    return kubectl("get", "node", name(), path, kubeconfig=paths.KUBELET_KUBECONFIG).stdout == "True"


def pod_range() -> str:
    """The range of pod addresses that the cluster gave this node; empty before it did."""
    answer = kubectl("get", "node", name(), "-o=jsonpath={.spec.podCIDR}", kubeconfig=paths.KUBELET_KUBECONFIG)
    return answer.stdout.strip()
