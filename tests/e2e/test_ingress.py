"""Every way to the ingress gateway's address against a real API server (#3, part 8).

The lab has no load balancer: what one would write into a Service's status is written here, into Services of the test's
own.
"""

from __future__ import annotations

import threading
import time

import pytest

from meshwright import ingress, probe
from meshwright.environment.model import Ingress
from meshwright.errors import MeshwrightError
from meshwright.ingress import How

PORTS = [
    {"name": "http2", "port": 80, "targetPort": 8080},
    {"name": "https", "port": 443, "targetPort": 8443},
]


@pytest.fixture
def gateway(lab, scratch):
    """Makes a Service `gateway`; gives the address that is found for it."""

    def gateway(status=None, *, deadline=0, late=0.0, **spec):
        metadata = {"name": "gateway", "namespace": scratch}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        lab.session.create({**service, "spec": {"type": "LoadBalancer", "ports": PORTS} | spec})

        def write():
            time.sleep(late)
            body = {"status": {"loadBalancer": {"ingress": [status]}}}
            lab.session.patch("v1", "Service", "gateway", scratch, body=body, subresource="status")

        writer = threading.Thread(target=write)
        if status:
            writer.start()
            if not late:
                writer.join()
        own = Ingress(namespace=scratch, service="gateway", deadline=deadline)
        try:
            return ingress.find(lab.target, lab.env.model_copy(update={"ingress": own}), lab.session)
        finally:
            if status:
                writer.join()

    return gateway


@pytest.fixture
def nodes(lab):
    """Adds nodes that nothing is scheduled on, and takes them away again: (name, ready, addresses)."""
    made = []

    def nodes(name, ready, *addresses):
        spec = {"unschedulable": True, "taints": [{"key": "test", "effect": "NoSchedule"}]}
        lab.session.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
        made.append(name)
        status = {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": kind, "address": address} for kind, address in addresses],
        }
        lab.session.patch("v1", "Node", name, body={"status": status}, subresource="status")

    yield nodes
    for name in made:
        lab.session.delete("v1", "Node", name)


def endpoints(lab, namespace, node, ready):
    """What the endpoint controller writes when a gateway pod runs on `node`."""
    metadata = {"name": f"gateway-{node}", "namespace": namespace}
    metadata["labels"] = {"kubernetes.io/service-name": "gateway"}
    endpoint = {"addresses": ["10.42.9.9"], "conditions": {"ready": ready}, "nodeName": node}
    lab.session.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [{"name": "http2", "port": 8080}],
        }
    )


def internal(lab):
    """The name and InternalIP of the lab's node, beside which there may be nodes of a test."""
    [node] = [node for node in lab.session.list("v1", "Node") if node["metadata"]["name"].startswith("k3d-")]
    [address] = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    return node["metadata"]["name"], address


def test_the_labs_gateway_answers_at_the_port_that_k3d_publishes(lab):
    found = ingress.address(lab.target, lab.env)
    assert (found.host, found.how) == ("127.0.0.1", How.PUBLISHED)
    assert found.secure_port not in (None, found.port)
    page = probe.get(lab.target, f"{found.url}/productpage")
    assert (page.status, "<title>Simple Bookstore App</title>" in page.text) == (200, True)


def test_the_labs_gateway_answers_at_its_node_port_too(lab):
    found = ingress.find(lab.target, lab.env, lab.session, wait=False)
    assert (found.host, found.how) == (internal(lab)[1], How.NODE_PORT)
    assert probe.get(lab.target, f"{found.url}/productpage").status == 200


def test_ip_of_a_load_balancer(gateway):
    found = gateway({"ip": "203.0.113.7"})
    assert (found.host, found.port, found.secure_port, found.how) == ("203.0.113.7", 80, 443, How.LOAD_BALANCER_IP)


def test_hostname_of_a_load_balancer(gateway):
    found = gateway({"hostname": "lb.example.com"})
    assert (found.url, found.how) == ("http://lb.example.com:80", How.LOAD_BALANCER_NAME)


def test_ipv6_of_a_load_balancer(gateway):
    assert gateway({"ip": "2001:db8::7"}).url == "http://[2001:db8::7]:80"


def test_a_load_balancer_that_comes_before_the_deadline(gateway):
    assert gateway({"ip": "203.0.113.8"}, deadline=30, late=1.5).host == "203.0.113.8"


def test_pending_after_the_deadline(lab, gateway):
    started = time.monotonic()
    found = gateway(deadline=2)
    assert time.monotonic() - started >= 2
    assert (found.host, found.how) == (internal(lab)[1], How.NODE_PORT)
    assert 30000 <= found.port <= 32767


def test_a_node_port_service_is_not_waited_for(lab, gateway):
    started = time.monotonic()
    assert gateway(deadline=180, type="NodePort").how is How.NODE_PORT
    assert time.monotonic() - started < 120


def test_an_external_ip_goes_before_an_internal_one(gateway, nodes):
    nodes("a-not-ready", "False", ("ExternalIP", "198.51.100.1"))
    nodes("b-ready", "True", ("InternalIP", "192.0.2.2"), ("ExternalIP", "198.51.100.2"))
    assert gateway(type="NodePort").host == "198.51.100.2"


def test_local_policy_needs_a_node_with_a_ready_gateway(lab, scratch, gateway, nodes):
    nodes("b-without", "True", ("ExternalIP", "198.51.100.2"))
    name, address = internal(lab)
    endpoints(lab, scratch, name, True)
    endpoints(lab, scratch, "b-without", False)
    found = gateway(type="NodePort", externalTrafficPolicy="Local")
    assert found.host == address


def test_local_policy_without_any_ready_gateway(lab, scratch, gateway):
    endpoints(lab, scratch, internal(lab)[0], False)
    with pytest.raises(MeshwrightError, match="no Ready node with a ready gateway pod"):
        gateway(type="NodePort", externalTrafficPolicy="Local")


def test_a_service_that_nothing_outside_reaches(gateway):
    with pytest.raises(MeshwrightError, match="type ClusterIP and has neither an external address nor a node port"):
        gateway(type="ClusterIP")


def test_no_port_for_http(gateway):
    with pytest.raises(MeshwrightError, match=r"no port named http2 or http \(its ports: tcp\)"):
        gateway({"ip": "203.0.113.7"}, ports=[{"name": "tcp", "port": 9000}])


def test_no_service(lab, scratch):
    own = lab.env.model_copy(update={"ingress": Ingress(namespace=scratch, service="gateway")})
    with pytest.raises(MeshwrightError, match=f"there is no Service {scratch}/gateway"):
        ingress.find(lab.target, own, lab.session)
