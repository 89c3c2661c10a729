"""What becomes of pods: spread, found, left alone, ejected and let back, seen from the side of the requests (#5)."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from backends import Backends, server
from outside import DEADLINE, Example, Outside, settled
from test_template_fields import pair

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


ALGORITHMS = {
    "first": "simple: ROUND_ROBIN",
    "second": "simple: RANDOM",
    "third": "simple: LEAST_REQUEST",
    "header": "consistentHash: {httpHeaderName: x-user}",
    "cookie": "consistentHash: {httpCookie: {name: kept, ttl: 600s}}",
    "query": "consistentHash: {httpQueryParameterName: user}",
    "source": "consistentHash: {useSourceIp: true}",
}


@pytest.fixture(scope="module")
def balanced(example, outside, web):
    """A Service and a host for each algorithm; the pods behind them are the same."""
    space = web.namespace
    hosts = {name: f"{name}.example.com" for name in ALGORITHMS}
    for name in ALGORITHMS:
        web.serve(name, ("http", 80, 8080))
    values = f"""\
resources:
  gateways:
    {space}/balanced:
      servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: {json.dumps(list(hosts.values()))}}}]
  virtual_services:
"""
    for name, host in hosts.items():
        values += f"    {space}/{name}:\n      hosts: [{host}]\n      gateways: [balanced]\n"
        values += f"      http: [{{retries: {{attempts: 0}}, route: [{{destination: {{host: {name}}}}}]}}]\n"
    values += "  destination_rules:\n"
    for name, policy in ALGORITHMS.items():
        values += f"    {space}/{name}: {{host: {name}, trafficPolicy: {{loadBalancer: {{{policy}}}}}}}\n"
    example.has(values)
    for host in hosts.values():
        assert outside.until(lambda a: a.status == 200, host).status == 200
    return hosts


def one_connection(outside, host, times):
    """Who answered, in order, on one HTTP/2 connection: one thread of the gateway's Envoy has it."""
    return [body.decode() for _, body in outside.on_one_connection(host, times)]


def test_round_robin_takes_one_pod_after_the_other(balanced, outside):
    """Requests on one connection: it is they that are balanced, not connections."""
    found = one_connection(outside, balanced["first"], 40)
    assert set(found) == {"a", "b"}
    assert all(one != other for one, other in pairwise(found)), found


def test_random_takes_any_pod(balanced, outside):
    found = one_connection(outside, balanced["second"], 200)
    # 100 of 200 are wanted; the standard deviation of a fair coin is 7, and five of these either way are 65 to 135.
    assert 65 <= found.count("a") <= 135, Counter(found)
    # So are neighbours that are the same.
    assert 65 <= sum(one == other for one, other in pairwise(found)) <= 135, found


def test_least_request_spares_a_pod_that_is_busy(balanced, outside, web):
    """Of two pods that are chosen by chance it takes the one with fewer requests: three times of four the idle one."""
    web.tell("b", "busy")
    shares, pool = {}, ThreadPoolExecutor(64)
    try:
        for name in ("second", "third"):
            held = [pool.submit(outside.get, balanced[name], "/hold", seconds=90) for _ in range(24)]
            # Some of these wait at b; all at a have been answered.
            settled(lambda held=held: 0 < sum(not one.done() for one in held) < 24, True)
            shares[name] = one_connection(outside, balanced[name], 240).count("b")
            assert not all(one.done() for one in held)
    finally:
        web.tell("b", "good")
        pool.shutdown()
    # 120 and 60 of 240 are wanted; the standard deviations are 7.7 and 6.7, four of these from each other's middle.
    assert shares["second"] > 90 > shares["third"], shares


@pytest.mark.parametrize("name", ["header", "query"])
def test_a_consistent_hash_of_a_value_keeps_it_with_one_pod(balanced, outside, name):
    def pods(user):
        path, headers = ("/", {"x_user": user}) if name == "header" else (f"/?user={user}", {})
        return {outside.get(balanced[name], path, **headers).text for _ in range(5)}

    found = [pods(f"u{number}") for number in range(12)]
    assert all(len(one) == 1 for one in found), found
    assert set.union(*found) == {"a", "b"}


def test_a_consistent_hash_of_a_cookie_gives_one_and_keeps_who_has_it_with_one_pod(balanced, outside):
    seen = set()
    for _ in range(12):
        first = outside.get(balanced["cookie"])
        name, _, value = first.headers["set-cookie"].partition(";")[0].partition("=")
        assert name == "kept"
        again = [outside.get(balanced["cookie"], cookie=f"kept={value}") for _ in range(3)]
        assert {answer.text for answer in again} == {first.text}
        assert not any("set-cookie" in answer.headers for answer in again)
        seen.add(first.text)
    assert seen == {"a", "b"}


def test_a_consistent_hash_of_the_source_keeps_an_address_with_one_pod(balanced, outside):
    assert len({outside.get(balanced["source"]).text for _ in range(20)}) == 1


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
    web = Backends(lab, f"tls-{int(time.time()) % 10**6}", server(lab, made.read_text()), port_name="tls")
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
