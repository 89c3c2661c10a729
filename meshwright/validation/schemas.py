"""Which kinds have a schema that is known without a cluster, and where it is from.

The CRDs of Istio's kinds are in istioctl, those of the Gateway API in its release; what the environment's own
manifests bring goes before both, since that is what would be applied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from meshwright import gateway_release, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.manifests import Manifest
from meshwright.plan import digest
from meshwright.target import Target
from meshwright.tools import store
from meshwright.validation.structural import NotASchema, Schema, translated

__all__ = ["Kinds", "Versions", "group", "known", "versions"]

Object = dict[str, Any]
Versions = dict[str, Schema]
"""Schemas by version of the API, those that are served."""

_CRD = "CustomResourceDefinition"
_OF_ISTIO = ".istio.io"
_TIMEOUT = 60.0
# What is kept from run to run is of this shape.
_SHAPE = 1
_EVERYTHING = ("--set", "profile=empty", "--set", "components.base.enabled=true")


@dataclass(frozen=True)
class Kinds:
    """Schemas by group and kind. Of the groups in `whole` every kind is known. `skipped` are sentences about kinds
    whose schemas cannot be had here, `lacking` the groups of those."""

    schemas: dict[tuple[str, str], Versions]
    whole: frozenset[str] = frozenset()
    skipped: list[str] = field(default_factory=list)
    lacking: frozenset[str] = frozenset()


def group(obj: Object) -> str:
    """The API group of an object; "" for the core group."""
    return str(obj["apiVersion"]).rpartition("/")[0]


def known(target: Target, env: Environment, own: Sequence[Manifest]) -> Kinds:
    """The schemas for the objects of `own`, as far as they can be had without a cluster and without the network."""
    given = versions(manifest.obj for manifest in own if manifest.obj["kind"] == _CRD)
    asked = {group(manifest.obj) for manifest in own} - {name for name, _ in given}
    schemas: dict[tuple[str, str], Versions] = {}
    skipped: list[str] = []
    lacking: set[str] = set()
    whole: set[str] = set()
    istio = {name for name in asked if name.endswith(_OF_ISTIO) or name == _OF_ISTIO[1:]}
    if istio:
        try:
            schemas |= _of_istio(target, env)
            whole = {name for name, _ in schemas}
        except MeshwrightError as error:
            skipped.append(f"the schemas of Istio's kinds: {error.message}")
            lacking |= istio
    if gateway_release.GROUP in asked and env.istio.gateway_api.crds == "never":
        skipped.append(
            "the schemas of the Gateway API's kinds: istio.gateway_api.crds is never, so others keep the CRDs"
        )
        lacking.add(gateway_release.GROUP)
    elif gateway_release.GROUP in asked:
        try:
            schemas |= _of_gateway_api(target, env)
        except MeshwrightError as error:
            skipped.append(f"the schemas of the Gateway API's kinds: {error.message}")
            lacking.add(gateway_release.GROUP)
    return Kinds(schemas | given, frozenset(whole), skipped, frozenset(lacking))


def _of_istio(target: Target, env: Environment) -> dict[tuple[str, str], Versions]:
    tool = tools.installed(target, env, "istioctl")
    if tool is None:
        raise MeshwrightError(f"`meshwright apply {env.name} tools` installs istioctl, which has them")
    (seen,) = store.look(target, [tool])

    def generated() -> list[Object]:
        # A kubeconfig of the user's is none of its business.
        done = target.run(
            [tool, "manifest", "generate", *_EVERYTHING], env={"KUBECONFIG": "/dev/null"}, timeout=_TIMEOUT
        )
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            return [obj for obj in yaml.load_all(done.stdout, Loader=loader) if isinstance(obj, dict)]
        except yaml.YAMLError:
            raise MeshwrightError("what `istioctl manifest generate` prints is not YAML") from None

    stamp = seen.stamp if seen else ""
    return _kept(target, f"istio-{env.istio.version}", [env.istio.version, stamp], generated)


def _of_gateway_api(target: Target, env: Environment) -> dict[tuple[str, str], Versions]:
    release, channel = gateway_release.needed(env), env.istio.gateway_api.channel

    def there() -> Iterable[Object]:
        found = gateway_release.at_hand(target, env)
        if found is None:
            raise MeshwrightError(
                f"the release {release} ({channel}) is not on this machine yet: "
                f"`meshwright apply {env.name} resources` brings it"
            )
        return found.values()

    return _kept(target, f"gateway-api-{release}-{channel}", [release, channel], there)


def _kept(
    target: Target, name: str, key: object, make: Callable[[], Iterable[Object]]
) -> dict[tuple[str, str], Versions]:
    """The schemas of the CRDs that `make` gives. They depend on nothing but `key` and take a second or two to make: so
    they are kept for the next run."""
    path = f"{target.state}/schemas/{name}.json"
    inputs = digest([_SHAPE, key])
    if (text := target.read(path)) is not None:
        try:
            document = json.loads(text)
            if document["inputs"] == inputs:
                schemas = document["schemas"]
                return {
                    (of, kind): {each: schemas[at] for each, at in found.items()}
                    for of, kind, found in document["kinds"]
                }
        except (ValueError, KeyError, TypeError, IndexError):
            pass  # Not what we wrote; made anew below.
    found = versions(obj for obj in make() if obj.get("kind") == _CRD)
    if not found:
        raise MeshwrightError("there are no CRDs among what was given")
    texts: dict[str, int] = {}
    # Most versions of a kind have the same schema.
    kinds = [
        [*kind, {each: texts.setdefault(json.dumps(schema), len(texts)) for each, schema in served.items()}]
        for kind, served in found.items()
    ]
    document = {"inputs": inputs, "kinds": kinds, "schemas": [json.loads(each) for each in texts]}
    target.write(path, json.dumps(document).encode(), 0o644)
    return found


def versions(crds: Iterable[Object]) -> dict[tuple[str, str], Versions]:
    """The schemas of CRDs by group and kind. One that is none, or has no schema, is left out: the API
    server says better what is wrong with it."""
    found: dict[tuple[str, str], Versions] = {}
    for crd in crds:
        try:
            spec = crd["spec"]
            found[str(spec["group"]), str(spec["names"]["kind"])] = {
                str(each["name"]): translated(each["schema"]["openAPIV3Schema"])
                for each in spec["versions"]
                if each.get("served", True)
            }
        except (KeyError, TypeError, AttributeError, NotASchema):
            continue
    return found
