"""Who has called a Service, and what a plan says of it where something of the Service goes away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeSession

from meshwright.addons import asking, calling, telemetry
from meshwright.addons.table import place
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError

Make = Callable[..., Environment]
Object = dict[str, Any]
DOMAIN = "cluster.local"
ISTIO = "networking.istio.io/v1"


@pytest.fixture
def env(with_addons: Make) -> Environment:
    return with_addons(kiali={}, prometheus={})


def node(key: str, kind: str, namespace: str, **more: str) -> Object:
    return {"data": {"id": key, "nodeType": kind, "namespace": namespace, **more}}


def graph(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    """Has Kiali answer so; the paths that it is asked for."""
    asked: list[str] = []

    def value(_session: Any, _env: Any, name: str, path: str, *_: Any) -> Any:
        assert name == "kiali"
        asked.append(path)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(asking, "value", value)
    return asked


def elements() -> Object:
    nodes = [
        node("a", "workload", "istio-system", workload="gateway"),
        node("b", "service", "bookinfo", service="reviews"),
        node("c", "service", "other", service="reviews"),
        node("d", "app", "shop", app="web"),
    ]
    edges = [{"data": {"source": s, "target": t}} for s, t in (("a", "b"), ("d", "b"), ("d", "c"), ("b", "c"))]
    return {"elements": {"nodes": nodes, "edges": edges}}


def test_the_graph_names_who_calls_services(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = graph(monkeypatch, elements())
    assert calling.callers(session, env, ["bookinfo/reviews", "bookinfo/none"]) == {
        "bookinfo/reviews": ["istio-system/gateway", "shop/web"],
        "bookinfo/none": [],
    }
    assert asked[0].endswith("namespaces=bookinfo,istio-system")
    graph(monkeypatch, {"elements": {"nodes": None, "edges": None}})
    assert calling.callers(session, env, ["bookinfo/reviews"]) == {"bookinfo/reviews": []}


@pytest.mark.parametrize("own", [True, False])
def test_without_kiali_prometheus_is_asked(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    asked: list[str] = []
    istio = {"source_workload_namespace": "shop", "source_workload": "web"}
    envoy = {"namespace": "shop", "pod": "web-6959d956f6-b4m67"}

    def query(_session: Any, _env: Any, text: str) -> list[Any]:
        asked.append(text)
        return [{"metric": istio if own else envoy}]

    monkeypatch.setattr(telemetry, "query", query)
    if not own:
        values = env.istio.model_copy(update={"values": {"telemetry": {"enabled": False}}})
        env = env.model_copy(update={"istio": values})
    assert calling.callers(session, env, ["shop/s"], by="prometheus") == {"shop/s": ["shop/web"]}
    assert ("istio_requests_total" if own else "envoy_cluster_upstream_rq_total") in asked[0]
    assert "[5m]" in asked[0]


def obj(kind: str, name: str, spec: Object, api: str = ISTIO, namespace: str = "shop") -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def service(*ports: int) -> Object:
    return obj("Service", "s", {"ports": [{"port": port} for port in ports]}, "v1")


def rule(*subsets: str, host: str = "s") -> Object:
    return obj("DestinationRule", "d", {"host": host, "subsets": [{"name": name} for name in subsets]})


def routes(*subsets: str, hosts: tuple[str, ...] = ("a.example.com",), to: str = "s.shop.svc.cluster.local") -> Object:
    found = [{"destination": {"host": to, "subset": subset}} for subset in subsets]
    return obj("VirtualService", "v", {"hosts": list(hosts), "http": [{"route": found}]})


@pytest.mark.parametrize(
    ("before", "after", "losing"),
    [
        (service(80), None, ["shop/s"]),
        (service(80, 81), service(80), ["shop/s"]),
        (service(80), service(80, 81), []),
        (rule("v1", "v2"), rule("v2"), ["shop/s"]),
        (rule("v1"), rule("v1", "v2"), []),
        (rule("v1"), None, ["shop/s"]),
        (rule("v1", host="*.example.com"), None, []),
        (routes("v1"), routes("v2"), ["shop/s"]),
        (routes("v1"), routes("v1", "v2"), []),
        (routes("v1"), None, ["shop/s"]),
        (routes("v1", hosts=("other",)), None, ["shop/other", "shop/s"]),
        (routes("v1", to="out.example.com"), None, []),
    ],
)
def test_what_loses_something(before: Object, after: Object | None, losing: list[str]) -> None:
    assert calling.losing([before], [after] if after else [], DOMAIN) == losing


def stand_in(session: FakeSession, env: Environment, image: str) -> None:
    at = place(env, "kiali")
    session.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": at.service, "namespace": at.namespace},
            "spec": {"selector": {"app": "kiali"}, "ports": [{"port": at.port}]},
        }
    )
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": "kiali-1", "namespace": at.namespace, "labels": {"app": "kiali"}}
    spec = {"containers": [{"name": "kiali", "image": image}]}
    session.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": ready})


def test_a_plan_names_who_has_called(session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(session, env, "meshwright.lab/stand-in/kiali:1")
    graph(monkeypatch, elements())
    gone = obj("Service", "reviews", {}, "v1", "bookinfo")
    assert calling.noted(session, env, [gone], []) == [
        "bookinfo/reviews, of which something goes away, was called in the last five minutes by istio-system/gateway, "
        "shop/web (by a stand-in for Kiali)"
    ]
    assert calling.noted(session, env, [service(80)], []) == [
        "nobody has called shop/s, of which something goes away, in the last five minutes (by a stand-in for Kiali)"
    ]


def test_nobody_is_asked_where_nothing_goes_away_or_no_addon_knows(
    session: FakeSession, env: Environment, with_addons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = graph(monkeypatch, elements())
    assert calling.noted(session, env, [service(80)], [service(80)]) == []
    assert calling.noted(session, with_addons(grafana={}), [service(80)], []) == []
    assert asked == []


def test_who_cannot_be_asked_is_no_nobody(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph(monkeypatch, MeshwrightError("Kiali answers 503"))
    assert calling.noted(session, env, [service(80)], []) == [
        "not verified: who has called shop/s in the last five minutes: Kiali answers 503"
    ]


def test_of_many_services_the_first_are_asked_about(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(session, env, "quay.io/kiali/kiali:v2")
    graph(monkeypatch, {})
    gone = [obj("Service", f"s{number}", {}, "v1") for number in range(7)]
    found = calling.noted(session, env, gone, [])
    assert len(found) == 6
    assert found[-1] == "not looked at: who has called shop/s5, shop/s6"
