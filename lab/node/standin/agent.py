"""`k3s agent`: a further node. It joins with the cluster's token and gets a certificate of its own.

It takes the server's certificate authority from the server itself, before it shows any credential. That is what k3s
does with a token that carries no hash of the authority, as k3d's tokens do not.
"""

import re
import subprocess
from urllib.parse import urlsplit

from standin import config, images, log, network, node, paths
from standin.manifests import join_token
from standin.options import Options
from standin.processes import Failed, Processes, until_told_to_stop

AUTHORITY = paths.AGENT / "cluster-ca.crt"
JOIN_KUBECONFIG = paths.AGENT / "join.kubeconfig"


def run(options: Options) -> int:
    """Bring the node up, look after it, take it down; the exit code."""
    processes = Processes()
    try:
        _bring_up(options, processes)
        until_told_to_stop(processes, lambda: None)
    except Failed as failure:
        log.fatal(str(failure))
        return 1
    finally:
        processes.stop()
    return 0


def _bring_up(options: Options, processes: Processes) -> None:
    node.prepare()
    node.start_containerd(processes)
    log.info("Containerd is now running")
    images.load()
    url = options.server_url
    processes.wait_for(f"{url} shows its certificate", lambda: _take_authority(url), pause=0.5)
    user = {"token": join_token(options.token)}
    config.write(JOIN_KUBECONFIG, config.kubeconfig(url, AUTHORITY, user))
    # The kubelet writes its own kubeconfig when its certificate has been granted; until then it has none.
    node.start_kubelet(processes, options, AUTHORITY, f"--bootstrap-kubeconfig={JOIN_KUBECONFIG}")
    processes.wait_for("this node is known to the server", lambda: bool(node.pod_range()), pause=0.3)
    log.info(f"Successfully registered node {node.name()}")
    network.configure(node.pod_range())
    network.masquerade()
    node.start_proxy(processes, options)
    network.keep_routes(node.name())


def _take_authority(server_url: str) -> bool:
    """Keep the last certificate that the server shows: it is the authority's."""
    if AUTHORITY.exists():
        return True
    address = urlsplit(server_url)
    command = ["openssl", "s_client", "-showcerts", "-connect", f"{address.hostname}:{address.port or paths.API_PORT}"]
    try:
        shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return False
    found = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", shown.stdout, re.DOTALL)
    if len(found) < 2:
        return False
    AUTHORITY.write_text(found[-1])
    return True
