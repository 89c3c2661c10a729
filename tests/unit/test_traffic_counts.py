"""What Envoys count of their upstreams. The pages are what Envoy's admin interface gives (envoy.admin.v3.Clusters)."""

from __future__ import annotations

import json

import pytest
from fakes import FakeSession

from meshwright import envoys, traffic
from meshwright.errors import Unreachable

MOST = 4294967295
NAME = "outbound|9080|v1|reviews.bookinfo.svc.cluster.local"


def host(address, *, health=None, **stats):
    values = [{"name": name, **({"value": str(value)} if value else {})} for name, value in stats.items()]
    return {
        "address": {"socket_address": {"address": address, "port_value": 9080}},
        "stats": values,
        "health_status": {"eds_health_status": "HEALTHY", **(health or {})},
    }


def cluster(*hosts, name=NAME, **limits):
    ordinary = {
        "max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST, "max_retries": MOST, **limits
    }  # fmt: skip
    high = {"priority": "HIGH", "max_connections": 1024}
    return {"name": name, "host_statuses": list(hosts), "circuit_breakers": {"thresholds": [high, ordinary]}}


def page(*clusters):
    return {"cluster_statuses": list(clusters)}


def one(*hosts, counted=None, **limits):
    counters = {NAME: counted} if counted is not None else {}
    [found] = traffic.of_proxy(page(cluster(*hosts, **limits)), counters, {"10.0.0.1": "bookinfo/reviews-v1-x"})
    return found


def test_hosts_are_added_up_and_named():
    found = one(host("10.0.0.1", rq_total=7, rq_error=2, cx_active=1, rq_active=1), host("10.0.0.2", rq_total=3))
    assert found.name == "reviews.bookinfo:9080 v1"
    assert (found.requests, found.errors, found.active, found.connections) == (10, 2, 1, 1)
    assert [each.pod for each in found.hosts] == ["bookinfo/reviews-v1-x", ""]
    assert found.limits == {}
    assert found.counters is None
    assert found.troubles == []


def test_an_ejected_host_and_one_that_is_ill():
    found = one(
        host("10.0.0.1", health={"failed_outlier_check": True}),
        host("10.0.0.2", health={"eds_health_status": "UNHEALTHY"}),
        host("10.0.0.3"),
    )
    assert found.troubles == [
        "bookinfo/reviews-v1-x is ejected",
        "10.0.0.2:9080 gets nothing: unhealthy",
    ]
    assert [each["healthy"] for each in found.as_json()["hosts"]] == [False, False, True]


def test_a_limit_that_is_reached():
    busy = host("10.0.0.1", cx_active=2, rq_active=1, rq_pending_active=1)
    found = one(busy, max_connections=2, max_pending_requests=1, max_requests=5)
    assert found.limits == {"connections": 2, "pending": 1, "requests": 5}
    assert found.troubles == [
        "the circuit breaker is at its limit: 2 of 2 connections",
        "the circuit breaker is at its limit: 1 of 1 pending",
    ]


def test_an_open_circuit_breaker_is_said_where_it_is_counted():
    found = one(host("10.0.0.1"), counted={"circuit_breakers.default.rq_open": 1, "upstream_rq_retry": 4})
    assert found.troubles == ["the circuit breaker is open (rq)"]
    assert found.as_json()["counters"]["upstream_rq_retry"] == 4


def test_what_is_not_outbound_is_left_out():
    others = [cluster(name="inbound|9080||"), cluster(name="PassthroughCluster"), cluster(name="xds-grpc")]
    assert traffic.of_proxy(page(*others, {"name": NAME}), {}, {})[0].hosts == ()
    assert len(traffic.of_proxy(page(*others, {"name": NAME}), {}, {})) == 1


def test_the_names_of_a_gateway_that_routes_by_sni():
    [found] = traffic.of_proxy(page(cluster(name="outbound_.443_._.db.example.com")), {}, {})
    assert found.name == "db.example.com:443"


PROXY = envoys.Proxy("bookinfo", "p", "u", "sidecar", "image", False, "default", "n", True)


@pytest.fixture
def admin(monkeypatch):
    answers = {}

    def ask_all(_session, wanted, path, timeout=10.0):
        return [next(answer for words, answer in answers.items() if words in path) for _ in wanted]

    monkeypatch.setattr(envoys, "ask_all", ask_all)
    return answers


def test_counters_belong_to_their_upstream(admin):
    stats = [
        {"name": f"cluster.{NAME};.upstream_rq_retry", "value": 3},
        {"name": f"cluster.{NAME}.circuit_breakers.default.rq_pending_open", "value": 0},
        {"name": f"cluster.{NAME};.upstream_rq_retry_backoff_exponential", "value": 9},
        {"histograms": {}},
    ]
    admin["/clusters"] = json.dumps(page(cluster(host("10.0.0.1", rq_total=1)))).encode()
    admin["/stats"] = json.dumps({"stats": stats}).encode()
    [found] = traffic.look(FakeSession(), [PROXY], {})
    assert found.counts
    assert found.upstreams[0].counters == {"upstream_rq_retry": 3, "circuit_breakers.default.rq_pending_open": 0}


HALF = b'{"cluster_statuses": [{"name": "outbound|1||a", "host_statuses": [{}]}]}'


@pytest.mark.parametrize("answer", [b"not json", b"[]", HALF])
def test_a_page_that_is_not_known_is_not_verified(admin, answer):
    admin["/clusters"], admin["/stats"] = answer, b'{"stats": []}'
    [found] = traffic.look(FakeSession(), [PROXY], {})
    assert "in a form that is not known" in found.error.message


def test_a_proxy_that_cannot_be_asked_is_not_verified(admin):
    admin["/clusters"], admin["/stats"] = Unreachable("gone"), b"{}"
    [found] = traffic.look(FakeSession(), [PROXY], {})
    assert found.error.message == "gone"
    assert found.upstreams == ()
