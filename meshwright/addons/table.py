"""Which addons there are, and where each answers: one table, with what an environment says otherwise laid over it.

The rows are those of the samples of the Istio release (samples/addons of its archive): names of Services, their ports,
and the paths that their own configuration in there sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from meshwright.environment import Environment
from meshwright.environment.addons import Addon
from meshwright.errors import BadInput, MeshwrightError

__all__ = ["ADDONS", "GRAPH", "Kind", "Place", "named", "place"]


@dataclass(frozen=True)
class Kind:
    """An addon: its name for people, its file among the samples, its Service with the port that has its pages, where
    these begin, and what it is asked for to see that it works, relative to that."""

    title: str
    file: str
    service: str
    port: int
    path: str
    asked: str


@dataclass(frozen=True)
class Place:
    """Where an addon of an environment answers: its Service, the port of that, and where its pages begin (with a /
    at the end)."""

    addon: str
    title: str
    namespace: str
    service: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.service}"


GRAPH = "api/namespaces/graph?graphType=workload&injectServiceNodes=true&duration=300s&namespaces={namespaces}"
"""Kiali's graph of some namespaces over the last minutes, with Services in it."""

ADDONS: Mapping[str, Kind] = MappingProxyType(
    {
        "prometheus": Kind("Prometheus", "prometheus.yaml", "prometheus", 9090, "/", "api/v1/query?query=up"),
        "grafana": Kind("Grafana", "grafana.yaml", "grafana", 3000, "/", "api/search?type=dash-db"),
        "jaeger": Kind("Jaeger", "jaeger.yaml", "tracing", 80, "/jaeger/", "api/services"),
        "loki": Kind("Loki", "loki.yaml", "loki", 3100, "/", "loki/api/v1/labels"),
        "kiali": Kind("Kiali", "kiali.yaml", "kiali", 20001, "/kiali/", GRAPH),
    }
)


def named(env: Environment, name: str) -> Addon:
    """The addon `name` of an environment. Raises BadInput: there is no such addon; MeshwrightError: it is off there."""
    if name not in ADDONS:
        from meshwright.environment.problems import nearest

        near = nearest(name, list(ADDONS))
        raise BadInput(
            f"there is no addon {name!r}{f'; the nearest is {near}' if near else ''}",
            hint=f"Addons: {', '.join(ADDONS)}",
        )
    found = env.addons.get(name)
    if found is None:
        raise MeshwrightError(
            f"{ADDONS[name].title} is not among the addons of {env.name} that are on",
            hint=f"Put `addons: {{{name}: {{}}}}` into group_data/{env.environment}.yaml, and run "
            f"`meshwright apply {env.name} addons`",
        )
    return found


def place(env: Environment, name: str) -> Place:
    """Where the addon `name` of an environment answers. Raises what `named` does."""
    addon, kind = named(env, name), ADDONS[name]
    path = addon.path or kind.path
    return Place(
        name,
        kind.title,
        addon.namespace or env.istio.namespace,
        addon.service or kind.service,
        addon.port or kind.port,
        path if path.endswith("/") else f"{path}/",
    )
