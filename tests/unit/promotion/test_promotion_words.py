"""Differences in the words of the mesh."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.promotion.words import between


def to(host: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    return {"destination": {"host": host, **more}, **({"weight": weight} if weight is not None else {})}


def lines(before: Any, after: Any) -> list[str]:
    return [line.strip() for each in between(before, after) for line in each.lines()]


def service(*routes: Any, **more: Any) -> dict[str, Any]:
    return {"resources": {"virtual_services": {"n/web": {"hosts": ["web"], "http": list(routes), **more}}}}


def test_routes_come_go_and_move() -> None:
    old, beta = {"match": [{"uri": {"prefix": "/old"}}], "route": [to("w")]}, {"name": "beta", "route": [to("b")]}
    rest = {"route": [to("w", 90), to("x", 10)]}
    assert lines(service(old, rest), service(beta, rest)) == [
        "~ VirtualService n/web",
        "new route beta: b",
        "removed route for /old*: w -> (gone)",
    ]
    assert lines(service(old, beta), service(beta, old)) == [
        "~ VirtualService n/web",
        "order of the routes (http): for /old* then beta -> beta then for /old*",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"timeout": "10s"}, {"timeout": "5s"}, "route for all: timeout: 10s -> 5s"),
        ({"timeout": "10s"}, {}, "route for all: timeout: 10s -> (gone)"),
        ({}, {"retries": {"attempts": 3}}, 'route for all: retries: {"attempts": 3}'),
        ({"retries": {"attempts": 2}}, {"retries": {"attempts": 3}}, "route for all: retries.attempts: 2 -> 3"),
    ],
)
def test_what_else_a_route_says(before: Any, after: Any, said: str) -> None:
    found = lines(service({"route": [to("w")], **before}), service({"route": [to("w")], **after}))
    assert found == ["~ VirtualService n/web", said]


def test_a_new_destination_and_its_port() -> None:
    before, after = service({"route": [to("w")]}), service({"route": [to("w", 80), to("w", 20, port={"number": 81})]})
    assert lines(before, after)[1:] == [
        "route for all: weight of w: 100% -> 80%",
        "route for all: weight of w:81: 0% -> 20%",
    ]


def test_routes_of_the_gateway_api_count_their_weights_as_shares() -> None:
    def route(one: int, other: int) -> Any:
        refs = [{"name": "a", "port": 80, "weight": one}, {"name": "b", "port": 80, "weight": other}]
        return {"resources": {"gateway_api": {"http_routes": {"n/r": {"rules": [{"backendRefs": refs}]}}}}}

    assert lines(route(9, 1), route(1, 1)) == [
        "~ HTTPRoute n/r",
        "route for all: weight of a:80: 90% -> 50%",
        "route for all: weight of b:80: 10% -> 50%",
    ]


def test_hosts_versions_namespaces_and_what_is_new() -> None:
    before = {"istio": {"version": "1.30.2"}, "namespaces": {"a": {}}, **service({"route": [to("w")]})}
    after = {
        "istio": {"version": "1.30.3", "values": {"x": {"y": True}}},
        "namespaces": {"b": {"injection": "enabled"}},
        **service({"route": [to("w")]}, hosts=["web", "shop"]),
    }
    assert lines(before, after) == [
        "~ istio",
        'values: {"x": {"y": true}}',
        "version: 1.30.2 -> 1.30.3",
        "- Namespace a",
        "+ Namespace b",
        "~ VirtualService n/web",
        "hosts: + shop",
    ]
    assert lines({}, service({"route": [to("w")]}))[:3] == [
        "+ VirtualService n/web",
        "hosts: web",
        "new route for all: w",
    ]


def test_the_same_says_nothing() -> None:
    assert between(service({"route": [to("w")]}), service({"route": [to("w")]})) == []
