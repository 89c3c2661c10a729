"""k3d's config file, and what `k3d cluster list` says, in the shape of k3d 5.9."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import FakeTarget, environment
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright import k3d
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.plan import Field
from meshwright.project import Project

PORTS = [
    {"name": "status-port", "port": 15021, "target_port": 15021},
    {"name": "http2", "port": 80, "target_port": 8080, "node_port": 30080, "publish": "auto"},
    {"name": "https", "port": 443, "target_port": 8443, "node_port": 30443, "publish": 8443},
]
NUMBERS = {"api_port": 20001, "http2": 20002, "https": 8443}


def env_with(ports: Any = PORTS, **cluster: Any) -> Environment:
    made = {"kind": "k3d", "image": "docker.io/rancher/k3s:v1.35.4-k3s1", **cluster}
    return environment(cluster=made, ingress={"ports": ports})


def of(env: Environment) -> K3dCluster:
    assert isinstance(env.cluster, K3dCluster)
    return env.cluster


def config(env: Environment, root: str = "/home/op/my mesh") -> dict[str, Any]:
    text = k3d.config_file(Project(Path("/nowhere")), "mw-lab-1a2b3c4d", env, root, NUMBERS)
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_the_whole_file() -> None:
    env = env_with(
        agents=2,
        loadbalancer=False,
        volumes=[".meshwright/lab/images:/images@all", "/srv/my data:/data@server:0,agent:*", "models:/models"],
        k3s_args=["--kubelet-arg=max-pods=50"],
        registries={"use": ["k3d-registry:5000"]},
        timeout=120,
    )
    assert config(env) == {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        "metadata": {"name": "mw-lab-1a2b3c4d"},
        "servers": 1,
        "agents": 2,
        "image": "docker.io/rancher/k3s:v1.35.4-k3s1",
        "kubeAPI": {"host": "127.0.0.1", "hostIP": "127.0.0.1", "hostPort": "20001"},
        "volumes": [
            {"volume": "/home/op/my mesh/.meshwright/lab/images:/images", "nodeFilters": ["all"]},
            {"volume": "/srv/my data:/data", "nodeFilters": ["server:0", "agent:*"]},
            {"volume": "/home/op/my mesh/models:/models", "nodeFilters": ["all"]},
        ],
        "ports": [
            {"port": "127.0.0.1:20002:30080", "nodeFilters": ["server:0:direct"]},
            {"port": "127.0.0.1:8443:30443", "nodeFilters": ["server:0:direct"]},
        ],
        "registries": {"use": ["k3d-registry:5000"]},
        "options": {
            "k3d": {"wait": True, "timeout": "120s", "disableLoadbalancer": True},
            "k3s": {
                "extraArgs": [
                    {"arg": "--disable=traefik", "nodeFilters": ["server:*"]},
                    {"arg": "--kubelet-arg=max-pods=50", "nodeFilters": ["server:*"]},
                ]
            },
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
            "runtime": {
                "labels": [
                    {
                        "label": "k3d-meshwright.config="
                        + json.dumps(k3d.fixed(of(env), env), sort_keys=True, separators=(",", ":")),
                        "nodeFilters": ["server:*", "agent:*"],
                    }
                ]
            },
        },
    }


def test_the_least_of_it() -> None:
    document = config(env_with(ports=[], disable=[]))
    assert (document["volumes"], document["ports"], document["registries"]) == ([], [], {})
    assert document["options"]["k3s"]["extraArgs"] == []
    assert document["options"]["k3d"]["disableLoadbalancer"] is False


def test_the_users_kubeconfig_is_never_updated() -> None:
    assert set(config(env_with())["options"]["kubeconfig"].values()) == {False}


words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" '\"\\{}<&#"), min_size=1
)
paths = words.filter(lambda word: not set(word) & set(":@") and not word[0].isspace())


@settings(max_examples=50)
@given(paths, words, words)
def test_values_come_through_whatever_they_are_written_with(source: str, part: str, key: str) -> None:
    env = env_with(volumes=[f"/{source}:/x"], disable=[part], registries={"config": {key: part}})
    document = config(env)
    assert document["volumes"][0]["volume"] == f"/{source}:/x"
    assert document["options"]["k3s"]["extraArgs"][0]["arg"] == f"--disable={part}"
    assert document["registries"] == {"config": {key: part}}
    _, _, label = document["options"]["runtime"]["labels"][0]["label"].partition("=")
    assert k3d.differences(k3d.fixed(of(env), env), json.loads(label)) == ()


def test_what_is_fixed_at_creation() -> None:
    env = env_with(agents=1, volumes=["a:/b"])
    assert k3d.fixed(of(env), env) == {
        "image": "docker.io/rancher/k3s:v1.35.4-k3s1",
        "servers": 1,
        "agents": 1,
        "loadbalancer": True,
        "api_port": "auto",
        "volumes": ["a:/b"],
        "disable": ["traefik"],
        "k3s_args": [],
        "registries": {},
        "publish.http2": [30080, "auto"],
        "publish.https": [30443, 8443],
    }


def test_how_long_to_wait_is_not_fixed_at_creation() -> None:
    one, other = env_with(timeout=100), env_with(timeout=200, tools_image="x:1", name="other")
    assert k3d.fixed(of(one), one) == k3d.fixed(of(other), other)


def test_differences_by_name() -> None:
    made = {"agents": 0, "image": "a:1", "publish.old": [1, 2]}
    wanted = {"agents": 2, "image": "a:1", "publish.new": [3, "auto"]}
    assert k3d.differences(wanted, made) == (
        Field("agents", 0, 2),
        Field("publish.new", None, [3, "auto"]),
        Field("publish.old", [1, 2], None),
    )


# What k3d lists

NODE: dict[str, Any] = {
    "name": "k3d-mw-lab-1a2b3c4d-server-0",
    "role": "server",
    "image": "sha256:3927b6a125e505e0afa83a6295879c8ed180f59866439765672ec555491a452e",
    "volumes": ["k3d-mw-lab-1a2b3c4d-images:/k3d/images"],
    "env": ["K3S_KUBECONFIG_OUTPUT=/output/kubeconfig.yaml"],
    "Cmd": ["server", "--disable=traefik", "--tls-san", "127.0.0.1"],
    "portMappings": {
        "30080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20002"}],
        "30443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}],
        "6443": [{"HostIp": "127.0.0.1", "HostPort": "20001"}],
    },
    "restart": True,
    "created": "2026-01-02T03:04:05.826896977Z",
    "runtimeLabels": {"k3d.cluster": "mw-lab-1a2b3c4d", "k3d.role": "server", "k3d.version": "v5.9.0"},
    "Networks": ["k3d-mw-lab-1a2b3c4d"],
    "ExtraHosts": None,
    "serverOpts": {"kubeAPI": {"Port": "", "Binding": {"HostIp": "127.0.0.1", "HostPort": "20001"}}},
    "agentOpts": {},
    "State": {"Running": True, "Status": "running", "Started": ""},
    "IP": {"IP": "172.18.0.2", "Static": False},
}
STOPPED: dict[str, Any] = {
    "name": "k3d-mw-lab-1a2b3c4d-agent-0",
    "role": "agent",
    "portMappings": None,
    "runtimeLabels": None,
    "State": {"Running": False, "Status": "exited"},
}


def listed(*nodes: dict[str, Any], name: str = "mw-lab-1a2b3c4d") -> dict[str, Any]:
    return {"name": name, "network": {"name": f"k3d-{name}"}, "nodes": list(nodes), "serversCount": 1}


def observe(host: FakeTarget, clusters: list[dict[str, Any]]) -> k3d.Seen | None:
    host.answer("k3d cluster list -o json", json.dumps(clusters))
    return k3d.observe(host, "k3d", {"DOCKER_HOST": "unix:///run/x.sock"}, "mw-lab-1a2b3c4d")


def test_a_cluster_as_k3d_lists_it(host: FakeTarget) -> None:
    other = listed(STOPPED, name="other")
    seen = observe(host, [other, listed(NODE)])
    assert seen == k3d.Seen(
        "mw-lab-1a2b3c4d",
        (k3d.Node("k3d-mw-lab-1a2b3c4d-server-0", "server", True, {"30080": 20002, "30443": 8443, "6443": 20001}),),
        None,
    )
    assert seen.running
    assert (seen.port(30080), seen.port(6443), seen.port(30999)) == (20002, 20001, None)
    assert host.environs == [{"DOCKER_HOST": "unix:///run/x.sock"}]


def test_a_cluster_with_a_node_that_does_not_run_is_not_running(host: FakeTarget) -> None:
    seen = observe(host, [listed(NODE, STOPPED)])
    assert seen is not None
    assert not seen.running
    assert [node.role for node in seen.nodes] == ["server", "agent"]


def test_a_cluster_without_any_node_is_not_running(host: FakeTarget) -> None:
    seen = observe(host, [listed()])
    assert seen is not None
    assert not seen.running


@pytest.mark.parametrize("clusters", [[], [listed(NODE, name="mw-lab-1a2b3c4d-2")]])
def test_no_such_cluster_is_none(host: FakeTarget, clusters: list[dict[str, Any]]) -> None:
    assert observe(host, clusters) is None


def test_the_label_brings_back_what_the_cluster_was_made_from(host: FakeTarget) -> None:
    env = env_with(volumes=["/my data:/x@all"], registries={"config": 'mirrors:\n  "a":\n'})
    name, _, value = config(env)["options"]["runtime"]["labels"][0]["label"].partition("=")
    # k3d lists only labels whose names begin with "k3d", and keeps "k3d." for its own.
    assert name.startswith("k3d")
    assert not name.startswith("k3d.")
    node = copy.deepcopy(NODE)
    node["runtimeLabels"][name] = value
    seen = observe(host, [listed(STOPPED, node)])
    assert seen is not None
    assert seen.config is not None
    assert k3d.differences(k3d.fixed(of(env), env), seen.config) == ()
    other = env_with(agents=1)
    assert [field.path for field in k3d.differences(k3d.fixed(of(other), other), seen.config)] == [
        "agents",
        "registries",
        "volumes",
    ]


def test_a_port_that_is_not_bound_to_the_host_is_none(host: FakeTarget) -> None:
    node = copy.deepcopy(NODE)
    node["portMappings"] = {"30080/tcp": [], "30443/tcp": [{"HostIp": "", "HostPort": ""}], "80/tcp": None}
    seen = observe(host, [listed(node)])
    assert seen is not None
    assert seen.nodes[0].ports == {}


@pytest.mark.parametrize("text", ["", "FATA[0000] no daemon\n", "[{"])
def test_an_answer_that_is_no_json_is_a_sentence(host: FakeTarget, text: str) -> None:
    host.answer("k3d cluster list", text)
    with pytest.raises(MeshwrightError) as caught:
        k3d.observe(host, "k3d", {}, "x")
    assert caught.value.message == f"k3d cluster list printed no JSON: {text!r}"


def test_a_failing_k3d_is_never_an_absent_cluster(host: FakeTarget) -> None:
    host.answer("k3d cluster list", (1, "cannot connect to the Docker daemon"))
    with pytest.raises(ProcessError, match="k3d exited with 1: cannot connect to the Docker daemon"):
        k3d.observe(host, "k3d", {}, "x")


def test_deleting_keeps_k3d_away_from_the_users_kubeconfig(host: FakeTarget) -> None:
    host.answer("k3d cluster delete mw-lab")
    k3d.delete(host, "k3d", {"DOCKER_HOST": "unix:///x"}, "mw-lab", "/ours/kubeconfig")
    assert host.environs == [{"DOCKER_HOST": "unix:///x", "KUBECONFIG": "/ours/kubeconfig"}]
