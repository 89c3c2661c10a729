"""The values of one environment, typed. Every key that group_data/*.yaml may have is here.

The docstring of a field is what the JSON Schema tells editors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    "Tools",
]

Port = Annotated[int, Field(ge=1, le=65535)]
NodePort = Annotated[int, Field(ge=30000, le=32767)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+[-.0-9A-Za-z]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[int, Field(ge=1, le=86400)]


class Model(BaseModel):
    """Unknown keys are refused, values are not coerced (a port given as text is an error), instances are constant."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )


class Host(Model):
    """A host to talk through."""

    name: str
    """`@local`, or the name or address of a host behind SSH."""
    ssh_user: str | None = None
    """User on that host; the SSH client's own default where absent."""
    ssh_port: Port | None = None
    """Port of its SSH server."""
    ssh_key: str | None = None
    """Path of the private key file on this machine."""
    ssh_known_hosts_file: str | None = None
    """Path of the known_hosts file that names the host's key; the user's own where absent."""


class Engine(Model):
    """The container engine that k3d works with."""

    kind: Literal["auto", "docker", "lab"] = "auto"
    """`docker`: the engine that DOCKER_HOST or the default socket names. `lab`: the project's own dockerd. `auto`: the
    first where it answers, else the second."""


class K3dCluster(Model):
    """A cluster that k3d creates on the environment's host."""

    kind: Literal["k3d"]
    name: Literal["auto"] | Name = "auto"
    """`auto` is mw-ENVIRONMENT-DIGEST, with a digest of the project folder, so that two clones live side by side."""
    image: str
    """The node image, pinned: with a tag that never moves, or a digest."""
    tools_image: str | None = None
    """Replaces k3d's tools image where no registry has it."""
    servers: Annotated[int, Field(ge=1, le=9)] = 1
    agents: Annotated[int, Field(ge=0, le=20)] = 0
    loadbalancer: bool = True
    """Whether k3d puts its own proxy before the servers."""
    api_port: Literal["auto"] | Port = "auto"
    """Port of the API server on 127.0.0.1; `auto` is chosen at creation and read back afterwards."""
    registries: dict[str, Any] = {}
    """k3d's own `registries` block: create, use, config."""
    volumes: list[str] = []
    """SOURCE:TARGET, with @NODEFILTER as in k3d; a SOURCE that is not absolute is relative to the project folder."""
    disable: list[str] = ["traefik"]
    """Parts of k3s that are not wanted."""
    k3s_args: list[str] = []
    """Further arguments for k3s on the servers."""
    timeout: Seconds = 300
    """How long creation and start may take."""


class ExistingCluster(Model):
    """A cluster that somebody else keeps."""

    kind: Literal["existing"]
    kubeconfig: str = "~/.kube/config"
    """The file that has the context; it is read, never written."""
    context: str
    """The context's name; the current context of the file is never used."""
    uid: str | None = None
    """The uid of the kube-system Namespace: the cluster's identity. Must be given for a protected environment."""
    ca_sha256: Sha256 | None = None
    """The sha256 of the API server's CA certificate (DER). Must be given for a protected environment."""


class Tools(Model):
    """Versions of the command line tools; istioctl has the version of Istio."""

    k3d: Version
    kubectl: Version


class Istio(Model):
    """The Istio control plane and its gateways, in the words of the IstioOperator API."""

    version: Version
    hub: str
    """Where the images come from; always said."""
    tag: str | None = None
    """Tag of the images; the version where absent."""
    profile: Literal["default", "minimal", "demo", "preview", "empty", "remote", "ambient"] = "default"
    revision: Name | None = None
    namespace: Name = "istio-system"
    components: dict[str, Any] = {}
    """IstioOperator `components`."""
    mesh_config: Annotated[dict[str, Any], Field(alias="meshConfig")] = {}
    """IstioOperator `meshConfig`."""
    values: dict[str, Any] = {}
    """IstioOperator `values`."""
    timeout: Seconds = 300
    """How long the control plane and gateways may take to become ready."""


class Namespace(Model):
    """A namespace that the environment keeps, and how pods in it get their sidecar."""

    injection: Literal["enabled", "disabled"] | None = None
    """The istio-injection label."""
    revision: str | None = None
    """The istio.io/rev label. istio-injection wins when both are there, so giving both is refused."""
    labels: dict[str, str] = {}
    """Further labels."""


class GatewayPort(Model):
    """A port of the ingress gateway's Service."""

    name: Name
    port: Port
    target_port: Port
    node_port: NodePort | None = None
    publish: Literal["auto"] | Port | None = None
    """Port on 127.0.0.1 of the host at which k3d publishes the node port; `auto` is chosen at creation."""


class Ingress(Model):
    """The ingress gateway."""

    namespace: Name = "istio-system"
    service: Name = "istio-ingressgateway"
    deadline: Annotated[int, Field(ge=0, le=3600)] = 60
    """Seconds to wait for a load balancer's address before the node port is taken."""
    ports: list[GatewayPort] = []
    """The ports of the gateway's Service; none: those of the Istio profile."""


class Bookinfo(Model):
    """The sample application of the Istio release."""

    enabled: bool = True
    namespace: Name = "bookinfo"
    hub: str | None = None
    """Replaces the registry and path of the sample's images."""
    tag: str | None = None
    """Replaces the tag of the sample's images."""
    timeout: Seconds = 300


class Environment(Model):
    """All values of one target: group_data/all.yaml with group_data/ENV.yaml merged over it."""

    name: str
    protected: bool = False
    """A protected environment asks for its name or a saved plan before any change and is never destroyed."""
    hosts: list[Host] = [Host(name="@local")]
    engine: Engine = Engine()
    cluster: Annotated[K3dCluster | ExistingCluster, Field(discriminator="kind")]
    tools: Tools
    istio: Istio
    namespaces: dict[Name, Namespace] = {}
    ingress: Ingress = Ingress()
    bookinfo: Bookinfo = Bookinfo()
