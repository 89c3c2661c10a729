from __future__ import annotations

import json
from typing import Any

import pytest

from meshwright import dumps
from meshwright.dumps import difference, parsed
from meshwright.errors import Unreachable

Object = dict[str, Any]
ADMIN = "type.googleapis.com/envoy.admin.v3."
CLUSTER: Object = {"name": "outbound|80||web", "connect_timeout": "10s", "metadata": {"a_b": [1, 0.1]}}
LISTENER: Object = {"name": "virtualInbound", "filter_chains": [{"name": "one"}, {"name": "two"}]}
ROUTE: Object = {"name": "80", "virtual_hosts": []}


def envoy(clusters: Any = (CLUSTER,), listeners: Any = (LISTENER,), routes: Any = (ROUTE,), **state: Any) -> bytes:
    """As Envoy writes it."""
    parts = [
        {"@type": ADMIN + "BootstrapConfigDump", "bootstrap": {"node": {}}},
        {
            "@type": ADMIN + "ClustersConfigDump",
            "static_clusters": [{"cluster": {"name": "prometheus_stats"}}],
            "dynamic_active_clusters": [{"version_info": "v/9", "cluster": each} for each in clusters],
            "dynamic_warming_clusters": [{"cluster": {"name": "warming"}}],
        },
        {
            "@type": ADMIN + "ListenersConfigDump",
            "dynamic_listeners": [
                {"name": each["name"], "active_state": {"version_info": "v/9", "listener": each}, **state}
                for each in listeners
            ],
        },
        {
            "@type": ADMIN + "RoutesConfigDump",
            "static_route_configs": [{"route_config": {"name": "InboundPassthroughCluster"}}],
            "dynamic_route_configs": [{"version_info": "v/9", "route_config": each} for each in routes],
        },
    ]
    return json.dumps({"configs": parts}).encode()


def camel(value: Any) -> Any:
    """As istiod writes it."""
    if isinstance(value, dict):
        return {_camel(key): camel(each) for key, each in value.items()}
    return [camel(each) for each in value] if isinstance(value, list) else value


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.title() for word in rest)


def istiod(**parts: Any) -> bytes:
    document = json.loads(envoy(**parts))
    document["configs"][1]["version_info"] = "2026-01-01T00:00:00Z/12"
    return json.dumps(camel(document)).encode()


def between(made: bytes, held: bytes) -> str:
    return difference(parsed(made, "istiod"), parsed(held, "Envoy"))


def test_what_istiod_made_and_what_envoy_holds_are_the_same_in_either_spelling() -> None:
    assert between(istiod(), envoy()) == ""
    made = parsed(istiod(), "istiod")
    assert made.version == "2026-01-01T00:00:00Z/12"
    assert sorted(made.resources) == [
        ("Cluster", "outbound|80||web"),
        ("Listener", "virtualInbound"),
        ("RouteConfiguration", "80"),
    ]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (envoy(clusters=[]), "it has no Cluster outbound|80||web"),
        (envoy(clusters=[CLUSTER, {"name": "old"}]), "it still has Cluster old"),
        (envoy(listeners=[]), "it has no Listener virtualInbound"),
        (envoy(routes=[]), "it has no RouteConfiguration 80"),
        (
            envoy(clusters=[{**CLUSTER, "connect_timeout": "1s"}]),
            "its Cluster outbound|80||web is another one at connecttimeout",
        ),
        (
            envoy(listeners=[{**LISTENER, "filter_chains": [{"name": "one"}, {"name": "2"}]}]),
            "its Listener virtualInbound is another one at filterchains[1].name",
        ),
        (
            envoy(listeners=[{**LISTENER, "filter_chains": [{"name": "two"}]}]),
            "its Listener virtualInbound is another one at filterchains",
        ),
        (envoy(routes=[{**ROUTE, "more": True}]), "its RouteConfiguration 80 is another one at more"),
        (
            envoy(clusters=[{**CLUSTER, "metadata": {"a_b": [1, "0.1"]}}]),
            "its Cluster outbound|80||web is another one at metadata.ab[1]",
        ),
    ],
)  # fmt: skip
def test_what_differs_is_named(held: bytes, said: str) -> None:
    assert between(istiod(), held) == said


def test_what_envoy_hides_and_how_precisely_it_writes_is_no_difference() -> None:
    held = {**CLUSTER, "connect_timeout": "[redacted]", "metadata": {"a_b": [1, 0.10000000149011612]}}
    assert between(istiod(), envoy(clusters=[held])) == ""
    # Only what Envoy hides.
    assert between(istiod(clusters=[held]), envoy()) != ""


def test_a_listener_that_only_warms_is_not_in_use_and_a_refused_one_says_why() -> None:
    warming = json.loads(envoy())
    entry = warming["configs"][2]["dynamic_listeners"][0]
    entry["warming_state"] = entry.pop("active_state")
    assert between(istiod(), json.dumps(warming).encode()) == "it has no Listener virtualInbound"
    entry["error_state"] = {"details": "port is taken"}
    assert between(istiod(), json.dumps(warming).encode()) == "it refused Listener virtualInbound: port is taken"


def test_a_digest_is_of_the_content_and_not_of_the_order_or_the_version() -> None:
    other = {"name": "other", "lb_policy": "RANDOM"}
    one = parsed(istiod(clusters=[CLUSTER, other]), "istiod")
    again = json.loads(istiod(clusters=[dict(reversed(other.items())), CLUSTER]))
    again["configs"][1]["versionInfo"] = "v/99"
    assert parsed(json.dumps(again).encode(), "istiod").digest == one.digest
    assert parsed(istiod(), "istiod").digest != one.digest


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"null"])
def test_something_else_than_a_dump(body: bytes) -> None:
    with pytest.raises(Unreachable, match="the Envoy of a/b does not answer with a config dump"):
        dumps.parsed(body, "the Envoy of a/b")
