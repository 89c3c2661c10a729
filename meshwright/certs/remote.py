"""The other clusters of a mesh, as its remote secrets name them.

`istioctl create-remote-secret` makes one for each cluster whose endpoints an istiod should know: a kubeconfig, labelled
`istio/multiCluster=true`. What leads to another API server is an address and that one's CA; the token beside them is
let go of at once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from meshwright.errors import MeshwrightError
from meshwright.kube import Session, kubeconfig

__all__ = ["LABEL", "Known", "Remote", "known", "owner", "read"]

Object = dict[str, Any]

LABEL = "istio/multiCluster=true"
"""What all remote secrets have."""

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Remote:
    """A cluster that a remote secret leads to. `secret` is the Secret's name, `cluster` what istiod calls the cluster;
    `server` and `ca` (the DER of its certificates) are empty where its kubeconfig does not say, or cannot be read."""

    secret: str
    cluster: str
    server: str = ""
    ca: frozenset[bytes] = frozenset()

    def __str__(self) -> str:
        return f"{self.cluster}, by Secret {self.secret}" + (f", at {self.server}" if self.server else "")


@dataclass(frozen=True)
class Known:
    """A cluster that can be asked: `name` is ours (ENV/CLUSTER), `names` all that it may be called, `server` and `ca`
    what our own kubeconfig has."""

    name: str
    names: frozenset[str]
    server: str
    ca: frozenset[bytes]


def read(live: Session, namespace: str) -> list[Remote]:
    """The clusters that the remote secrets in istiod's namespace lead to. Raises Forbidden, Unreachable."""
    found = []
    for secret in live.list("v1", "Secret", namespace, labels=LABEL):
        name, data = secret["metadata"]["name"], secret.get("data") or {}
        found += [_remote(name, cluster, text) for cluster, text in sorted(data.items())] or [
            Remote(name, "no cluster")
        ]
    return found


def _remote(secret: str, cluster: str, text: str) -> Remote:
    """Whatever is wrong with its kubeconfig, there is a cluster that it is for."""
    try:
        document = kubeconfig.parse(base64.b64decode(text, validate=True), f"Secret {secret}")
        contexts = kubeconfig.entries(document, "contexts")
        chosen = contexts.get(document.get("current-context") or "") or next(iter(contexts.values()), {})
        clusters = kubeconfig.entries(document, "clusters")
        said = clusters.get(chosen.get("cluster") or "") or next(iter(clusters.values()), {})
        ca = base64.b64decode(said.get("certificate-authority-data") or "", validate=True)
    except (MeshwrightError, binascii.Error, TypeError, AttributeError):
        return Remote(secret, cluster)
    return Remote(secret, cluster, str(said.get("server") or ""), frozenset(kubeconfig.certificates(ca)))


def known(name: str, live: Session, cluster_ids: Iterable[str]) -> Known:
    """The cluster of a session; `cluster_ids` is what its istiods call their own cluster."""
    context = live.context
    short = name.rpartition("/")[2]
    ca = b"" if context.insecure else context.ca or b""
    return Known(name, frozenset({name, short, *cluster_ids}), context.server, frozenset(kubeconfig.certificates(ca)))


def owner(remote: Remote, clusters: Sequence[Known]) -> Known | None:
    """Which of `clusters` a remote secret leads to; None for none of them, and where it cannot be told.

    A cluster is who holds the CA of its API server. Several may share one, and where a kubeconfig names none it cannot
    be compared: then the address decides, and then what istiod calls it. A name alone proves nothing against another
    CA.
    """
    left = [each for each in clusters if not (remote.ca and each.ca) or remote.ca & each.ca]
    for same in (_same_ca, _same_server, _same_name):
        found = [each for each in left if same(remote, each)]
        if len(found) == 1:
            return found[0]
        left = found or left
    return None


def _same_ca(remote: Remote, cluster: Known) -> bool:
    return bool(remote.ca & cluster.ca)


def _same_server(remote: Remote, cluster: Known) -> bool:
    return bool(remote.server) and _address(remote.server) == _address(cluster.server)


def _same_name(remote: Remote, cluster: Known) -> bool:
    return remote.cluster in cluster.names


def _address(server: str) -> tuple[Any, ...]:
    try:
        parts = urlsplit(server)
        return (parts.hostname or server, parts.port or _PORTS.get(parts.scheme))
    except ValueError:
        return (server,)
