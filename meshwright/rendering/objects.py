"""Values into manifests: one template per kind, strictly, and the same every time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from meshwright import documents, template
from meshwright.environment import Environment
from meshwright.environment.mesh.resources import MeshEnvironment
from meshwright.environment.mesh.words import MeshObject
from meshwright.environment.problems import Path
from meshwright.errors import BadInput, MeshwrightError
from meshwright.manifests import Manifest, checked
from meshwright.project import Project
from meshwright.rendering import credentials
from meshwright.rendering.hosts import cluster_domain, completed
from meshwright.rendering.kinds import KINDS, Kind
from meshwright.secrets import Resolver

__all__ = ["Rendered", "rendered"]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WITH_HOSTS = frozenset({"virtual_services", "destination_rules"})
_BUNDLES = frozenset({"credentials", "egress", "rate_limits", "secrets"})
_WITH_DATA = frozenset({"credentials", "secrets"})
_METADATA = frozenset({"labels", "annotations"})


@dataclass(frozen=True)
class Rendered(Manifest):
    """A manifest that a template has made of the value at `path`. `same` says that its spec has the keys of the value,
    so that a place in the one is a place in the other."""

    path: Path = ()
    same: bool = False


def rendered(project: Project, env: Environment, unread: list[str] | None = None) -> list[Rendered]:
    """The objects of the environment's values, in the order of the values; the place of each is that of its value.

    Secrets are read now, for this list alone. Where `unread` is given, one that cannot be read from here has no data,
    and why is put there. Raises BadInput: a template with a mistake or that makes no Kubernetes object, a reference to
    nothing; and what else `Resolver.resolve` does.
    """
    return list(_rendered(project, env, unread))


def _rendered(project: Project, env: Environment, unread: list[str] | None) -> Iterator[Rendered]:
    if not isinstance(env, MeshEnvironment):
        return
    resolver = Resolver(project, env)
    for kind in KINDS:
        found: Any = env.resources
        for part in kind.values:
            found = getattr(found, part)
        for key, obj in found.items():
            path: Path = ("resources", *kind.values, key)
            values = _values(env, kind, path, obj)
            if kind.values[-1] in _WITH_DATA:
                values["data"] = _data(project, env, path, obj, resolver, unread)
            yield from _of_one(project, env, kind, path, values)


def _data(
    project: Project, env: Environment, path: Path, obj: Any, resolver: Resolver, unread: list[str] | None
) -> dict[str, str]:
    try:
        return credentials.data(project, env, path, obj, resolver)
    except BadInput:
        raise
    except MeshwrightError as error:
        if unread is None:
            raise
        unread.append(error.message)
        return {}


def _of_one(project: Project, env: Environment, kind: Kind, path: Path, values: dict[str, Any]) -> Iterator[Rendered]:
    place = env.where(*path)
    text = template.render(project, kind.template, **values)
    name = f"{place}: templates/{kind.template} as rendered"
    for document in documents.read(text, name):
        whole = checked(document.value, f"{name}:{document.line}")
        yield Rendered(whole, place, path=path, same=kind.values[-1] not in _BUNDLES)


def _values(env: Environment, kind: Kind, path: Path, obj: MeshObject) -> dict[str, Any]:
    """What a template gets but for `data`: docs/templates/README.md is the same list in words."""
    namespace, _, name = str(path[-1]).partition("/")
    domain = cluster_domain(env)
    given = obj.given()
    spec = {part: value for part, value in given.items() if part not in _METADATA}
    values: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "metadata": {"name": name, "namespace": namespace, **{key: given[key] for key in _METADATA if given.get(key)}},
        "spec": completed(spec, namespace, domain) if kind.values[-1] in _WITH_HOSTS else spec,
        "cluster_domain": domain,
    }
    if kind.values == ("rate_limits",):
        values["spec"] = _limits(spec)
        values["proxy_version"] = spec.get("proxy_version") or proxies_of(env)
    elif kind.values == ("egress",):
        values["spec"] = {"endpoints": [], "originateTls": False, **spec}
    return values


def _limits(spec: dict[str, Any]) -> dict[str, Any]:
    """A rate limit with every key that the template asks for, and times as Envoy takes them."""
    whole = {"local": None, "service": None, "routes": [], **spec}
    whole["routes"] = [{"route": None, "local": None, "rate_limits": [], **route} for route in whole["routes"]]
    for part in (whole, *whole["routes"]):
        if part["local"]:
            part["local"] = {**part["local"], "fill_interval": seconds(part["local"]["fill_interval"])}
    if service := whole["service"]:
        whole["service"] = {"failure_mode_deny": False, **service, "timeout": seconds(service["timeout"])}
    return whole


def proxies_of(env: Environment) -> str:
    """RE2 for the versions of the proxies of the environment's Istio. Raises BadInput."""
    version = env.istio.tag or env.istio.version
    found = re.match(r"v?([0-9]+)\.([0-9]+)", version) or re.match(r"([0-9]+)\.([0-9]+)", env.istio.version)
    if found is None:
        raise BadInput(f"istio.version {env.istio.version} ({env.where('istio', 'version')}) has no minor version")
    return rf"^{found[1]}\.{found[2]}[.-].*"


def seconds(duration: str) -> str:
    """A duration as Envoy takes it: "0.25s" for "250ms"."""
    whole = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(h|ms|m|s)", duration))
    return f"{whole:.9f}".rstrip("0").rstrip(".") + "s"
