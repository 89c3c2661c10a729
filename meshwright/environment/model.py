"""The values of one environment, typed. Every key that group_data/*.yaml may have is here.

The docstring of a field is what the JSON Schema tells editors (`meshwright.environment.schema` reads it). What
concerns more than one value is in `meshwright.environment.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from meshwright.environment.addons import Addons
from meshwright.environment.base import Model
from meshwright.environment.certs import Certs
from meshwright.environment.clusters import environment_of
from meshwright.environment.gateway_api import GatewayApiCrds
from meshwright.environment.hosts import AnyHost, Host
from meshwright.environment.limits import Limits
from meshwright.environment.maintenance import Windows
from meshwright.environment.problems import Path
from meshwright.environment.promotion import Promotion
from meshwright.environment.rollout import Rollout
from meshwright.environment.timetable import Schedule
from meshwright.environment.vocabulary import (
    Image,
    K3dName,
    LabelKey,
    LabelValue,
    MemberName,
    Name,
    NodePort,
    Port,
    Seconds,
    Sha256,
    Text,
    Uid,
    Version,
    Volume,
    Words,
)

__all__ = [
    "Bookinfo",
    "Engine",
    "Environment",
    "ExistingCluster",
    "GatewayPort",
    "Host",
    "Ingress",
    "Istio",
    "K3dCluster",
    "Namespace",
    "Resources",
    "Tools",
]


class Engine(Model):
    """The container engine that k3d works with."""

    kind: Literal["auto", "docker", "lab"] = "auto"
    """`docker`: the engine that DOCKER_HOST or the default socket names. `lab`: the project's own dockerd. `auto`: the
    first where it answers, else the second."""


class K3dCluster(Model):
    """A cluster that k3d creates on the environment's host."""

    kind: Literal["k3d"]
    """`k3d`: Meshwright creates the cluster; `existing`: somebody else keeps it."""
    name: Literal["auto"] | K3dName = "auto"
    """`auto` is mw-ENVIRONMENT-DIGEST, with a digest of the project folder, so that two clones live side by side."""
    image: Image
    """The node image, pinned: with a tag that never moves, or a digest."""
    tools_image: Image | None = None
    """Replaces k3d's tools image where no registry has it."""
    servers: Annotated[int, Field(ge=1, le=9)] = 1
    """How many nodes run the control plane of Kubernetes."""
    agents: Annotated[int, Field(ge=0, le=20)] = 0
    """How many further nodes there are."""
    loadbalancer: bool = True
    """Whether k3d puts its own proxy before the servers."""
    api_port: Literal["auto"] | Port = "auto"
    """Port of the API server on 127.0.0.1; `auto` is chosen at creation and read back afterwards."""
    registries: dict[str, Any] = {}
    """k3d's own `registries` block: create, use, config."""
    volumes: list[Volume] = []
    """SOURCE:TARGET, with @NODEFILTER as in k3d; a SOURCE that is not absolute is relative to the project folder."""
    disable: list[Text] = ["traefik"]
    """Parts of k3s that are not wanted."""
    k3s_args: list[Text] = []
    """Further arguments for k3s on the servers."""
    timeout: Seconds = 300
    """Seconds that creation and start may take."""


class ExistingCluster(Model):
    """A cluster that somebody else keeps."""

    kind: Literal["existing"]
    """`k3d`: Meshwright creates the cluster; `existing`: somebody else keeps it."""
    kubeconfig: Text = "~/.kube/config"
    """The file that has the context; it is read, never written."""
    context: Text
    """The context's name; the current context of the file is never used."""
    uid: Uid | None = None
    """The uid of the kube-system Namespace: the cluster's identity. A protected environment is not written to
    without it."""
    ca_sha256: Sha256 | None = None
    """The sha256 of the API server's CA certificate (DER). A protected environment is not written to without it."""


class Tools(Model):
    """Versions of the command line tools; istioctl has the version of Istio."""

    k3d: Version
    """Version of k3d, without a v."""
    kubectl: Version
    """Version of kubectl, without a v: at most one minor version from the cluster's."""


class Istio(Model):
    """The Istio control plane and its gateways, in the words of the IstioOperator API."""

    version: Version
    """Version of Istio and of istioctl."""
    hub: Text
    """Where the images come from; always said."""
    tag: Text | None = None
    """Tag of the images; the version where absent."""
    profile: Literal["default", "minimal", "demo", "preview", "empty", "remote", "ambient"] = "default"
    """The installation profile that all else is laid over."""
    revision: Name | None = None
    """Name of the control plane's revision; the default revision where absent."""
    namespace: Name = "istio-system"
    """The namespace of the control plane."""
    components: dict[str, Any] = {}
    """IstioOperator `components`."""
    mesh_config: Annotated[dict[str, Any], Field(alias="meshConfig")] = {}
    """IstioOperator `meshConfig`."""
    values: dict[str, Any] = {}
    """IstioOperator `values`."""
    gateway_api: GatewayApiCrds = GatewayApiCrds()
    """The CRDs of the Gateway API."""
    timeout: Seconds = 300
    """Seconds that the control plane and gateways may take to become ready."""


class Namespace(Model):
    """A namespace that the environment keeps, and how pods in it get their sidecar."""

    injection: Literal["enabled", "disabled"] | None = None
    """The istio-injection label."""
    revision: Name | None = None
    """The istio.io/rev label. istio-injection wins when both are there, so giving both is refused."""
    labels: dict[LabelKey, LabelValue] = {}
    """Further labels."""


class GatewayPort(Model):
    """A port of the ingress gateway's Service."""

    name: Name
    """Name of the port: http2 and https are those that requests go to."""
    port: Port
    """Port of the Service."""
    target_port: Port
    """Port of the gateway's pods."""
    node_port: NodePort | None = None
    """Port of every node; Kubernetes chooses one where absent."""
    publish: Literal["auto"] | Port | None = None
    """Port on 127.0.0.1 of the host at which k3d publishes the node port; `auto` is chosen at creation."""


class Ingress(Model):
    """The ingress gateway."""

    namespace: Name = "istio-system"
    """The namespace of the gateway."""
    service: Name = "istio-ingressgateway"
    """The gateway's Service."""
    deadline: Annotated[int, Field(ge=0, le=3600)] = 60
    """Seconds to wait for a load balancer's address before the node port is taken."""
    ports: list[GatewayPort] = []
    """The ports of the gateway's Service; none: those of the Istio profile."""


class Bookinfo(Model):
    """The sample application of the Istio release."""

    enabled: bool = True
    """Whether the sample is applied."""
    namespace: Name = "bookinfo"
    """The namespace that it lives in."""
    hub: Text | None = None
    """Replaces the registry and path of the sample's images."""
    tag: Text | None = None
    """Replaces the tag of the sample's images."""
    timeout: Seconds = 300
    """Seconds that its pods may take to become ready."""


def _without_removed(namespaces: object) -> object:
    """A namespace that is null is none: so ENV.yaml takes away one that all.yaml has."""
    if isinstance(namespaces, dict):
        return {name: namespace for name, namespace in namespaces.items() if namespace is not None}
    return namespaces


Namespaces = Annotated[
    dict[Name, Namespace],
    BeforeValidator(_without_removed, json_schema_input_type=dict[Name, Namespace | None]),
]


class Resources(Model):
    """The environment's own objects in the cluster."""

    manifests: list[Text] = []
    """Files, folders and kustomize folders with manifests, relative to the project folder."""
    pace: Annotated[int, Field(ge=1, le=1000), Words("a whole number from 1 to 1000")] | None = None
    """The most writes a second; no limit where absent."""
    allow_empty: bool = False
    """Whether no manifests at all may mean that everything applied before is deleted."""


class Environment(Model):
    """All values of one target: group_data/all.yaml with group_data/ENV.yaml merged over it."""

    name: MemberName
    """The environment's name. It comes from the names of its files and is never in them. Where there are several
    clusters, each is an environment of its own, named ENV/CLUSTER."""
    protected: bool = False
    """A protected environment asks for its name or a saved plan before any change and is never destroyed."""
    limits: Limits = Limits()
    """The most that one run may do to a protected environment."""
    hosts: Annotated[list[AnyHost], Field(min_length=1), Words("a list of at least one host")] = [Host(name="@local")]
    """The hosts to talk through."""
    engine: Engine = Engine()
    """The container engine of a k3d cluster."""
    cluster: Annotated[K3dCluster | ExistingCluster, Field(discriminator="kind")]
    """The Kubernetes cluster."""
    tools: Tools
    """Versions of the command line tools; istioctl has the version of Istio."""
    istio: Istio
    """The Istio control plane and its gateways."""
    namespaces: Namespaces = {}
    """The namespaces that the environment keeps, by name; null takes away one that all.yaml has."""
    ingress: Ingress = Ingress()
    """The ingress gateway."""
    bookinfo: Bookinfo = Bookinfo()
    """The sample application of the Istio release."""
    addons: Addons = Addons()
    """Kiali, Prometheus, Grafana, Jaeger and Loki."""
    resources: Resources = Resources()
    """The environment's own objects in the cluster."""
    certs: Certs = Certs()
    """How long certificates must still last."""
    windows: Windows | None = None
    """When the environment may be changed; at any time where absent."""
    schedule: Schedule | None = None
    """What is run for the environment at certain times; nothing where absent."""
    promotion: Promotion | None = None
    """What must hold before a release is promoted to the environment."""
    rollout: Rollout | None = None
    """How a change goes over the environment's clusters, where it has several; one by one where absent."""

    _sources: Mapping[Path, tuple[str, int]] = PrivateAttr(default_factory=dict)
    _travelling: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    def where(self, *path: str | int) -> str:
        """FILE:LINE of the value at `path` (keys and indexes), `default` where no file has it.

        For sentences: f"istio.version 9.9.9 ({env.where('istio', 'version')}) does not exist".
        """
        file, line = self._sources.get(path, ("", 0))
        return f"{file}:{line}" if file else "default"

    @property
    def environment(self) -> str:
        """The environment that this is a cluster of; its own name where that has one cluster. Its files, and what is
        kept in the cluster itself, are named after it."""
        return environment_of(self.name)

    @property
    def travelling(self) -> Mapping[str, Any]:
        """The values that travel in a promotion, as JSON data before defaults; empty where no file was read."""
        return self._travelling

    @property
    def unpinned(self) -> tuple[str, ...]:
        """The values that are missing for the identity of a protected environment's cluster: nothing may be written
        to it until this is empty."""
        if not (self.protected and isinstance(self.cluster, ExistingCluster)):
            return ()
        return tuple(f"cluster.{key}" for key in ("uid", "ca_sha256") if getattr(self.cluster, key) is None)
