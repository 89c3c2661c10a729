"""gRPC, HTTP/2 and WebSocket with pods of Istio's own echo server, which says what has reached which pod (#5)."""

from __future__ import annotations

import json
import re
import time
from collections import Counter

import pytest
from backends import Backends, echo
from outside import Example, Outside

ECHO, FORWARD = "proto.EchoTestService/Echo", "proto.EchoTestService/ForwardEcho"
# The numbers of the fields of their messages, in pkg/test/echo/proto of Istio.
TEXT = 1
COUNT, URL, MESSAGE = 1, 4, 6
# The first part of a host is its Service.
HOSTS = {"calls.example.com": 7070, "web.example.com": 80, "two.example.com": 80}


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def echoes(more_images):
    """Two pods behind Services whose ports have other names, each with a host of its own."""
    lab = more_images
    made = Backends(lab, f"echo-{int(time.time()) % 10**6}", echo(lab))
    made.serve("calls", ("grpc", 7070, 7070), ("tcp", 7071, 7070))
    # At another port of the pods: what a sidecar takes a port for is one thing for all Services.
    made.serve("two", ("http2", 80, 8081))
    made.add("a", "b")
    example, space = Example(lab, "echoes"), made.namespace
    values = f"""\
resources:
  gateways:
    {space}/all:
      servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: {json.dumps(list(HOSTS))}}}]
  destination_rules:
    {space}/calls: {{host: calls, trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN}}}}}}
  virtual_services:
"""
    for host, port in HOSTS.items():
        name = host.partition(".")[0]
        values += f"    {space}/{name}:\n      hosts: [{host}]\n      gateways: [all]\n"
        values += f"      http: [{{route: [{{destination: {{host: {name}, port: {{number: {port}}}}}}}]}}]\n"
    example.has(values)
    yield made
    example.clean()
    lab.session.delete("v1", "Namespace", space)


def said(text, field):
    """What the echo server says of a field, for each request that its answer tells of."""
    return re.findall(rf"^(?:\[\d+ body\] )?{field}=(.*)$", text, re.MULTILINE)


def test_grpc_calls_on_one_connection_are_spread_over_pods(echoes, outside):
    assert outside.until(lambda a: a.status == 200, "web.example.com").status == 200
    answers = outside.call("calls.example.com", ECHO, {TEXT: "hello"}, 40)
    assert {status for status, _ in answers} == {"0"}
    texts = [text for _, [text] in answers]
    assert {(*said(text, "Proto"), *said(text, "Echo")) for text in texts} == {("GRPC", "hello")}
    assert Counter(host for text in texts for host in said(text, "Hostname")) == {"a": 20, "b": 20}


def test_grpc_calls_inside_the_mesh_too_unless_the_port_is_named_otherwise(echoes, outside):
    """A pod makes all its calls on one connection. Its sidecar sees the calls only where the port's name says gRPC."""

    def hosts(port):
        url = f"grpc://calls.{echoes.namespace}.svc.cluster.local:{port}"
        [(status, lines)] = outside.call("calls.example.com", FORWARD, {COUNT: 40, URL: url, MESSAGE: "hello"})
        assert status == "0"
        return Counter(host for line in lines for host in said(line, "Hostname"))

    assert hosts(7070) == {"a": 20, "b": 20}
    assert sorted(hosts(7071).values()) == [40]


def test_http2_reaches_the_pods_where_the_port_says_so(echoes, outside):
    assert echoes
    for host, proto in (("web", "HTTP/1.1"), ("two", "HTTP/2.0")):
        answer = outside.until(lambda a: a.status == 200, f"{host}.example.com", row=1)
        assert said(answer.text, "Proto") == [proto], host


def test_a_websocket_through_the_gateway(echoes, outside):
    assert echoes
    answer = outside.websocket("web.example.com", "hello", testwebsocket="enabled")
    assert "hello" in answer
    assert said(answer, "Hostname")[0] in ("a", "b")
