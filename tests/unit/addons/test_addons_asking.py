"""Asking addons: which pod and port answers, what a broken chain is called, and who calls a Service."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeSession

from meshwright.addons import asking, table, telemetry
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError

Make = Callable[..., Environment]
Object = dict[str, Any]


def pod(name: str, app: str = "kiali", *, ready: bool = True, image: str = "docker.io/x/kiali:v1") -> Object:
    """A pod of an addon, with port 1234."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "istio-system", "labels": {"app": app}},
        "spec": {"containers": [{"name": app, "image": image, "ports": [{"containerPort": 1234, "name": "web"}]}]},
        "status": {"phase": "Running", "conditions": conditions},
    }


def service(name: str = "kiali", port: int = 20001, target: Any = "web", **selector: str) -> Object:
    ports = [{"port": port, "targetPort": target, "name": "http"}]
    metadata = {"name": name, "namespace": "istio-system"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": selector or {"app": "kiali"}, "ports": ports},
    }


@pytest.fixture
def env(with_addons: Make) -> Environment:
    return with_addons(kiali={}, prometheus={})


@pytest.mark.parametrize("target", ["web", 1234])
def test_the_first_ready_pod_answers_at_the_port_of_the_service(
    session: FakeSession, env: Environment, target: Any
) -> None:
    for each in (service(target=target), pod("kiali-1", ready=False), pod("kiali-3"), pod("kiali-2")):
        session.put(each)
    found = asking.backend(session, env, "kiali")
    assert (found.pod, found.port, found.stand_in) == ("kiali-2", 1234, False)


def test_a_stand_in_is_known_by_its_image(session: FakeSession, env: Environment) -> None:
    session.put(service())
    session.put(pod("kiali-1", image="meshwright.lab/stand-in/kiali:1"))
    assert asking.backend(session, env, "kiali").stand_in


def test_what_is_not_there_is_said(session: FakeSession, env: Environment) -> None:
    with pytest.raises(MeshwrightError, match="there is no Service istio-system/kiali, where Kiali should answer"):
        asking.backend(session, env, "kiali")
    session.put(service(port=80))
    with pytest.raises(MeshwrightError, match=r"Service istio-system/kiali has no port 20001 \(its ports: 80\)"):
        asking.backend(session, env, "kiali")
    session.put(service())
    with pytest.raises(MeshwrightError, match="no pod behind Service istio-system/kiali is ready"):
        asking.backend(session, env, "kiali")


def test_an_addon_is_found_where_the_values_say(with_addons: Make) -> None:
    env = with_addons(prometheus={"namespace": "mon", "service": "prom", "port": 80, "path": "/p"})
    assert table.place(env, "prometheus") == table.Place("prometheus", "Prometheus", "mon", "prom", 80, "/p/")


def test_an_addon_that_there_is_none_of_or_that_is_off(env: Environment) -> None:
    with pytest.raises(BadInput, match="there is no addon 'kialli'; the nearest is kiali"):
        table.named(env, "kialli")
    with pytest.raises(MeshwrightError, match="Jaeger is not among the addons of lab that are on"):
        table.named(env, "jaeger")


def answers(monkeypatch: pytest.MonkeyPatch, status: int, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    monkeypatch.setattr(asking, "ask", lambda *_: (status, data))


def test_an_answer_is_json_with_200(session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 200, [1])
    assert asking.value(session, env, "kiali", "api") == [1]
    answers(monkeypatch, 404, {})
    assert asking.value(session, env, "kiali", "api", absent=404) is None
    with pytest.raises(MeshwrightError, match="Kiali answers 404 to /kiali/api"):
        asking.value(session, env, "kiali", "api")
    answers(monkeypatch, 200, b"<html>")
    with pytest.raises(MeshwrightError, match="something that is no JSON"):
        asking.value(session, env, "kiali", "api")


def test_the_metric_is_istios_unless_its_statistics_are_off(env: Environment) -> None:
    name, query = telemetry.metric(env)
    assert name == "istio_requests_total"
    assert 'destination_service_name="productpage",destination_service_namespace="bookinfo"' in query
    values = env.istio.model_copy(update={"values": {"telemetry": {"enabled": False}}})
    name, query = telemetry.metric(env.model_copy(update={"istio": values}))
    assert name == "envoy_cluster_upstream_rq_total"
    assert r"productpage\\.bookinfo\\.svc\\.cluster\\.local" in query


@pytest.mark.parametrize(
    ("proxy", "up", "why"),
    [
        ("", [], "has no istio_requests_total of productpage: its telemetry is off"),
        ('istio_requests_total{a="productpage"} 1', [], "Prometheus does not collect from"),
        ('istio_requests_total{a="productpage"} 1', [{"value": [0, "0"]}], "that target is down"),
        ('istio_requests_total{a="productpage"} 1', [{"value": [0, "1"]}], "does not rise"),
    ],
)
def test_the_broken_link_is_named(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch, proxy: str, up: Any, why: str
) -> None:
    from meshwright.envoys import Proxy

    gateway = Proxy("istio-system", "gw-1-2", "u", "gateway", "i", False, "default", "n", True)
    monkeypatch.setattr(telemetry, "gateway", lambda *_: gateway)
    monkeypatch.setattr(telemetry, "http_get", lambda *_: (200, proxy.encode()))
    answers(monkeypatch, 200, {"data": {"result": up}})
    assert why in telemetry.uncounted(session, env)


@pytest.mark.parametrize(
    ("dump", "known", "why"),
    [
        (b"{}", [], "sends no spans"),
        (b'{"extensions": [{"name": "envoy.tracers.datadog"}]}', [], "sends no spans"),
        (b'{"provider": {"name": "envoy.tracers.opentelemetry"}}', [], "nothing ever reached Jaeger"),
        (b'{"provider": {"name": "envoy.tracers.opentelemetry"}}', ["jaeger"], "nothing ever reached Jaeger"),
        (
            b'{"provider": {\n "name": "envoy.tracers.opentelemetry"}}',
            ["a", "jaeger"],
            "has envoy.tracers.opentelemetry and Jaeger has traces of a, but not this one",
        ),
    ],
)
def test_the_broken_link_of_a_trace_is_named(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch, dump: bytes, known: Any, why: str
) -> None:
    from meshwright import envoys

    monkeypatch.setattr(telemetry, "gateway", lambda *_: "istio-system/gw")
    monkeypatch.setattr(envoys, "ask", lambda *_: dump)
    monkeypatch.setattr(asking, "value", lambda *_: {"data": known})
    assert why in telemetry.untraced(session, env)


def test_a_trace_is_told_by_its_spans_and_found_by_workload(
    session: FakeSession, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = {"p1": {"serviceName": "b.shop"}, "p2": {"serviceName": "a.shop"}}
    found = {"traceID": "t", "spans": [{"startTime": 20}, {"startTime": 10}], "processes": processes}
    asked: list[str] = []

    def value(_session: Any, _env: Any, _name: str, path: str, **_: Any) -> Any:
        asked.append(path)
        return {"data": [found]}

    monkeypatch.setattr(asking, "value", value)
    assert telemetry.traced(session, env, "t") == "2 spans, found by workload: a.shop, b.shop"
    assert asked[1] == "api/traces?service=a.shop&start=9&end=21&limit=200"
    found["traceID"] = "another"
    with pytest.raises(MeshwrightError, match=r"does not find it by workload a\.shop, b\.shop"):
        telemetry.traced(session, env, "t")
    monkeypatch.setattr(asking, "value", lambda *_, **__: None)
    assert telemetry.traced(session, env, "t") == ""
