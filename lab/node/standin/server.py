"""`k3s server`: a control plane, and a node beside it in the same container."""

import ipaddress
import shutil
import ssl
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from standin import certificates, config, images, log, network, node, paths
from standin.manifests import Manifests
from standin.options import Options
from standin.processes import Failed, Processes, kubectl, until_told_to_stop

API = f"https://127.0.0.1:{paths.API_PORT}"
ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"
ISSUER = "https://kubernetes.default.svc.cluster.local"


def run(options: Options) -> int:
    """Bring the server up, look after it, take it down; the exit code."""
    processes, manifests = Processes(), Manifests()
    try:
        _bring_up(options, processes, manifests)
        until_told_to_stop(processes, manifests.apply_changed)
    except Failed as failure:
        log.fatal(str(failure))
        return 1
    finally:
        processes.stop()
    return 0


def _bring_up(options: Options, processes: Processes, manifests: Manifests) -> None:
    node.prepare()
    _certificates(options)
    _kubeconfigs()
    _start_database(processes)
    _start_api_server(processes, options)
    # Reading images takes longest and needs no API server: both at once.
    node.start_containerd(processes)
    log.info("Containerd is now running")
    loading = _Background(images.load)
    processes.wait_for("the API server is ready", _api_ready)
    log.info("Kube API server is now running")
    _start_controllers(processes, options)
    manifests.stage(options.disabled, options.token)
    manifests.apply_changed()
    processes.wait_for("the images are imported", loading.done, seconds=600)

    # This node joins first, so it gets the first range; known beforehand, its pods do not wait for the network.
    network.configure(paths.FIRST_NODE_CIDR)
    network.masquerade()
    node.start_kubelet(processes, options, paths.TLS / "cluster-ca.crt")
    node.start_proxy(processes, options)
    processes.wait_for("the node is ready", node.ready, pause=0.3)
    if (given := node.pod_range()) != paths.FIRST_NODE_CIDR:
        raise Failed(f"the server's node was given the pod addresses {given}, not {paths.FIRST_NODE_CIDR}")
    kubectl("label", "node", node.name(), "node-role.kubernetes.io/control-plane=true", "--overwrite")
    network.keep_routes(node.name())
    log.info("k3s is up and running")
    # k3d waits for this line before it writes its host names into coredns.yaml.
    log.info("Cluster dns configmap has been set successfully")


class _Background:
    """Work beside the main line; `done` raises what the work raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            self._failure = failure

    def done(self) -> bool:
        if self._failure:
            raise self._failure
        return not self._thread.is_alive()


def _certificates(options: Options) -> None:
    certificates.authority(paths.TLS, "cluster-ca")
    certificates.authority(paths.TLS, "request-header-ca")
    own, address = node.name(), network.own_address()
    service = [".".join(["kubernetes", "default", "svc", "cluster", "local"][:words]) for words in (1, 2, 3, 5)]
    names = [*service, "localhost", own, "127.0.0.1", paths.API_SERVICE_ADDRESS, address, *options.names]
    serving, node_subject = list(dict.fromkeys(map(alternative_name, names))), f"/O=system:nodes/CN=system:node:{own}"
    leaf = certificates.certificate
    leaf(paths.TLS, "apiserver", "/CN=kube-apiserver", "cluster-ca", serving)
    leaf(paths.TLS, "kubelet-serving", node_subject, "cluster-ca", [f"DNS:{own}", f"IP:{address}"])
    leaf(paths.TLS, "kubelet", node_subject, "cluster-ca")
    leaf(paths.TLS, "admin", "/O=system:masters/CN=system:admin", "cluster-ca")
    leaf(paths.TLS, "controller-manager", "/CN=system:kube-controller-manager", "cluster-ca")
    leaf(paths.TLS, "scheduler", "/CN=system:kube-scheduler", "cluster-ca")
    leaf(paths.TLS, "apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet", "cluster-ca")
    leaf(paths.TLS, "front-proxy", "/CN=system:auth-proxy", "request-header-ca")
    certificates.signing_key(paths.TLS / "service.key")
    # The server shows its authority as well: an agent takes it from there (see agent.py).
    chain = [(paths.TLS / f"{name}.crt").read_text() for name in ("apiserver", "cluster-ca")]
    (paths.TLS / "apiserver-chain.crt").write_text("".join(chain))


def alternative_name(name: str) -> str:
    """A name or an address in the form of openssl's subjectAltName."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _kubeconfigs() -> None:
    targets = {
        "admin": paths.KUBECONFIG,
        "controller-manager": paths.TLS / "controller-manager.kubeconfig",
        "scheduler": paths.TLS / "scheduler.kubeconfig",
        "kubelet": paths.KUBELET_KUBECONFIG,
    }
    for user, target in targets.items():
        document = config.kubeconfig(API, paths.TLS / "cluster-ca.crt", config.certificate_user(paths.TLS, user))
        config.write(target, document)


def _publish_kubeconfig(target: str) -> None:
    """k3d reads the kubeconfig from a file of its choice; only once the server answers, so that it is never early."""
    if target:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths.KUBECONFIG, f"{target}.new")
        Path(f"{target}.new").chmod(0o600)
        Path(f"{target}.new").replace(target)


def _start_database(processes: Processes) -> None:
    command = ["kube", "etcd", f"--data-dir={paths.DATABASE}"]
    command += [f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}", f"--listen-peer-urls={ETCD_PEER}"]
    # A lab's disk is slow, and a cluster that a crash of the whole machine has eaten is made again in a minute.
    processes.start("etcd", [*command, "--unsafe-no-fsync"])


def _start_api_server(processes: Processes, options: Options) -> None:
    tls = paths.TLS
    flags = {
        "etcd-servers": ETCD,
        "secure-port": paths.API_PORT,
        "bind-address": "0.0.0.0",
        "advertise-address": network.own_address(),
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "service-cluster-ip-range": paths.SERVICE_CIDR,
        "tls-cert-file": tls / "apiserver-chain.crt",
        "tls-private-key-file": tls / "apiserver.key",
        "client-ca-file": tls / "cluster-ca.crt",
        "service-account-issuer": ISSUER,
        # k3s's audience beside the standard one: charts that ask for it by name find it.
        "api-audiences": f"{ISSUER},k3s",
        "service-account-key-file": tls / "service.key",
        "service-account-signing-key-file": tls / "service.key",
        "kubelet-client-certificate": tls / "apiserver-kubelet.crt",
        "kubelet-client-key": tls / "apiserver-kubelet.key",
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "proxy-client-cert-file": tls / "front-proxy.crt",
        "proxy-client-key-file": tls / "front-proxy.key",
        "requestheader-client-ca-file": tls / "request-header-ca.crt",
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
    }
    command = ["kube", "kube-apiserver", *(f"--{name}={value}" for name, value in flags.items())]
    processes.start("kube-apiserver", [*command, *options.arguments_for("kube-apiserver")])


def _api_ready() -> bool:
    context = ssl.create_default_context(cafile=paths.TLS / "cluster-ca.crt")
    try:
        with urllib.request.urlopen(f"{API}/readyz", timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _start_controllers(processes: Processes, options: Options) -> None:
    tls = paths.TLS

    def common(name: str) -> list[str]:
        kubeconfig = tls / f"{name}.kubeconfig"
        files = [f"--{purpose}kubeconfig={kubeconfig}" for purpose in ("", "authentication-", "authorization-")]
        return [f"kube-{name}", *files, "--leader-elect=false", "--bind-address=127.0.0.1"]

    flags = {
        "allocate-node-cidrs": "true",
        "cluster-cidr": paths.CLUSTER_CIDR,
        "cluster-signing-cert-file": tls / "cluster-ca.crt",
        "cluster-signing-key-file": tls / "cluster-ca.key",
        "root-ca-file": tls / "cluster-ca.crt",
        "service-account-private-key-file": tls / "service.key",
        "use-service-account-credentials": "true",
    }
    command = ["kube", *common("controller-manager"), *(f"--{name}={value}" for name, value in flags.items())]
    processes.start("kube-controller-manager", [*command, *options.arguments_for("kube-controller-manager")])
    processes.start("kube-scheduler", ["kube", *common("scheduler"), *options.arguments_for("kube-scheduler")])
    _publish_kubeconfig(options.kubeconfig_copy)
