"""Every way to the ingress gateway's address, over a cluster that is a dict."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment, existing
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright import cluster, ingress, k3d
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.ingress import Address, How
from meshwright.project import Project

Object = dict[str, Any]

PORTS = [
    {"name": "status-port", "port": 15021, "nodePort": 31021},
    {"name": "http2", "port": 80, "nodePort": 30080},
    {"name": "https", "port": 443, "nodePort": 30443},
]
PUBLISHED = {
    "deadline": 0,
    "ports": [
        {"name": "http2", "port": 80, "target_port": 8080, "node_port": 30080, "publish": "auto"},
        {"name": "https", "port": 443, "target_port": 8443, "node_port": 30443, "publish": "auto"},
    ],
}


def service(ingress: list[Object] | None = None, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
        "spec": {"type": "LoadBalancer", "ports": PORTS, "externalTrafficPolicy": "Cluster"} | spec,
        "status": {"loadBalancer": {"ingress": ingress} if ingress else {}},
    }


def node(name: str, *addresses: tuple[str, str], ready: str = "True") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": kind, "address": address} for kind, address in addresses],
        },
    }


def endpoints(*pairs: tuple[str, bool | None], name: str = "istio-ingressgateway") -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-x",
            "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [
            {"nodeName": where, "conditions": {} if ready is None else {"ready": ready}} for where, ready in pairs
        ],
    }


@pytest.fixture
def target(tmp_path: Path) -> FakeTarget:
    return FakeTarget(Project(tmp_path))


def find(target: FakeTarget, *objects: Object, deadline: int = 0, wait: bool = True) -> Address:
    env = environment(ingress={"deadline": deadline})
    return ingress.find(target, env, FakeSession(*objects), wait=wait)


def addressed(
    monkeypatch: pytest.MonkeyPatch,
    target: FakeTarget,
    env: Environment,
    session: FakeSession | None,
    view: cluster.View,
) -> Address:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    monkeypatch.setattr(cluster, "view", lambda _target, _env: view)
    return ingress.address(target, env)


def up(**ports: int) -> cluster.View:
    seen = k3d.Node("k3d-x-server-0", "server", True, {str(k).lstrip("p"): v for k, v in ports.items()})
    return cluster.View(cluster.State.UP, k3d.Seen("x", (seen,), {}))


# The load balancer


def test_ip_of_the_load_balancer(target: FakeTarget) -> None:
    found = find(target, service([{"ip": "203.0.113.7"}]))
    assert found == Address("203.0.113.7", 80, 443, How.LOAD_BALANCER_IP)
    assert found.url == "http://203.0.113.7:80"


def test_hostname_of_the_load_balancer(target: FakeTarget) -> None:
    found = find(target, service([{"hostname": "lb.example.com"}]))
    assert (found.host, found.port, found.how) == ("lb.example.com", 80, How.LOAD_BALANCER_NAME)


def test_an_ip_goes_before_a_hostname(target: FakeTarget) -> None:
    assert find(target, service([{"hostname": "lb.example.com"}, {"ip": "203.0.113.7"}])).host == "203.0.113.7"


def test_external_ips_that_a_person_set(target: FakeTarget) -> None:
    found = find(target, service(externalIPs=["198.51.100.4"], type="ClusterIP"))
    assert (found.host, found.port, found.how) == ("198.51.100.4", 80, How.EXTERNAL_IP)


def test_ipv6_has_brackets_in_urls_only(target: FakeTarget) -> None:
    found = find(target, service([{"ip": "2001:db8::7"}]))
    assert found.host == "2001:db8::7"
    assert found.url == "http://[2001:db8::7]:80"
    assert found.authority == "[2001:db8::7]:80"


def test_the_port_may_be_called_http(target: FakeTarget) -> None:
    found = find(target, service([{"ip": "203.0.113.7"}], ports=[{"name": "http", "port": 8080}]))
    assert (found.port, found.secure_port) == (8080, None)


# The node port


def test_pending_after_the_deadline_takes_the_node_port(target: FakeTarget) -> None:
    found = find(target, service(), node("n1", ("InternalIP", "10.0.0.1")))
    assert found == Address("10.0.0.1", 30080, 30443, How.NODE_PORT)


def test_a_load_balancer_that_comes_late_is_waited_for(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(service(), node("n1", ("InternalIP", "10.0.0.1")))
    monkeypatch.setattr("time.sleep", lambda _seconds: session.put(service([{"ip": "203.0.113.7"}])))
    found = ingress.find(target, environment(ingress={"deadline": 30}), session)
    assert found.host == "203.0.113.7"
    assert target.sentences == ["waiting up to 30 s for the load balancer of Service istio-system/istio-ingressgateway"]


def test_the_deadline_ends_the_waiting(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    found = find(target, service(), node("n1", ("InternalIP", "10.0.0.1")), deadline=7)
    assert found.how is How.NODE_PORT
    assert now[0] == 7


def test_without_waiting_the_deadline_does_not_count(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("it waited"))
    found = find(target, service(), node("n1", ("InternalIP", "10.0.0.1")), deadline=60, wait=False)
    assert found.how is How.NODE_PORT


def test_a_node_port_service_is_not_waited_for(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("it waited"))
    found = find(target, service(type="NodePort"), node("n1", ("InternalIP", "10.0.0.1")), deadline=60)
    assert found.how is How.NODE_PORT


def test_an_external_ip_of_any_node_goes_before_an_internal_one(target: FakeTarget) -> None:
    found = find(
        target,
        service(),
        node("n1", ("InternalIP", "10.0.0.1")),
        node("n2", ("InternalIP", "10.0.0.2"), ("ExternalIP", "198.51.100.2")),
    )
    assert found.host == "198.51.100.2"


@pytest.mark.parametrize("state", ["False", "Unknown"])
def test_nodes_that_are_not_ready_are_skipped(target: FakeTarget, state: str) -> None:
    found = find(
        target,
        service(),
        node("n1", ("ExternalIP", "198.51.100.1"), ready=state),
        node("n2", ("InternalIP", "10.0.0.2")),
    )
    assert found.host == "10.0.0.2"


def test_local_policy_takes_a_node_with_a_ready_gateway(target: FakeTarget) -> None:
    nodes = [node(f"n{i}", ("InternalIP", f"10.0.0.{i}")) for i in (1, 2, 3)]
    policy = service(externalTrafficPolicy="Local")
    assert find(target, policy, *nodes, endpoints(("n1", False), ("n2", True))).host == "10.0.0.2"
    assert find(target, policy, *nodes, endpoints(("n3", None))).host == "10.0.0.3"


def test_local_policy_looks_at_the_gateways_own_pods_only(target: FakeTarget) -> None:
    nodes = [node(f"n{i}", ("InternalIP", f"10.0.0.{i}")) for i in (1, 2)]
    other = endpoints(("n1", True), name="another")
    policy = service(externalTrafficPolicy="Local")
    assert find(target, policy, *nodes, other, endpoints(("n2", True))).host == "10.0.0.2"


# What cannot be


def test_local_policy_without_a_ready_gateway_is_an_error(target: FakeTarget) -> None:
    with pytest.raises(MeshwrightError, match="no Ready node with a ready gateway pod"):
        find(
            target,
            service(externalTrafficPolicy="Local"),
            node("n1", ("InternalIP", "10.0.0.1")),
            endpoints(("n1", False)),
        )


def test_no_service(target: FakeTarget) -> None:
    with pytest.raises(MeshwrightError, match="there is no Service istio-system/istio-ingressgateway") as error:
        find(target)
    assert "meshwright plan lab" in error.value.hint


def test_no_port_for_http_names_those_there_are(target: FakeTarget) -> None:
    with pytest.raises(MeshwrightError, match=r"no port named http2 or http \(its ports: tls, 9000\)"):
        find(target, service([{"ip": "203.0.113.7"}], ports=[{"name": "tls", "port": 443}, {"port": 9000}]))


def test_a_service_that_nothing_outside_reaches(target: FakeTarget) -> None:
    ports = [{"name": "http2", "port": 80}]
    with pytest.raises(MeshwrightError, match="type ClusterIP and has neither an external address nor a node port"):
        find(target, service(type="ClusterIP", ports=ports), node("n1", ("InternalIP", "10.0.0.1")))


def test_no_ready_node(target: FakeTarget) -> None:
    with pytest.raises(MeshwrightError, match="there is no Ready node"):
        find(target, service(), node("n1", ("InternalIP", "10.0.0.1"), ready="False"))


def test_nodes_without_addresses(target: FakeTarget) -> None:
    with pytest.raises(MeshwrightError, match="there is no address"):
        find(target, service(), node("n1", ("Hostname", "n1")))


def test_a_cluster_that_gives_no_answer_is_not_a_missing_service(target: FakeTarget) -> None:
    session = FakeSession(service([{"ip": "203.0.113.7"}]))
    session.failing["get Service"] = Unreachable("the API server gives no answer")
    with pytest.raises(Unreachable):
        ingress.find(target, environment(), session)


# k3d


def test_k3d_publishes_on_the_host(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(service())
    found = addressed(monkeypatch, target, environment(ingress=PUBLISHED), session, up(p30080=24080, p30443=24443))
    assert found == Address("127.0.0.1", 24080, 24443, How.PUBLISHED)


def test_a_node_port_that_k3d_does_not_publish_is_not_taken_for_the_published_one(
    target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = service(ports=[{"name": "http2", "port": 80, "nodePort": 31999}])
    session = FakeSession(moved, node("n1", ("InternalIP", "172.18.0.2")))
    found = addressed(monkeypatch, target, environment(ingress=PUBLISHED), session, up(p30080=24080))
    assert found == Address("172.18.0.2", 31999, None, How.NODE_PORT)


def test_only_the_plain_port_published(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    found = addressed(monkeypatch, target, environment(ingress=PUBLISHED), FakeSession(service()), up(p30080=24080))
    assert (found.port, found.secure_port) == (24080, None)


def test_an_existing_cluster_is_not_asked_of_k3d(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(service([{"ip": "203.0.113.7"}]))
    found = addressed(monkeypatch, target, existing(), session, cluster.View(cluster.State.UP))
    assert found.how is How.LOAD_BALANCER_IP


def test_no_cluster(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeshwrightError, match=r"the cluster of lab \(mw-lab-[0-9a-f]{8}\) is absent") as error:
        addressed(monkeypatch, target, environment(), None, cluster.View(cluster.State.ABSENT))
    assert error.value.hint == "`meshwright apply lab` brings it up"


# Exports


def sourced(lines: list[str], *names: str, before: str = "") -> list[str]:
    """What a shell has in `names` after it evaluated the lines."""
    script = "\n".join([before, *lines, *(f'printf "%s\\n" "${{{name}-unset}}"' for name in names)])
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    return done.stdout.splitlines()


def test_exports_as_a_shell_reads_them() -> None:
    found = Address("127.0.0.1", 24080, 24443, How.PUBLISHED)
    lines = ingress.exports(found, kubeconfig="/a b/$HOME/kube'config", path=["/a b/bin", "/c/bin"])
    names = ("INGRESS_HOST", "INGRESS_PORT", "SECURE_INGRESS_PORT", "GATEWAY_URL", "KUBECONFIG", "PATH")
    assert sourced(lines, *names) == [
        "127.0.0.1",
        "24080",
        "24443",
        "127.0.0.1:24080",
        "/a b/$HOME/kube'config",
        "/a b/bin:/c/bin:/usr/bin:/bin",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(lambda text: f"/{text}"))
def test_any_path_gets_through_a_shell_as_it_is(path: str) -> None:
    found = Address("127.0.0.1", 80, None, How.NODE_PORT)
    script = "\n".join([*ingress.exports(found, kubeconfig=path), 'printf %s "$KUBECONFIG"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert done.stdout == path.encode()


def test_exports_of_ipv6() -> None:
    lines = ingress.exports(Address("2001:db8::7", 80, None, How.LOAD_BALANCER_IP))
    assert sourced(lines, "INGRESS_HOST", "GATEWAY_URL") == ["2001:db8::7", "[2001:db8::7]:80"]


def test_a_secure_port_of_another_environment_is_unset() -> None:
    lines = ingress.exports(Address("127.0.0.1", 80, None, How.NODE_PORT))
    assert sourced(lines, "SECURE_INGRESS_PORT", before="export SECURE_INGRESS_PORT=1") == ["unset"]
    assert not any("KUBECONFIG" in line or "PATH" in line for line in lines)


def test_every_export_is_one_shell_word() -> None:
    for line in ingress.exports(Address("h", 1, 2, How.NODE_PORT), kubeconfig="/x y"):
        assert len(shlex.split(line)) == 2
