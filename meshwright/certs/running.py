"""What runs, as places: istiods by real handshakes and with a certificate asked of each, proxies by their Envoys, the
roots that their agents see, ztunnels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from meshwright import envoys
from meshwright.certs import canary, consumers, sds
from meshwright.certs.certificate import BrokenBundle, bundle
from meshwright.certs.mesh import Mesh, Replica, setting, true
from meshwright.certs.place import Place
from meshwright.certs.tls import Refusal
from meshwright.envoys import Proxy
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import ApiError, Session, portforward
from meshwright.kube import exec as inside

__all__ = ["Unseen", "canaries", "files", "istiods", "proxies", "ztunnels"]

Object = dict[str, Any]

_WEBHOOK_PORT = 15017
_PORTS = {canary.PORT: "for proxies", _WEBHOOK_PORT: "for webhooks"}
_FILE = "/var/run/secrets/istio/root-cert.pem"
# Long before half of its life an agent has no reason to ask for another certificate.
_HALF = 0.5

_ISTIOD = "`kubectl rollout restart` of its Deployment makes it read the CA Secret anew"
_KUBELET = "The kubelet brings it within about a minute; an annotation written on the pod makes it look at once"
_TOLD = "Its agent is told of new roots within seconds: `kubectl logs POD -c istio-proxy` says why it was not"
_JOB = "A Job's pod is not restarted: wait for its end, or for its next certificate"


class Unseen(MeshwrightError):
    """There is no way to look at it from outside; nothing is wrong with it."""


def istiods(live: Session, mesh: Mesh) -> list[Place]:
    """What each istiod presents at its ports, by handshakes. One that is not ready could not be asked."""
    waiting = [each for each in mesh.istiods if not each.ready]
    error = Unreachable("it is not ready, so it was not asked")
    places = [Place("istiod", str(each), error=error, hint=_ISTIOD) for each in waiting]
    for port, purpose in _PORTS.items():
        for each in consumers.presented(live, mesh, port):
            name = f"{each.name} {purpose}"
            places.append(_presented(name, each))
    return places


def _presented(name: str, each: consumers.Presented) -> Place:
    if isinstance(each.error, Refusal):
        return Place("istiod", name, why=each.error.message, hint=_ISTIOD)
    if each.error is not None:
        return Place("istiod", name, error=each.error, hint=_ISTIOD)
    return Place("istiod", name, chain=each.chain, hint=_ISTIOD)


def canaries(live: Session, mesh: Mesh) -> list[Place]:
    """A certificate asked of each ready istiod, and a mutual handshake with it: what it signs with and hands out now.

    The places trust what the istiod handed out, and present what it signed."""
    ready = [each for each in mesh.istiods if each.ready]
    if not ready:
        return []
    try:
        bearer = canary.token(live, mesh.namespace)
    except MeshwrightError as error:
        return [Place("certificate", f"from {each}", error=error) for each in ready]
    domain = str(next(iter(mesh.config.values()), {}).get("trustDomain") or "cluster.local")
    name = canary.names_of(domain, mesh.namespace)
    return live.map(lambda each: _canary(live, mesh, each, bearer, name), ready)


def _canary(live: Session, mesh: Mesh, istiod: Replica, bearer: str, name: str) -> Place:
    label, server = f"from {istiod}", consumers.server_name(istiod)
    plane = next((each for each in mesh.planes if each.revision == istiod.revision), mesh.plane)
    cluster_id = plane.settings.get("CLUSTER_ID", "Kubernetes") if plane else "Kubernetes"
    try:
        issued = canary.ask(live, istiod, server, bearer, cluster_id, name)
        refused = canary.accepted(live, istiod, server, issued.identity)
    except Refusal as refusal:
        return Place("certificate", label, why=refusal.message, hint=_ISTIOD)
    except MeshwrightError as error:
        return Place("certificate", label, error=error, hint=_ISTIOD)
    # Whom istiod trusts as a client it reads once, when it starts (pilot/pkg/bootstrap/server.go); workloads in the
    # cluster come with tokens.
    note = f"the istiod that signed it takes no such certificate from a client: {refused}" if refused else ""
    hint = f"Only clients with certificates need that, such as VMs (PROV_CERT): {_ISTIOD}" if refused else _ISTIOD
    return Place("certificate", label, frozenset(issued.roots), issued.identity.chain, note=note, hint=hint)


def proxies(live: Session, mesh: Mesh, now: dt.datetime) -> list[Place]:
    """What every Envoy trusts and presents, from its own config dump."""
    pods = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in mesh.pods}
    places = []
    for proxy, served in consumers.workloads(live, mesh):
        pod = pods[proxy.namespace, proxy.pod]
        if isinstance(served, MeshwrightError):
            places.append(Place("proxy", str(proxy), error=served, hint=_catching_up(pod, None, now)))
            continue
        hint = _catching_up(pod, served, now)
        why = "" if served.roots else "it has received no roots (ROOTCA)"
        roots = frozenset(served.roots) if served.roots else None
        places.append(Place("proxy", str(proxy), roots, served.chain or (), why=why, hint=hint))
    return places


def _catching_up(pod: Object, served: sds.Served | None, now: dt.datetime) -> str:
    """How a proxy gets to the newest roots."""
    if true(setting(pod, "PROXY_CONFIG_XDS_AGENT", "istio-proxy")):
        return _TOLD
    owners = [owner["kind"] for owner in pod["metadata"].get("ownerReferences") or []]
    if "Job" in owners:
        return _JOB
    what = "Restart what keeps this pod" if owners else "Nothing keeps this pod: make it anew"
    leaf = served.leaf if served else None
    if leaf is None:
        return what
    renewed = leaf.not_before + (leaf.not_after - leaf.not_before) * _HALF
    # An agent that should have asked by now is not one to wait for.
    return what if renewed < now else f"{what}, or wait for its next certificate, at about {renewed:%H:%M} UTC"


def files(live: Session, mesh: Mesh) -> list[Place]:
    """The roots that each proxy's agent reads when it connects to istiod: the ConfigMap as the kubelet last brought it
    into the pod. Needs the right to run commands in pods; an image without `cat` cannot be looked into."""
    found = live.map(lambda proxy: _file(live, proxy), mesh.proxies)
    return [place for place in found if place is not None]


def _file(live: Session, proxy: Proxy) -> Place | None:
    """None where the pod is gone since the look."""
    try:
        code, out, errors = inside.run(live, proxy.namespace, proxy.pod, "istio-proxy", ["cat", _FILE], timeout=10)
    except (Forbidden, Unreachable) as error:
        return Place("file", str(proxy), error=error, hint="--no-files leaves these out")
    except MeshwrightError as error:
        if isinstance(error, ApiError) and error.status == 404:
            return None
        return Place("file", str(proxy), error=Unseen("its image has no `cat`, so its files cannot be looked at"))
    if code:
        said = errors.decode(errors="replace").strip() or f"cat exits with {code}"
        return Place("file", str(proxy), why=said, hint=_KUBELET)
    try:
        return Place("file", str(proxy), frozenset(bundle(out, f"{_FILE} of {proxy}")), hint=_KUBELET)
    except BrokenBundle as broken:
        return Place("file", str(proxy), why=broken.message, hint=_KUBELET)


def ztunnels(live: Session, mesh: Mesh) -> list[Place]:
    """What every ztunnel has, one place for each identity on its node."""
    found = live.map(lambda pod: list(_ztunnel(live, pod)), mesh.ztunnels)
    return [place for each in found for place in each]


def _ztunnel(live: Session, pod: Object) -> Iterator[Place]:
    metadata = pod["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    hint = "It asks for a new certificate at half of its life; restarting the DaemonSet is quicker"
    try:
        status, body = portforward.http_get(live, metadata["namespace"], metadata["name"], envoys.ADMIN, "/config_dump")
        if status != 200:
            raise Unreachable(f"ztunnel {name} answers {status} to /config_dump")
        served = sds.of_ztunnel(body, f"ztunnel {name}")
    except MeshwrightError as error:
        yield Place("ztunnel", name, error=error, hint=hint)
        return
    for each in served:
        why = "" if each.roots else "it has received no roots"
        roots = frozenset(each.roots) if each.roots else None
        yield Place("ztunnel", f"{name} for {each.name}", roots, each.chain or (), why=why, hint=hint)
