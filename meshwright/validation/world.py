"""Everything that rules look at: the environment's objects by kind, and the hosts that they make.

Manifests of the user's own may have anything in them; whoever reads them here asks with `Thing.all` and `Thing.get`,
which give nothing where the shape is not what it should be (the API server says that better).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from meshwright.callers import Offers
from meshwright.environment import Environment
from meshwright.manifests import Manifest
from meshwright.matching import covers, dig
from meshwright.rendering.hosts import cluster_domain, whole
from meshwright.rendering.objects import Rendered

__all__ = ["API", "CLUSTER", "Thing", "World"]

API = "gateway.networking.k8s.io"
"""The group of the Gateway API."""
_GROUPS = frozenset(
    {
        *("", "apps", "cert-manager.io", API),
        *(f"{group}.istio.io" for group in ("networking", "security", "telemetry", "extensions")),
    }
)
CLUSTER = "the cluster"
"""The place of what is only there."""


@dataclass(frozen=True, eq=False)
class Thing:
    """One object, and where it is written."""

    manifest: Manifest
    env: Environment

    @property
    def obj(self) -> dict[str, Any]:
        """The object."""
        return self.manifest.obj

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.obj["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; "" where it has none."""
        return str(self.obj["metadata"].get("namespace") or "")

    @property
    def title(self) -> str:
        """KIND NAMESPACE/NAME."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def of_api(self) -> bool:
        """Whether it is of the Gateway API."""
        return str(self.obj["apiVersion"]).startswith(API)

    def get(self, *path: str | int) -> Any:
        """The part of its spec at `path`; None where there is none."""
        return dig(self.obj.get("spec"), *path)

    def all(self, *path: str | int) -> list[Any]:
        """The list in its spec at `path`; empty where there is none."""
        found = self.get(*path)
        return found if isinstance(found, list) else []

    def at(self, *path: str | int) -> str:
        """FILE:LINE of the part of its spec at `path`, or of the nearest part around it that has a line."""
        if isinstance(self.manifest, Rendered) and self.manifest.same:
            for length in range(len(path), 0, -1):
                place = self.env.where(*self.manifest.path, *path[:length])
                if place != "default":
                    return place
        return self.manifest.place


@dataclass(frozen=True)
class World:
    """The objects of an environment, and of its cluster where that was asked. `skipped` are sentences about what could
    not be looked at, `known` the kinds of which all objects in the cluster are among `things`, `hidden` those that may
    not be listed there. `leave` are live objects that an apply would delete or replace."""

    env: Environment
    things: tuple[Thing, ...]
    skipped: list[str] = field(default_factory=list)
    known: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    leave: tuple[Thing, ...] = ()

    @cached_property
    def _by_kind(self) -> dict[tuple[bool, str], dict[tuple[str, str], Thing]]:
        found: dict[tuple[bool, str], dict[tuple[str, str], Thing]] = {}
        for thing in self.things:
            found.setdefault((thing.of_api, thing.kind), {}).setdefault((thing.namespace, thing.name), thing)
        return found

    @cached_property
    def offers(self) -> Offers:
        """What these objects have that others can name."""
        return Offers((thing.obj for thing in self.things), self.domain)

    @cached_property
    def domain(self) -> str:
        """The domain of the cluster's Services."""
        return cluster_domain(self.env)

    def of(self, *kinds: str, api: bool = False) -> Iterator[Thing]:
        """The objects of these kinds, of Istio and Kubernetes, or of the Gateway API."""
        return (thing for kind in kinds for thing in self._by_kind.get((api, kind), {}).values())

    def find(self, kind: str, namespace: str, name: str, *, api: bool = False) -> Thing | None:
        """One object."""
        return self._by_kind.get((api, kind), {}).get((namespace, name))

    def whole(self, host: Any, thing: Thing) -> str:
        """A host as Istio takes it in `thing`."""
        return whole(host, thing.namespace, self.domain) if isinstance(host, str) else ""

    @cached_property
    def services(self) -> dict[str, Thing]:
        """The Services that are known, by host."""
        return {f"{t.name}.{t.namespace}.svc.{self.domain}": t for t in self.of("Service")}

    def services_known(self, namespace: str) -> bool:
        """Whether Services of a namespace are known: there, one that is not known is missing."""
        return "Service" in self.known or any(thing.namespace == namespace for thing in self.services.values())

    def pods(self, labels: Any, namespace: str = "") -> bool | None:
        """Whether some pod has these labels; None where pods are not known."""
        if "Pod" not in self.known:
            return None
        wanted = labels if isinstance(labels, dict) else {}
        return any(_has(pod, wanted) for pod in self.of("Pod") if namespace in ("", pod.namespace))

    def has(self, pod: Thing, labels: dict[str, Any]) -> bool:
        """Whether a pod has these labels."""
        return _has(pod, labels)

    def is_sidecar(self, pod: Thing) -> bool:
        """Whether a pod's proxy is for the pod itself, and no gateway: it was injected, and not as a gateway."""
        notes = pod.obj["metadata"].get("annotations") or {}
        return "sidecar.istio.io/status" in notes and "gateway" not in str(notes.get("inject.istio.io/templates"))

    @cached_property
    def entries(self) -> list[tuple[str, Thing]]:
        """The hosts of ServiceEntries."""
        return [(host, t) for t in self.of("ServiceEntry") for host in t.all("hosts") if isinstance(host, str)]

    def service_of(self, host: str) -> tuple[str, str] | None:
        """Name and namespace of the Service that a host stands for; None where it is no Service's host."""
        rest = host.removesuffix(f".svc.{self.domain}")
        name, _, namespace = rest.partition(".")
        return (name, namespace) if rest != host and name and namespace and "." not in namespace else None

    def gateways_of(self, thing: Thing) -> list[tuple[int, str, str, str]]:
        """The gateways that a VirtualService names but `mesh`: index, as written, namespace, name."""
        found = []
        for index, written in enumerate(thing.all("gateways")):
            if isinstance(written, str) and written != "mesh":
                namespace, _, name = written.rpartition("/")
                found.append((index, written, namespace or thing.namespace, name))
        return found

    def subsets(self, host: str) -> dict[str, list[Thing]]:
        """The subsets that DestinationRules define for a host, each with the rules that do."""
        if host not in self._subsets:
            found = self._subsets.setdefault(host, {})
            for rule in self.of("DestinationRule"):
                if covers(self.whole(rule.get("host"), rule), host):
                    for subset in rule.all("subsets"):
                        found.setdefault(str(dig(subset, "name")), []).append(rule)
        return self._subsets[host]

    @cached_property
    def _subsets(self) -> dict[str, dict[str, list[Thing]]]:
        return {}

    @cached_property
    def root(self) -> str:
        """The mesh's root namespace."""
        return str(self.env.istio.mesh_config.get("rootNamespace") or self.env.istio.namespace)

    def gateway_namespace(self, gateway: Thing | None) -> str:
        """The namespace of the pods that a Gateway is for; where pods are not known, that of the ingress gateway."""
        return next(iter(sorted(self.gateway_namespaces(gateway))), self.env.ingress.namespace)

    def gateway_namespaces(self, gateway: Thing | None) -> set[str]:
        """The namespaces of the pods that a Gateway selects; none where pods are not known."""
        labels = gateway.get("selector") if gateway else None
        return {pod.namespace for pod in self.of("Pod") if isinstance(labels, dict) and labels and _has(pod, labels)}


def _has(pod: Thing, labels: dict[str, Any]) -> bool:
    there = pod.obj["metadata"].get("labels") or {}
    return all(there.get(key) == value for key, value in labels.items())


def things(env: Environment, manifests: Iterable[Manifest]) -> tuple[Thing, ...]:
    """The objects of `manifests`, but for those of groups that have kinds of the same names (a Service of Knative)."""
    found = (Thing(manifest, env) for manifest in manifests)
    return tuple(thing for thing in found if str(thing.obj["apiVersion"]).rpartition("/")[0] in _GROUPS)
