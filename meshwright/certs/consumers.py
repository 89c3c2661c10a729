"""Who presents certificates beside the authority itself: istiod, gateways with credentials of their own, workloads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import envoys
from meshwright.certs import sds
from meshwright.certs.certificate import BrokenBundle, Certificate, bundle
from meshwright.certs.mesh import Mesh, Replica
from meshwright.certs.tls import connect
from meshwright.envoys import Proxy
from meshwright.errors import Forbidden, MeshwrightError, outcome
from meshwright.kube import ApiError, Session

__all__ = ["Credential", "Presented", "credentials", "presented", "served", "server_name", "workloads"]

Object = dict[str, Any]

_ISTIO, _GATEWAY_API = "networking.istio.io", "gateway.networking.k8s.io"
# Modes in which a server of a Gateway presents a certificate of its own.
_PRESENTING = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})
_LOCAL_SCHEME = "kubernetes://"


@dataclass(frozen=True)
class Presented:
    """What something presents: its chain, or why it could not be seen."""

    name: str
    chain: tuple[Certificate, ...] = ()
    error: MeshwrightError | None = None


@dataclass(frozen=True)
class Credential:
    """A certificate that a Gateway names. `secret` is NAMESPACE/NAME, `gateways` who names it; without a chain, `why`
    says what is the matter. `unseen`: it is there, but nowhere that can be looked at."""

    secret: str
    gateways: tuple[str, ...]
    chain: tuple[Certificate, ...] = ()
    why: str = ""
    unseen: bool = False


def server_name(istiod: Replica) -> str:
    """The name by which proxies of its revision know an istiod."""
    own = "" if istiod.revision == "default" else f"-{istiod.revision}"
    return f"istiod{own}.{istiod.namespace}.svc"


def presented(live: Session, mesh: Mesh, port: int) -> list[Presented]:
    """What each ready istiod presents at `port`, by a real handshake."""

    def one(istiod: Replica) -> Presented:
        try:
            with connect(live, istiod.namespace, istiod.pod, port, server_name=server_name(istiod)) as stream:
                return Presented(str(istiod), stream.chain)
        except MeshwrightError as error:
            return Presented(str(istiod), error=error)

    return live.map(one, [each for each in mesh.istiods if each.ready])


def workloads(live: Session, mesh: Mesh) -> list[tuple[Proxy, sds.Served | MeshwrightError]]:
    """What each proxy has, asked eight at once; an error stands for one that gave no answer. A pod that is gone since
    the look is left out."""
    answers = zip(mesh.proxies, envoys.ask_all(live, mesh.proxies, sds.SECRETS), strict=True)
    return [(proxy, _served(proxy, answer)) for proxy, answer in answers if not _gone(answer)]


def _gone(answer: bytes | MeshwrightError) -> bool:
    return isinstance(answer, ApiError) and answer.status == 404


def _served(proxy: Proxy, answer: bytes | MeshwrightError) -> sds.Served | MeshwrightError:
    if isinstance(answer, MeshwrightError):
        return answer
    return outcome(lambda: sds.of_envoy(answer, f"the Envoy of {proxy}"))


def credentials(live: Session, mesh: Mesh) -> list[Credential]:
    """Every credential that a Gateway names, Istio's kind and the Gateway API's, each once, sorted."""
    named: dict[str, set[str]] = {}
    unseen: dict[str, set[str]] = {}
    for gateway, secret in _named(live, mesh):
        known = named if secret.count("/") == 1 and "://" not in secret else unseen
        known.setdefault(secret, set()).add(gateway)
    found = live.map(lambda item: _read(live, item[0], tuple(sorted(item[1]))), sorted(named.items()))
    away = [Credential(name, tuple(sorted(by)), why="it is no Secret", unseen=True) for name, by in unseen.items()]
    return sorted([*found, *away], key=lambda each: each.secret)


def served(credential: Credential, seen: Sequence[tuple[Proxy, sds.Served | MeshwrightError]]) -> Credential:
    """A credential that could not be read, as a gateway presents it; the same where none does."""
    namespace, _, name = credential.secret.partition("/")
    for proxy, found in seen:
        if isinstance(found, MeshwrightError):
            continue
        named = {f"kubernetes-gateway://{credential.secret}", f"kubernetes://{credential.secret}"}
        named |= {f"kubernetes://{name}"} if proxy.namespace == namespace else set()
        for key in sorted(named & set(found.credentials)):
            return Credential(credential.secret, credential.gateways, found.credentials[key])
    return credential


def _named(live: Session, mesh: Mesh) -> Iterator[tuple[str, str]]:
    """Pairs of a Gateway's name and NAMESPACE/NAME of a Secret; a URL or a path for what is not a Secret."""
    for gateway in _all(live, _ISTIO):
        spaces = _spaces(gateway, mesh)
        for server in (gateway.get("spec") or {}).get("servers") or []:
            yield from ((_label(gateway), name) for name in _of_server(server.get("tls") or {}, spaces))
    for gateway in _all(live, _GATEWAY_API):
        own = gateway["metadata"]["namespace"]
        for listener in (gateway.get("spec") or {}).get("listeners") or []:
            for reference in (listener.get("tls") or {}).get("certificateRefs") or []:
                if reference.get("kind", "Secret") == "Secret" and not reference.get("group"):
                    yield _label(gateway), f"{reference.get('namespace') or own}/{reference['name']}"


def _all(live: Session, group: str) -> list[Object]:
    kind = live.preferred(group, "Gateway")
    return live.list(kind.api_version, "Gateway") if kind else []


def _label(gateway: Object) -> str:
    return f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"


def _spaces(gateway: Object, mesh: Mesh) -> list[str]:
    """The namespaces of the pods that a Gateway selects: there its Secrets live, wherever the Gateway does."""
    wanted = (gateway.get("spec") or {}).get("selector") or {}
    found = {
        pod["metadata"]["namespace"]
        for pod in mesh.pods
        if wanted and wanted.items() <= (pod["metadata"].get("labels") or {}).items()
    }
    return sorted(found) or [gateway["metadata"]["namespace"]]


def _of_server(tls: Object, spaces: list[str]) -> Iterator[str]:
    if tls.get("mode", "SIMPLE") not in _PRESENTING:
        return
    several = [each.get("credentialName") for each in tls.get("tlsCertificates") or []]
    for name in filter(None, [tls.get("credentialName"), *(tls.get("credentialNames") or []), *several]):
        plain = name.removeprefix(_LOCAL_SCHEME)
        if "://" in plain:
            yield name
        else:
            yield from ([plain] if "/" in plain else (f"{space}/{plain}" for space in spaces))
    if tls.get("serverCertificate"):
        yield f"file:{tls['serverCertificate']}"


def _read(live: Session, secret: str, gateways: tuple[str, ...]) -> Credential:
    namespace, _, name = secret.partition("/")
    try:
        found = live.get("v1", "Secret", name, namespace)
    except Forbidden as error:
        # Few may read Secrets; what the gateway presents can be seen all the same.
        return Credential(secret, gateways, why=error.message, unseen=True)
    if found is None:
        return Credential(secret, gateways, why="there is no such Secret")
    # The key is let go of here; only the certificates go on.
    data = found.pop("data", None) or {}
    text = data.get("tls.crt") or data.get("cert") or ""
    del data, found
    try:
        chain = bundle(base64.b64decode(text, validate=True), f"Secret {secret}")
    except (binascii.Error, BrokenBundle):
        return Credential(secret, gateways, why="its certificate is damaged")
    return Credential(secret, gateways, chain, "" if chain else "it has no certificate (tls.crt or cert)")
