"""The check that patches of rate limits have matched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshwright import envoys
from meshwright.check import State
from meshwright.environment.mesh.resources import MeshEnvironment
from meshwright.envoys import Proxy
from meshwright.errors import Unreachable

BUCKET = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "1s"}
ASKED = {"actions": [{"remote_address": {}}]}
VHOST = "a.example.com:80"
GATEWAY = Proxy("istio-system", "gw-1", "u", "gateway", "i", False, "default", "n", True, {"istio": "ingressgateway"})


def config(host: dict[str, Any], *filters: str) -> dict[str, Any]:
    """A config dump with one virtual host and these filters."""
    kind = "type.googleapis.com/envoy.admin.v3."
    host = {"name": VHOST, "domains": ["*"], **host}
    return {
        "configs": [
            {"@type": f"{kind}ListenersConfigDump", "filters": [{"name": name} for name in filters]},
            {"@type": f"{kind}RoutesConfigDump", "route_config": {"virtual_hosts": [host]}},
        ]
    }


LOCAL, SERVICE = "envoy.filters.http.local_ratelimit", "envoy.filters.http.ratelimit"
PER_FILTER = {"typed_per_filter_config": {LOCAL: {}}}


@pytest.mark.parametrize(
    ("limit", "dump", "why"),
    [
        ({"local": BUCKET}, config({}, LOCAL), ""),
        ({"local": BUCKET}, config({}), f"there is no filter {LOCAL}"),
        ({"routes": [{"vhost": VHOST, "local": BUCKET}]}, config(PER_FILTER, LOCAL), ""),
        ({"routes": [{"vhost": VHOST, "local": BUCKET}]}, config({}, LOCAL), f"{VHOST} has no local limit"),
        (
            {"routes": [{"vhost": "b:80", "local": BUCKET}]},
            config(PER_FILTER, LOCAL),
            "there is no virtual host b:80",
        ),
        (
            {"routes": [{"vhost": VHOST, "route": "r", "local": BUCKET}]},
            config({"routes": [{"name": "r", **PER_FILTER}]}, LOCAL),
            "",
        ),
        (
            {"routes": [{"vhost": VHOST, "route": "r", "local": BUCKET}]},
            config({"routes": [{"name": "s", **PER_FILTER}]}, LOCAL),
            f"{VHOST} has no route r",
        ),
        (
            {"service": {"host": "r.x", "domain": "d"}, "routes": [{"vhost": VHOST, "rate_limits": [ASKED]}]},
            config({"rate_limits": [{}]}, SERVICE),
            "",
        ),
        (
            {"service": {"host": "r.x", "domain": "d"}, "routes": [{"vhost": VHOST, "rate_limits": [ASKED]}]},
            config({}, SERVICE),
            f"{VHOST} has no descriptors",
        ),
    ],
)
def test_what_the_configuration_of_the_gateway_has(
    world: Any, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any], dump: dict[str, Any], why: str
) -> None:
    world.env = with_limit(world, limit)
    monkeypatch.setattr(envoys, "proxies", lambda _: [GATEWAY])
    monkeypatch.setattr(envoys, "ask_all", lambda *_: [json.dumps(dump).encode()])
    found = world.check("rate-limits")
    whole = f"istio-system/it: {why} in the configuration of istio-system/gw-1, so nothing is limited there"
    assert (found.state, found.detail) == ((State.FAILED, whole) if why else (State.OK, "in 1 proxy"))


def with_limit(world: Any, limit: dict[str, Any]) -> MeshEnvironment:
    values = world.env.model_dump(by_alias=True, mode="json")
    values["resources"]["rate_limits"] = {"istio-system/it": limit}
    return MeshEnvironment.model_validate(values)


def test_no_proxy_at_all_is_no_good_news(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.env = with_limit(world, {"local": BUCKET})
    monkeypatch.setattr(envoys, "proxies", lambda _: [])
    found = world.check("rate-limits")
    assert (found.state, found.detail) == (
        State.FAILED,
        "istio-system/it: no proxy has the labels istio=ingressgateway",
    )


def test_a_proxy_that_gives_no_answer_is_not_verified(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.env = with_limit(world, {"local": BUCKET})
    monkeypatch.setattr(envoys, "proxies", lambda _: [GATEWAY])
    monkeypatch.setattr(envoys, "ask_all", lambda *_: [Unreachable("no answer")])
    assert world.check("rate-limits").state is State.NOT_VERIFIED


def test_it_is_made_where_there_are_limits_only(world: Any) -> None:
    assert "rate-limits" not in world.all()
