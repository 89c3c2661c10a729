"""The network between pods: a bridge on each node, and routes between the nodes, which share one docker network."""

import shutil
import socket
import subprocess
import threading
import time

from standin import config, log, paths

# One line for each node, again whenever it changes.
NODE_LINE = '{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}'


def own_address() -> str:
    """This node's address on its docker network."""
    return socket.gethostbyname(socket.gethostname())


def forget_addresses() -> None:
    """Free all pod addresses: nothing runs when a node starts, and one that was killed has freed none."""
    shutil.rmtree(paths.CNI_ADDRESSES, ignore_errors=True)


def configure(node_cidr: str) -> None:
    """Write the node's pod network; containerd watches the folder, and the node becomes ready after it."""
    config.write(paths.CNI_CONFIG, config.network(node_cidr), mode=0o644)


def masquerade() -> None:
    """Give what leaves the cluster the node's address; between pods the address stays the pod's own."""
    rule = ["-s", paths.CLUSTER_CIDR, "!", "-d", paths.CLUSTER_CIDR, "-j", "MASQUERADE"]
    table = ["iptables", "-w", "-t", "nat"]
    if subprocess.run([*table, "-C", "POSTROUTING", *rule], capture_output=True).returncode != 0:
        subprocess.run([*table, "-A", "POSTROUTING", *rule], check=True, capture_output=True)


def keep_routes(own_name: str) -> None:
    """Keep routes to the other nodes' pods, in the background, as nodes come and go."""
    threading.Thread(target=_follow_nodes, args=(own_name,), daemon=True).start()


def _follow_nodes(own_name: str) -> None:
    command = ["/usr/local/bin/kubectl", f"--kubeconfig={paths.KUBELET_KUBECONFIG}", "get", "nodes", "--watch"]
    while True:
        with subprocess.Popen([*command, f"-o=jsonpath={NODE_LINE}"], stdout=subprocess.PIPE, text=True) as watch:
            for line in watch.stdout or ():
                # A new node has no range or no address yet: its line comes again when it has.
                if len(words := line.split()) == 3 and words[0] != own_name:
                    _route(*words)
        # A watch ends after some time, and when the API server stops: both are ordinary.
        time.sleep(2)


def _route(name: str, cidr: str, address: str) -> None:
    done = subprocess.run(["ip", "route", "replace", cidr, "via", address], capture_output=True, text=True)
    if done.returncode != 0:
        log.info(f"no route to the pods of {name}: {done.stderr.strip()}")
