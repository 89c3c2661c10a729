"""check-version: which version of Istio runs in each pod, and what that means for a change of the root."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from meshwright import envoys, pods
from meshwright.certs.finding import Finding, fine
from meshwright.certs.mesh import Mesh, Replica, look, setting, true
from meshwright.certs.versions import Version, of_tag, parse, traps
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.envoys import Proxy
from meshwright.errors import MeshwrightError
from meshwright.istiods import MONITORING
from meshwright.kube import Session, portforward
from meshwright.wording import some

__all__ = ["Part", "Report", "check"]

Object = dict[str, Any]

# The node metadata alone, 3 KB; /server_info, which older Envoys have as well, is 130 KB.
_METADATA, _SERVER_INFO = "/config_dump?mask=bootstrap.node.metadata", "/server_info"
_BY_TAG = "the image's tag"


@dataclass(frozen=True, order=True)
class Part:
    """A pod with a part of Istio in it. `kind` is istiod, sidecar, gateway, waypoint or ztunnel; `version` what it says
    ("" where nothing does), `source` who says so; `live` whether its agent takes new roots without a new certificate
    (PROXY_CONFIG_XDS_AGENT)."""

    namespace: str
    pod: str
    kind: str
    version: str
    source: str
    revision: str
    image: str
    native: bool = False
    live: bool = False
    why: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"

    @property
    def number(self) -> Version | None:
        """The version as numbers; None where it is not known."""
        return parse(self.version)

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "namespace": self.namespace,
            "pod": self.pod,
            "kind": self.kind,
            "native_sidecar": self.native,
            "revision": self.revision,
            "version": self.version or None,
            "source": self.source or None,
            "image": self.image,
            "takes_roots_live": self.live,
            "traps": [{"says": t.says, "todo": t.todo, "source": t.source} for t in self._traps],
            "why": self.why or None,
        }

    @property
    def _traps(self) -> Iterable[Any]:
        return traps(self.kind, self.number) if self.number else ()


@dataclass(frozen=True)
class Report:
    """All parts, and what is to be said about them."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every version is known and none makes a change of the root impossible."""
        return bool(self.parts) and fine(self.findings)

    @property
    def oldest(self) -> str:
        """The oldest version that runs; what the mesh can do is what this one can."""
        known = [(part.number, part.version) for part in self.parts if part.number]
        return min(known)[1] if known else ""


def check(live: Session, env: Environment) -> Report:
    """Asks every istiod, proxy and ztunnel for its version. Raises Forbidden, Unreachable (the pods cannot be listed);
    a pod that does not answer is a finding."""
    mesh = look(live, env)
    by_pod = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in mesh.pods}
    parts = [
        *live.map(lambda each: _istiod(live, each), mesh.istiods),
        *_proxies(live, mesh, by_pod),
        *live.map(lambda pod: _ztunnel(live, pod), mesh.ztunnels),
    ]
    parts.sort()
    return Report(tuple(parts), (*_unknown(parts), *_caught(parts), *_modes(parts, mesh)))


def _istiod(live: Session, istiod: Replica) -> Part:
    said, why = "", ""
    try:
        status, body = portforward.http_get(live, istiod.namespace, istiod.pod, MONITORING, "/version")
        said, why = (body.decode(errors="replace").strip(), "") if status == 200 else ("", f"it answers {status}")
    except MeshwrightError as error:
        why = error.message
    return _part(istiod.namespace, istiod.pod, "istiod", said, "/version", istiod.revision, istiod.image, why)


def _proxies(live: Session, mesh: Mesh, pods: dict[tuple[str, str], Object]) -> Iterator[Part]:
    answers = envoys.ask_all(live, mesh.proxies, _METADATA)
    silent = [p for p, a in zip(mesh.proxies, answers, strict=True) if isinstance(a, bytes) and not _said(a)]
    older = dict(zip(silent, envoys.ask_all(live, silent, _SERVER_INFO), strict=True))
    for proxy, answer in zip(mesh.proxies, answers, strict=True):
        answer = older.get(proxy, answer)
        said, why = ("", answer.message) if isinstance(answer, MeshwrightError) else (_said(answer), "")
        yield _proxy(proxy, pods[proxy.namespace, proxy.pod], said, why)


def _proxy(proxy: Proxy, pod: Object, said: str, why: str) -> Part:
    on = true(setting(pod, "PROXY_CONFIG_XDS_AGENT", "istio-proxy"))
    return _part(
        proxy.namespace,
        proxy.pod,
        proxy.role,
        said,
        "node metadata",
        proxy.revision,
        proxy.image,
        why,
        native=proxy.native,
        live=on,
    )


def _said(answer: bytes) -> str:
    """ISTIO_VERSION of the node's metadata, which the agent writes; Envoy's own version says nothing about Istio's."""
    try:
        document = json.loads(answer)
    except ValueError:
        return ""
    nodes = [(each.get("bootstrap") or {}).get("node") or {} for each in document.get("configs") or []]
    metadata = [node.get("metadata") or {} for node in (*nodes, document.get("node") or {})]
    return next((str(each["ISTIO_VERSION"]) for each in metadata if each.get("ISTIO_VERSION")), "")


def _ztunnel(live: Session, pod: Object) -> Part:
    metadata = pod["metadata"]
    image = pod["spec"]["containers"][0].get("image", "")
    said, why = "", ""
    try:
        path = "/config_dump"
        status, body = portforward.http_get(live, metadata["namespace"], metadata["name"], envoys.ADMIN, path)
        version = json.loads(body).get("version") if status == 200 else {}
        said = str((version or {}).get("istioVersion") or (version or {}).get("gitTag") or "")
    except MeshwrightError as error:
        why = error.message
    except (ValueError, AttributeError):
        why = "it does not answer with a config dump"
    revision, name = pods.revision(pod), metadata["name"]
    return _part(metadata["namespace"], name, "ztunnel", said, "its config dump", revision, image, why)


def _part(
    namespace: str,
    pod: str,
    kind: str,
    said: str,
    source: str,
    revision: str,
    image: str,
    why: str,
    *,
    native: bool = False,
    live: bool = False,
) -> Part:
    """What runs is asked first; an image's tag is only what somebody called it, and counts where nothing else does."""
    if parse(said) is None:
        tag = of_tag(image)
        said, source = (tag, _BY_TAG) if parse(tag) else ("", "")
    return Part(namespace, pod, kind, said, source, revision, image, native, live, why)


def _unknown(parts: list[Part]) -> Iterator[Finding]:
    if not parts:
        yield Finding(State.NOT_VERIFIED, "versions", "0 parts of Istio were found", "Is this the cluster of the mesh?")
    for part in parts:
        if part.number is None:
            why = part.why or "it does not say its version, and its image has no tag that is one"
            yield Finding(State.NOT_VERIFIED, f"{part.kind} {part}", why, f"Image: {part.image}")
        elif part.source == _BY_TAG:
            text = f"{part.version} by its image's tag alone: {part.why or 'it does not say its version'}"
            yield Finding(State.WARNING, f"{part.kind} {part}", text, "A tag is what somebody called the image")


def _caught(parts: list[Part]) -> Iterator[Finding]:
    """One finding for each trap, with the parts that are in it: a mesh has hundreds of proxies of one version."""
    caught: dict[Any, list[Part]] = {}
    for part in parts:
        for trap in traps(part.kind, part.number) if part.number else ():
            caught.setdefault(trap, []).append(part)
    for trap, inside in caught.items():
        names = some([str(part) for part in inside], 3)
        found = ", ".join(sorted({part.version for part in inside}))
        yield Finding(trap.state, f"{inside[0].kind} {found}", f"{trap.says} ({names}; {trap.source})", trap.todo)


def _modes(parts: list[Part], mesh: Mesh) -> Iterator[Finding]:
    """Whether a new root reaches proxies without restarts: both sides have to have it switched on."""
    istiods = [plane.name for plane in mesh.planes if not true(plane.settings.get("ISTIO_MULTIROOT_MESH", ""))]
    proxies = [part for part in parts if part.kind in ("sidecar", "gateway", "waypoint")]
    without = [part for part in proxies if not part.live]
    if not proxies:
        return
    if not istiods and not without:
        text = f"istiod and all {len(proxies)} proxies take new roots over while they run"
        yield Finding(State.OK, "live change of roots", text)
        return
    said = [f"{len(without)} of {len(proxies)} proxies lack PROXY_CONFIG_XDS_AGENT"] if without else []
    said += [f"Deployment {name} lacks ISTIO_MULTIROOT_MESH" for name in istiods]
    hint = "A change of root restarts workloads or waits for half-lives; switching both on costs one rolling restart"
    yield Finding(State.WARNING, "live change of roots", "; ".join(said), hint)
