"""A plan says who else names what goes away, and asks for that only where something does."""

from __future__ import annotations

from typing import Any

from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import callers
from meshwright.errors import Forbidden

ISTIO = "networking.istio.io/v1"
DOMAIN = "cluster.local"


def rule(*subsets: str) -> dict[str, Any]:
    spec = {"host": "s.shop.svc.cluster.local", "subsets": [{"name": name} for name in subsets]}
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": "d", "namespace": "shop"},
        "spec": spec,
    }


def routes(name: str, subset: str) -> dict[str, Any]:
    to = {"destination": {"host": "s.shop.svc.cluster.local", "subset": subset}}
    spec = {"hosts": [f"{name}.test"], "http": [{"route": [to]}]}
    return {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": name, "namespace": "web"}, "spec": spec}


def test_it_is_said_in_a_plan() -> None:
    session = FakeSession(routes("v", "v1"), rule("v1", "v2"))
    assert callers.noted(session, [rule("v1", "v2")], [rule("v2")], DOMAIN) == [
        "VirtualService web/v names subset v1 of s.shop.svc.cluster.local, which goes away: it would be left without it"
    ]


def test_nobody_is_asked_where_nothing_goes_away() -> None:
    session = FakeSession(routes("v", "v1"))
    assert callers.noted(session, [rule("v1")], [rule("v1", "v2")], DOMAIN) == []
    assert callers.noted(session, [], [rule("v1")], DOMAIN) == []
    assert session.asked == []


def test_what_may_not_be_listed_is_not_verified() -> None:
    session = FakeSession()
    session.failing["list VirtualService"] = Forbidden("you may not list virtualservices")
    [said] = callers.noted(session, [rule("v1")], [], DOMAIN)
    assert said == "not verified: whether others name what goes away: you may not list virtualservices"


def test_many_are_counted() -> None:
    session = FakeSession(*(routes(f"v{n}", "v1") for n in range(9)))
    found = callers.noted(session, [rule("v1")], [], DOMAIN)
    assert len(found) == 6
    assert found[-1].startswith("4 more name what goes away")


WORDS = ("hosts", "http", "route", "destination", "host", "subset", "gateways", "delegate", "name", "match", "rules")
WORDS += ("backendRefs", "parentRefs", "kind", "port", "number", "servers", "listeners", "configPatches", "targetRefs")
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=20,
)


@given(st.sampled_from([kind for _, kind in callers.KINDS]), SHAPES)
def test_any_shape_is_read_without_a_traceback(kind: str, spec: Any) -> None:
    for api in (ISTIO, "gateway.networking.k8s.io/v1"):
        obj = {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
        for ask in callers.asks(obj, DOMAIN):
            assert str(ask)
            callers.Offers([obj], DOMAIN).by(ask)
        callers.still([obj], [], lambda obj=obj: [obj], DOMAIN)
