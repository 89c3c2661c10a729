"""One look at a mesh: its istiods with their settings, its proxies, its ztunnels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import yaml

from meshwright import envoys, istio, pods
from meshwright.environment import Environment
from meshwright.envoys import Proxy
from meshwright.errors import MeshwrightError
from meshwright.kube import Session

__all__ = ["ROOT_CONFIGMAP", "Mesh", "Plane", "Replica", "grace", "look", "setting", "true"]

Object = dict[str, Any]

ROOT_CONFIGMAP = "istio-ca-root-cert"
"""The ConfigMap in every namespace of a mesh from which pods take the roots (key root-cert.pem)."""

_ISTIOD, _ZTUNNEL = "app=istiod", "app=ztunnel"
_CACERTS_DIR = "/etc/cacerts"
_GRACE = 20


@dataclass(frozen=True)
class Plane:
    """A Deployment of istiod: its revision, the environment of its container, and the Secret that it mounts at
    /etc/cacerts ("" for none)."""

    name: str
    revision: str
    settings: dict[str, str]
    cacerts: str


@dataclass(frozen=True, order=True)
class Replica:
    """A running pod of istiod, ready or not."""

    namespace: str
    pod: str
    revision: str
    image: str
    ready: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True)
class Mesh:
    """What one look found. `namespace` is that of the control plane; `config` the mesh config, by revision; `remote`
    says that istiod runs in another cluster."""

    namespace: str
    revision: str
    planes: tuple[Plane, ...]
    istiods: tuple[Replica, ...]
    proxies: tuple[Proxy, ...]
    ztunnels: tuple[Object, ...]
    pods: tuple[Object, ...]
    namespaces: tuple[Object, ...]
    config: dict[str, Object]
    remote: bool = False

    @functools.cached_property
    def plane(self) -> Plane | None:
        """The Deployment of the environment's own revision, else the first."""
        own = (plane for plane in self.planes if plane.revision == self.revision)
        return next(own, next(iter(self.planes), None))

    def setting(self, name: str, default: str = "") -> str:
        """A setting of the environment's own istiod."""
        return self.plane.settings.get(name, default) if self.plane else default


def look(live: Session, env: Environment) -> Mesh:
    """The mesh as it is now; four lists, read at once. Raises Forbidden, Unreachable, ApiError."""
    space = env.istio.namespace
    questions = (
        ("v1", "Pod", None, ""),
        ("v1", "Namespace", None, ""),
        ("apps/v1", "Deployment", space, _ISTIOD),
        ("v1", "ConfigMap", space, ""),
    )
    found = live.map(lambda asked: live.list(*asked[:3], labels=asked[3]), questions)
    running = [pod for pod in found[0] if not pods.finished(pod)]
    having = sorted(proxy for pod in running if (proxy := envoys.proxy_of(pod)) is not None)
    return Mesh(
        space,
        istio.revision(env),
        tuple(sorted((_plane(each) for each in found[2]), key=lambda plane: plane.name)),
        tuple(sorted(_istiod(pod) for pod in running if _is(pod, _ISTIOD, space))),
        tuple(having),
        tuple(pod for pod in running if _is(pod, _ZTUNNEL)),
        tuple(running),
        tuple(found[1]),
        _configs(found[3]),
        not istio.has_istiod(env),
    )


def grace(mesh: Mesh) -> int:
    """The share of its life, in percent, below which istiod signs a root of its own anew, with the same key
    (CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE in istio/istio, security/pkg/cmd/constants.go)."""
    said = mesh.setting("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE")
    return int(said) if said.isdecimal() else _GRACE


def true(value: str) -> bool:
    """Whether a setting is on, as Go's ParseBool reads it."""
    return value.strip().lower() in ("1", "t", "true")


def setting(pod: Object, name: str, container: str = "") -> str:
    """The literal value of an environment variable in a pod's containers; "" where it has none."""
    spec = pod["spec"]
    for each in [*spec["containers"], *(spec.get("initContainers") or [])]:
        if container in ("", each["name"]):
            for variable in each.get("env") or []:
                if variable["name"] == name and variable.get("value"):
                    return str(variable["value"])
    return ""


def _is(pod: Object, label: str, namespace: str = "") -> bool:
    key, _, value = label.partition("=")
    metadata = pod["metadata"]
    return (metadata.get("labels") or {}).get(key) == value and namespace in ("", metadata["namespace"])


def _plane(deployment: Object) -> Plane:
    spec = deployment["spec"]["template"]["spec"]
    containers = spec.get("containers") or []
    own: Object = next(
        (each for each in containers if each["name"] == "discovery"), containers[0] if containers else {}
    )
    settings = {each["name"]: str(each["value"]) for each in own.get("env") or [] if each.get("value")}
    mounted = {
        each["name"]
        for each in own.get("volumeMounts") or []
        if each["mountPath"].rstrip("/") == settings.get("ROOT_CA_DIR", _CACERTS_DIR).rstrip("/")
    }
    secrets = [each["secret"]["secretName"] for each in spec.get("volumes") or [] if each["name"] in mounted]
    revision = pods.revision(deployment)
    return Plane(deployment["metadata"]["name"], revision, settings, secrets[0] if secrets else "")


def _istiod(pod: Object) -> Replica:
    metadata, containers = pod["metadata"], pod["spec"]["containers"]
    image = next((each.get("image", "") for each in containers if each["name"] == "discovery"), "")
    return Replica(metadata["namespace"], metadata["name"], pods.revision(pod), image, pods.ready(pod))


def _configs(maps: list[Object]) -> dict[str, Object]:
    """The mesh config of each revision: ConfigMap istio, or istio-REVISION."""
    found = {}
    for each in maps:
        name, text = each["metadata"]["name"], (each.get("data") or {}).get("mesh")
        if text is None or not (name == "istio" or name.startswith("istio-")):
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise MeshwrightError(f"the mesh config in ConfigMap {name} is no YAML") from None
        found[name.removeprefix("istio").lstrip("-") or "default"] = value if isinstance(value, dict) else {}
    return found
