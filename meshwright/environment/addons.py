"""The addons of an environment: which are on, where their manifests come from, and how they are exposed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import Image, LabelKey, LabelValue, Name, Port, Seconds, Sha256, Text, Words

__all__ = [
    "Addon",
    "Addons",
    "Basic",
    "Download",
    "Exposure",
    "Jwt",
    "MutualTls",
    "Open",
    "Proof",
]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN_WORDS = "a host name with a dot, such as kiali.example.com, without scheme, port, path and *"
Domain = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})+$", max_length=253), Words(_DOMAIN_WORDS)]
SecretName = Annotated[
    str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253), Words("the name of a Secret, such as kiali-cert")
]
UrlPath = Annotated[str, Field(pattern=r"^/[^?#\s]*$"), Words("a path that begins with /")]
ServiceKey = Annotated[
    str, Field(pattern=rf"^{_LABEL}/{_LABEL}$"), Words("NAMESPACE/NAME of a Service, such as bookinfo/productpage")
]
Repository = Annotated[
    str,
    Field(pattern=r"^[^\s@]*[^\s@:/]$"),
    Words("an image as the manifests name it, without its tag, such as docker.io/prom/prometheus"),
]
Https = Annotated[str, Field(pattern=r"^https?://[^\s/]+/\S*$"), Words("an address that begins with https://")]


class Download(Model):
    """A manifest that is downloaded."""

    url: Https
    """Its address."""
    sha256: Sha256
    """The sha256 of the file: another one is refused."""


class Open(Model):
    """Everybody is let in."""

    kind: Literal["none"]
    """`none`: everybody is let in; `basic`: name and password; `jwt`: a token; `mtls`: a client certificate."""


class Basic(Model):
    """Whoever knows a name and its password is let in, by Envoy's filter for basic authentication."""

    kind: Literal["basic"]
    """`none`: everybody is let in; `basic`: name and password; `jwt`: a token; `mtls`: a client certificate."""
    users: Text
    """Path of a file of names and passwords as `htpasswd -s` makes it (`NAME:{SHA}...`), which is not in Git."""


class Jwt(Model):
    """Whoever has a token of this issuer is let in, by Istio's RequestAuthentication and AuthorizationPolicy."""

    kind: Literal["jwt"]
    """`none`: everybody is let in; `basic`: name and password; `jwt`: a token; `mtls`: a client certificate."""
    issuer: Text
    """The issuer that tokens must name."""
    jwks_uri: Text | None = None
    """Where istiod gets the issuer's public keys; by OpenID discovery where neither this nor jwks is given."""
    jwks: Text | None = None
    """The issuer's public keys themselves, a JSON Web Key Set."""
    audiences: list[Text] = []
    """Who a token must be for; any where none is given."""
    cookies: list[Text] = []
    """Cookies that may bring the token, beside the header Authorization."""


class MutualTls(Model):
    """Whoever has a client certificate of the credential's CA is let in."""

    kind: Literal["mtls"]
    """`none`: everybody is let in; `basic`: name and password; `jwt`: a token; `mtls`: a client certificate."""


class Exposure(Model):
    """An addon on a domain of its own, through the ingress gateway, with TLS."""

    host: Domain
    """The domain."""
    credential: SecretName
    """The Secret with its certificate, in the gateway's namespace; `resources.credentials` can make it."""
    authentication: Annotated[Open | Basic | Jwt | MutualTls, Field(discriminator="kind")]
    """Who is let in; it must be said."""
    port: Port = 443
    """The port of the gateway's Service."""
    selector: dict[LabelKey, LabelValue] = {"istio": "ingressgateway"}
    """The labels of the gateway's pods."""


class Addon(Model):
    """One addon: by default as the sample of the Istio release has it."""

    enabled: bool = True
    """Whether it is on; one that is off is removed."""
    manifests: list[Text | Download] = []
    """Manifests of yours in place of the sample: files and folders of the project, or addresses with a sha256."""
    images: dict[Repository, Image] = {}
    """Replaces images of the manifests: by the image without its tag, the whole image."""
    namespace: Name | None = None
    """The namespace of its Service, where manifests of yours have another than istio-system."""
    service: Name | None = None
    """Its Service, where manifests of yours name it otherwise."""
    port: Port | None = None
    """The port of that Service, where manifests of yours have another."""
    path: UrlPath | None = None
    """Where its pages begin, where manifests of yours have them elsewhere."""
    exposure: Exposure | None = None
    """On which domain it is; only by port-forward where absent."""


class Proof(Model):
    """The request that `meshwright check ENV --group telemetry` sends, and what it must leave."""

    path: UrlPath = "/productpage"
    """The path that is asked for at the ingress gateway."""
    host: Domain | None = None
    """The Host header; the gateway's own address where absent."""
    service: ServiceKey = "bookinfo/productpage"
    """The Service that the gateway sends it to."""
    deadline: Seconds = 90
    """Seconds until what it leaves must be found: metrics are collected every 15 s."""


class Addons(Model):
    """The addons: an addon that no file names is off."""

    prometheus: Addon | None = None
    """Prometheus, which collects metrics."""
    grafana: Addon | None = None
    """Grafana, which draws them."""
    jaeger: Addon | None = None
    """Jaeger, which keeps traces."""
    loki: Addon | None = None
    """Loki, which keeps logs."""
    kiali: Addon | None = None
    """Kiali, which draws who calls whom."""
    proof: Proof | None = None
    """The request that proves telemetry; one to Bookinfo's page where absent."""
    timeout: Seconds = 300
    """Seconds that the addons may take to become ready."""

    def on(self) -> Iterator[tuple[str, Addon]]:
        """The addons that are on, by name, in the order in which they need each other."""
        for name in type(self).model_fields:
            addon = getattr(self, name)
            if isinstance(addon, Addon) and addon.enabled:
                yield name, addon

    def get(self, name: str) -> Addon | None:
        """The addon of that name; None where it is off."""
        return dict(self.on()).get(name)

    @property
    def sampled(self) -> bool:
        """Whether one of those that are on is applied from the samples of the Istio release."""
        return any(not addon.manifests for _, addon in self.on())
