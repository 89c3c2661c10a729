"""Releases of the Gateway API: which one an Istio needs, which CRDs are in it, and where its files come from."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from meshwright.crds import VERSION, order, said
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError, Unreachable
from meshwright.target import Target

__all__ = ["LEAST", "at_hand", "fetched", "needed", "require_source", "wanted"]

Object = dict[str, Any]

GROUP = "gateway.networking.k8s.io"

# The release that each minor version of Istio is built with. 1.31: its go.mod; 1.30: istio/istio#59221; 1.28:
# istio/istio#57873 (its release note is gtw-140), and no later one until 1.30; 1.27: what knative-extensions/
# net-gateway-api#875 tests the two with.
_OF_ISTIO = {"1.27": "1.3.0", "1.28": "1.4.0", "1.29": "1.4.0", "1.30": "1.5.0", "1.31": "1.6.0"}

# Since which release a CRD is in the standard channel (CHANGELOG of kubernetes-sigs/gateway-api).
_SINCE = {
    "gatewayclasses": "1.0.0",
    "gateways": "1.0.0",
    "grpcroutes": "1.1.0",
    "httproutes": "1.0.0",
    "referencegrants": "1.0.0",
    "backendtlspolicies": "1.4.0",
    "listenersets": "1.5.0",
    "tlsroutes": "1.5.0",
    "tcproutes": "1.6.0",
    "udproutes": "1.6.0",
}
LEAST = {
    f"{name}.{GROUP}": release
    for name, release in (
        ("grpcroutes", "1.1.0"),
        ("backendtlspolicies", "1.4.0"),
        ("tlsroutes", "1.5.0"),
        ("tcproutes", "1.6.0"),
    )
}
"""The releases below which Istio from 1.30 on ignores a CRD (pkg/config/schema/gatewayapi of istio/istio)."""

_ADDRESS = "https://github.com/kubernetes-sigs/gateway-api/releases/download/v{release}/{channel}-install.yaml"
_MODULE, _FOLDER = "sigs.k8s.io/gateway-api", "lab/go/istio"


def needed(env: Environment) -> str:
    """The release that the environment wants, without a v. Raises BadInput: nobody has said which."""
    if env.istio.gateway_api.release:
        return env.istio.gateway_api.release
    minor = re.match(r"[0-9]+\.[0-9]+", env.istio.version)
    if minor is None or minor[0] not in _OF_ISTIO:
        raise BadInput(
            f"which release of the Gateway API Istio {env.istio.version} ({env.where('istio', 'version')}) needs is "
            "not known here",
            hint="Look at its release notes, and write it into istio.gateway_api.release",
        )
    return _OF_ISTIO[minor[0]]


def wanted(env: Environment) -> list[str]:
    """The names of the CRDs that the environment wants of the release."""
    release = needed(env)
    whole = env.istio.gateway_api.channel == "experimental"
    return sorted(f"{name}.{GROUP}" for name, since in _SINCE.items() if whole or order(since) <= order(release))


def require_source(target: Target, env: Environment) -> str:
    """Where the release's file comes from, in words. Asks no host. Raises BadInput: from nowhere."""
    release, crds = needed(env), env.istio.gateway_api
    address = _ADDRESS.format(release=release, channel=crds.channel)
    ways = ([f"downloaded from {address}"] if crds.sha256 else []) + (
        [f"taken from the Go module {_MODULE}"] if _built(target, release) else []
    )
    if not ways:
        raise BadInput(
            f"the CRDs of the Gateway API {release} ({crds.channel}) cannot be had: their file's sha256 is not given",
            hint=f"Look at {address}, and write its sha256 into istio.gateway_api.sha256",
        )
    return ", or else ".join(ways)


def _built(target: Target, release: str) -> bool:
    """Whether the project's own Go module has this release in it."""
    from meshwright.tools import golang

    return golang.pinned(target.project.root / _FOLDER, _MODULE)[0] == f"v{release}"


def fetched(target: Target, env: Environment) -> dict[str, Object]:
    """The CRDs of the release that the environment wants, by name.

    Raises MeshwrightError: the file is another one than was pinned, or lacks a CRD; Unreachable: it cannot be had now.
    """
    release, crds = needed(env), env.istio.gateway_api
    texts = _downloaded(target, env, release) if crds.sha256 else None
    if texts is None:
        texts = _of_module(target, release, crds.channel)
    found = _read(texts)
    names = wanted(env)
    lacking = [name for name in names if said(found.get(name, {"metadata": {}}), VERSION) != f"v{release}"]
    if lacking:
        raise MeshwrightError(
            f"the release {release} of the Gateway API, as it was found, has no {lacking[0]} of v{release}",
            hint="See what istio.gateway_api says",
        )
    whole = {name: found[name] for name in names}
    target.write(_kept(target, env), json.dumps(whole).encode(), 0o644)
    return whole


def at_hand(target: Target, env: Environment) -> dict[str, Object] | None:
    """The same without the network: what was fetched before, or what Go has of its module. None: neither is there."""
    text = target.read(_kept(target, env))
    if text is None and _built(target, needed(env)):
        try:
            return _read(_of_module(target, needed(env), env.istio.gateway_api.channel, offline=True))
        except MeshwrightError:
            return None
    try:
        return dict(json.loads(text)) if text is not None else None
    except ValueError:
        return None


def _read(texts: list[str]) -> dict[str, Object]:
    """The CRDs in the files of a release, by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {
        str(obj["metadata"]["name"]): obj
        for text in texts
        for obj in yaml.load_all(text, Loader=loader)
        if isinstance(obj, dict) and obj.get("kind") == "CustomResourceDefinition"
    }


def _kept(target: Target, env: Environment) -> str:
    return f"{target.state}/gateway-api/{needed(env)}-{env.istio.gateway_api.channel}.json"


def _downloaded(target: Target, env: Environment, release: str) -> list[str] | None:
    from meshwright.tools import fetch
    from meshwright.tools.table import STOCK

    crds = env.istio.gateway_api
    assert crds.sha256 is not None
    url = _ADDRESS.format(release=release, channel=crds.channel)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "crds.yaml"
        try:
            fetch.download(url, crds.sha256, file, STOCK.limits)
        except fetch.NotGiven as why:
            if not _built(target, release):
                raise Unreachable(f"the CRDs of the Gateway API {release} cannot be downloaded: {why}") from None
            target.say(f"CRDs of the Gateway API {release}: {why}")
            return None
        return [file.read_text(encoding="utf-8")]


def _of_module(target: Target, release: str, channel: str, *, offline: bool = False) -> list[str]:
    from meshwright.tools import golang
    from meshwright.tools.table import GoModule

    root = target.project.root
    _, oldest = golang.pinned(root / _FOLDER, _MODULE)
    go = next((go for go in golang.find() if go.version >= oldest), None)
    if go is None:
        raise MeshwrightError(
            f"the CRDs of the Gateway API {release} cannot be taken from the Go module {_MODULE}: there is no Go, at "
            f"least {'.'.join(map(str, oldest))}",
            hint=golang.HOW_TO_GET,
        )
    module = GoModule(_FOLDER, _MODULE, _MODULE, f"v{release}", release, 1)
    folder = golang.source(go, root, module, offline=offline) / "config" / "crd" / channel
    return [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.yaml"))]
