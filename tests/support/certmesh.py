"""A mesh whose istiod, Envoys and Secrets are what a test says, behind the edges of the core."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mesh as objects
import pytest
from fakes import FakeSession, environment
from pki import Signed, leaf, make, self_signed

from meshwright import cluster, envoys
from meshwright.certs import canary, consumers, running
from meshwright.certs.certificate import Certificate, pem
from meshwright.certs.tls import Identity
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import exec as inside
from meshwright.kube import portforward

Object = dict[str, Any]

VERSION = "1.30.3"
MESH = "{trustDomain: cluster.local, defaultConfig: {proxyMetadata: {PROXY_CONFIG_XDS_AGENT: 'true'}}}"


@dataclass
class World:
    """`root` signs with `signer`. `dumps` is what each proxy has, (chain, roots) by NAMESPACE/POD; an error in there is
    its answer. `istiod` is what istiods present, `issued` what they sign and hand out, `files` what agents see."""

    session: FakeSession
    env: Environment
    root: Signed
    signer: Signed
    dumps: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    istiod: Any = ()
    issued: Any = None
    refuses: str = ""
    files: dict[str, Any] = field(default_factory=dict)
    pages: dict[tuple[str, str], Any] = field(default_factory=dict)
    credentials: dict[str, dict[str, tuple[Certificate, ...]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def hand_out(self, *roots: Signed) -> None:
        """Makes ConfigMaps and webhooks have `roots`."""
        text = "".join(each.pem for each in roots)
        for name in ("default", "istio-system", "kube-system", "bookinfo"):
            data = {"root-cert.pem": text}
            self.session.put(objects.made("v1", "ConfigMap", "istio-ca-root-cert", name, data=data))
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            service = {"namespace": "istio-system", "name": "istiod", "path": "/x"}
            bundle = base64.b64encode(text.encode()).decode()
            hook = {"name": "x.istio.io", "clientConfig": {"service": service, "caBundle": bundle}}
            self.session.put(objects.made(objects.ADMISSION, kind, "istio", webhooks=[hook]))

    def converge(self, *roots: Signed, signer: Signed | None = None) -> None:
        """Everybody trusts `roots` and presents what `signer` signed."""
        signer = signer or self.signer
        trusted = tuple(each.certificate for each in roots)
        self.hand_out(*roots)
        for proxy in envoys.proxies(self.session):
            own = leaf(signer, f"spiffe://cluster.local/ns/{proxy.namespace}/sa/{proxy.pod}")
            # As istiod has it: all roots come behind the chain.
            self.dumps[str(proxy)] = ((*own.chain, *trusted), trusted)
            self.files[str(proxy)] = "".join(each.pem for each in roots)
        served = make("", signer, ca=False, names=("istiod.istio-system.svc",))
        self.istiod = served.chain
        own = leaf(signer, "spiffe://cluster.local/ns/istio-system/sa/default")
        self.issued = canary.Issued(Identity((*own.chain,), own.key), trusted)  # type: ignore[arg-type]

    def answer(self, path: str, proxy: envoys.Proxy) -> bytes | MeshwrightError:
        self.asked.append((str(proxy), path))
        table = self.versions if "node.metadata" in path or path == "/server_info" else self.dumps
        found = table.get(str(proxy), VERSION if table is self.versions else None)
        if isinstance(found, (MeshwrightError, bytes)):
            return found
        if table is self.versions:
            node = {"metadata": {"ISTIO_VERSION": found}}
            whole = {"configs": [{"bootstrap": {"node": node}}]} if "mask" in path else {"node": node}
            return json.dumps(whole).encode()
        chain, roots = found
        entries = [_entry("default", chain, None), _entry("ROOTCA", None, roots)]
        entries += [_entry(name, each, None) for name, each in self.credentials.get(str(proxy), {}).items()]
        return json.dumps({"configs": [each for each in entries if each]}).encode()


def _entry(name: str, chain: Any, roots: Any) -> Object | None:
    def inline(certificates: Any) -> Object:
        return {"inline_bytes": base64.b64encode(pem(certificates).encode()).decode()}

    if chain is None and roots is None:
        return None
    secret = {"tls_certificate": {"certificate_chain": inline(chain)}} if chain is not None else {}
    secret |= {"validation_context": {"trusted_ca": inline(roots)}} if roots is not None else {}
    return {"name": name, "last_updated": "2026-11-22T19:13:52.158Z", "secret": secret}


def injected(obj: Object) -> Object:
    """What istiod's webhook makes of a pod that asks for a sidecar."""
    if obj["kind"] == "Pod" and obj["metadata"]["labels"].get("sidecar.istio.io/inject") == "true":
        obj["spec"].setdefault("initContainers", []).append({"name": "istio-proxy", "restartPolicy": "Always"})
        roots = {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}
        obj["spec"].setdefault("volumes", []).append(roots)
    return obj


def plane(name: str = "istiod", revision: str = "default", **settings: str) -> Object:
    """A Deployment of istiod with these settings."""
    labels = {"app": "istiod", "istio.io/rev": revision}
    made = objects.deployment(name, "istio-system", labels)
    container = {
        "name": "discovery",
        "image": f"hub/pilot:{VERSION}",
        "env": [{"name": key, "value": value} for key, value in settings.items()],
        "volumeMounts": [{"name": "certs", "mountPath": "/etc/cacerts"}],
    }
    volume = {"name": "certs", "secret": {"secretName": "cacerts", "optional": True}}
    made["spec"]["template"]["spec"] = {"containers": [container], "volumes": [volume]}
    return made


def istiod_pod(name: str = "istiod-1", revision: str = "default", image: str = f"hub/pilot:{VERSION}") -> Object:
    """A pod of istiod."""
    pod = objects.istiod_pod(name)
    pod["metadata"]["labels"]["istio.io/rev"] = revision
    pod["spec"]["containers"] = [{"name": "discovery", "image": image}]
    return pod


def made(monkeypatch: pytest.MonkeyPatch) -> World:
    """A mesh on its own self-signed CA in which everything is in order: 4 sidecars and a gateway."""
    session = objects.healthy()
    session.put(plane(ISTIO_MULTIROOT_MESH="true", CLUSTER_ID="Kubernetes"))
    session.put(istiod_pod())
    for (_, kind, *_rest), obj in session.objects.items():
        if kind == "Pod":
            obj["metadata"].setdefault("uid", "u")
            for container in [*obj["spec"]["containers"], *(obj["spec"].get("initContainers") or [])]:
                if container["name"] == "istio-proxy":
                    container["env"] = [{"name": "PROXY_CONFIG_XDS_AGENT", "value": "true"}]
                    container.setdefault("args", ["proxy", "sidecar"])
    session.put(objects.made("v1", "ConfigMap", "istio", "istio-system", data={"mesh": MESH}))
    for key in [key for key in session.objects if key[1].endswith("WebhookConfiguration")]:
        del session.objects[key]
    session.defaults = injected
    root = make("cluster.local")
    session.put(self_signed(root))
    world = World(session, environment(), root, root)
    world.converge(root)

    def ask_all(_session: Any, wanted: Any, path: str, timeout: float = 10.0) -> list[Any]:
        return [world.answer(path, proxy) for proxy in wanted]

    @contextlib.contextmanager
    def connect(_session: Any, namespace: str, pod: str, _port: int, **_more: Any) -> Iterator[Any]:
        found = world.istiod.get(f"{namespace}/{pod}") if isinstance(world.istiod, dict) else world.istiod
        if isinstance(found, MeshwrightError):
            raise found
        yield type("Stream", (), {"chain": found})()

    def ask(_session: Any, istiod: Any, *_more: Any) -> canary.Issued:
        found = world.issued.get(str(istiod)) if isinstance(world.issued, dict) else world.issued
        if isinstance(found, MeshwrightError):
            raise found
        return found

    def run(_session: Any, namespace: str, pod: str, *_more: Any, **_most: Any) -> tuple[int, bytes, bytes]:
        found = world.files[f"{namespace}/{pod}"]
        if isinstance(found, MeshwrightError):
            raise found
        return found if isinstance(found, tuple) else (0, found.encode(), b"")

    def http_get(_session: Any, _namespace: str, pod: str, _port: int, path: str, *_more: Any) -> tuple[int, bytes]:
        found = world.pages.get((pod, path), f"{VERSION}-abc-Clean".encode() if path == "/version" else b"{}")
        if isinstance(found, MeshwrightError):
            raise found
        return found if isinstance(found, tuple) else (200, found)

    monkeypatch.setattr(envoys, "ask_all", ask_all)
    monkeypatch.setattr(consumers, "connect", connect)
    monkeypatch.setattr(canary, "token", lambda *_: "t0ken")
    monkeypatch.setattr(canary, "ask", ask)
    monkeypatch.setattr(canary, "accepted", lambda *_: world.refuses)
    monkeypatch.setattr(inside, "run", run)
    monkeypatch.setattr(portforward, "http_get", http_get)
    monkeypatch.setattr(cluster, "session", lambda *_: session)
    assert running.inside is inside
    return world
