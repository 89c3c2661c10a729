"""What becomes of pods: spread, found, left alone, ejected and let back, seen from the side of the requests (#5)."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from backends import Backends
from outside import DEADLINE, Example, Outside
from test_template_fields import pair

from meshwright import envoys

HOST = "web.example.com"


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def example(lab):
    made = Example(lab, "traffic")
    yield made
    made.clean()


@pytest.fixture(scope="module")
def web(lab):
    """Two pods that nobody else asks."""
    made = Backends(lab, f"web-{int(time.time()) % 10**6}")
    made.add("a", "b")
    yield made
    lab.session.delete("v1", "Namespace", made.namespace)


def policy(web, trafficpolicy):
    """Everything for HOST goes to the pods, with this trafficPolicy."""
    return f"""\
resources:
  gateways:
    {web.namespace}/web:
      servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{HOST}]}}]
  virtual_services:
    {web.namespace}/web:
      hosts: [{HOST}]
      gateways: [web]
      http: [{{retries: {{attempts: 0}}, route: [{{destination: {{host: web}}}}]}}]
  destination_rules:
    {web.namespace}/web: {{host: web, trafficPolicy: {trafficpolicy}}}
"""


def asked(outside, times):
    """Who answered with what, so many times."""
    found = Counter()
    for _ in range(times):
        answer = outside.get(HOST)
        found[answer.text or "-", answer.status] += 1
    return found


def until(outside, good, times=20):
    """The answers to `times` requests, once `good` holds for them; the last ones when it never does."""
    deadline = time.monotonic() + DEADLINE
    while True:
        found = asked(outside, times)
        if good(found) or time.monotonic() > deadline:
            return found


def both(found):
    return set(found) == {("a", 200), ("b", 200)}


def algorithm(lab, web):
    """How the ingress gateway's Envoy chooses a pod of the Service."""
    [gateway] = [one for one in envoys.proxies(lab.session) if one.labels.get("istio") == "ingressgateway"]
    name = f"outbound|80||{web.host}"
    dump = json.loads(
        envoys.ask(
            lab.session, gateway, f"/config_dump?resource=dynamic_active_clusters&name_regex=.*{web.namespace}.*"
        )
    )
    [cluster] = [one["cluster"] for one in dump["configs"] if one["cluster"]["name"] == name]
    return cluster.get("lb_policy", "ROUND_ROBIN")


@pytest.mark.parametrize("name", ["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"])
def test_each_algorithm_uses_all_pods(example, outside, lab, web, name):
    example.has(policy(web, f"{{loadBalancer: {{simple: {name}}}}}"))
    assert both(until(outside, both))
    assert algorithm(lab, web) == name
    found = asked(outside, 100)
    # 50 of 100 are wanted; the standard deviation of a fair coin is 5, and four of these either way are 30 to 70.
    assert both(found)
    assert 30 <= found["a", 200] <= 70, found


def test_requests_on_one_http2_connection_are_spread_over_pods(example, outside, web):
    """As with gRPC, whose clients keep one connection: it is requests that are balanced, not connections."""
    example.has(policy(web, "{loadBalancer: {simple: ROUND_ROBIN}}"))
    assert both(until(outside, both))
    found = Counter(outside.on_one_connection(HOST, 40))
    assert found == {"a": 20, "b": 20}


def test_pods_that_come_are_used_and_pods_that_go_are_not(example, outside, web):
    example.has(policy(web, "{loadBalancer: {simple: ROUND_ROBIN}}"))
    assert both(until(outside, both))
    web.add("c")
    three = until(outside, lambda found: {who for who, _ in found} == {"a", "b", "c"}, 30)
    assert set(three) == {("a", 200), ("b", 200), ("c", 200)}
    web.remove("c")
    assert both(until(outside, both, 50))


def test_a_pod_that_is_not_ready_gets_nothing(example, outside, web):
    example.has(policy(web, "{loadBalancer: {simple: ROUND_ROBIN}}"))
    assert both(until(outside, both))
    web.tell("b", "unready")
    web.until("b", ready=False)
    assert set(until(outside, lambda found: set(found) == {("a", 200)}, 50)) == {("a", 200)}
    web.tell("b", "good")
    web.until("b", ready=True)
    assert both(until(outside, both))


def test_the_circuit_breaker_ejects_a_pod_that_fails_and_lets_it_back(example, outside, web):
    example.has(
        policy(
            web,
            "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, interval: 1s, "
            "baseEjectionTime: 5s, maxEjectionPercent: 100}}",
        )
    )
    assert both(until(outside, both))
    web.tell("b", "bad")
    # It fails three times in a row, and then nobody hears of it.
    first = asked(outside, 20)
    assert first["b", 503] > 0
    assert set(until(outside, lambda found: set(found) == {("a", 200)}, 10)) == {("a", 200)}
    web.tell("b", "good")
    assert both(until(outside, both))


def test_a_connection_pool_refuses_what_is_above_it(example, outside, web):
    limits = "tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}"

    def burst():
        with ThreadPoolExecutor(12) as pool:
            return Counter(pool.map(lambda _: outside.get(HOST, "/slow").status, range(12)))

    example.has(policy(web, "{loadBalancer: {simple: ROUND_ROBIN}}"))
    assert both(until(outside, both))
    assert burst() == {200: 12}
    example.has(policy(web, f"{{connectionPool: {{{limits}}}}}"))
    found, deadline = burst(), time.monotonic() + DEADLINE
    while 503 not in found and time.monotonic() < deadline:
        found = burst()
    # Some get through: one at a time and one that waits, for each thread of the gateway's Envoy.
    assert set(found) == {200, 503}
    assert found[503] >= 4, found


def test_passthrough_hands_tls_to_the_pod(example, outside, lab, tmp_path):
    made = pair(tmp_path, "tls.example.com")
    web = Backends(lab, f"tls-{int(time.time()) % 10**6}", port_name="tls", pair=made.read_text())
    try:
        web.add("t")
        example.has(f"""\
resources:
  gateways:
    {web.namespace}/tls:
      servers:
        - port: {{number: 443, name: tls, protocol: TLS}}
          hosts: [tls.example.com]
          tls: {{mode: PASSTHROUGH}}
  virtual_services:
    {web.namespace}/tls:
      hosts: [tls.example.com]
      gateways: [tls]
      tls:
        - match: [{{sniHosts: [tls.example.com]}}]
          route: [{{destination: {{host: web, port: {{number: 80}}}}}}]
""")
        answer = outside.until(lambda a: a.status == 200, "tls.example.com", scheme="https")
        assert (answer.status, answer.text) == (200, "t")
        assert answer.certificate.strip() == (tmp_path / "tls.example.com.crt").read_text().strip()
    finally:
        lab.session.delete("v1", "Namespace", web.namespace)
