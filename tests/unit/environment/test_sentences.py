"""What a user reads for each way in which values can be wrong: the exact sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from meshwright.environment import BadValues, load
from meshwright.environment.model import Environment
from meshwright.environment.rules import RULES
from meshwright.environment.types import keys, type_at
from meshwright.project import Project

CLUSTER = "kind, name, image, tools_image, servers, agents, loadbalancer, api_port, registries, volumes, disable, "
CLUSTER += "k3s_args, timeout"
ROOT = "protected, limits, hosts, engine, cluster, tools, istio, namespaces, ingress, bookinfo, addons, resources, "
ROOT += "certs, windows, schedule, promotion, rollout"
ISTIO = "version, hub, tag, profile, revision, namespace, components, meshConfig, values, gateway_api, timeout"
NAME = "characters: a-z, 0-9 and -, at both ends no -"
EXISTING = "cluster: {kind: existing, context: c}\n"
PORT = "name: a, port: 80, target_port: 8080"
IMAGE = "an image with its tag or digest, such as docker.io/rancher/k3s:v1.35.4-k3s1"
VERSION = "a version as text, such as 1.30.3 (without a v)"
FILE = "group_data/lab.yaml"
NOT_K3D = f"which does not go with k3d in cluster.kind ({FILE}:2)"


@pytest.mark.parametrize(
    ("added", "place", "sentence", "hint"),
    [
        # unknown keys
        ("clutser: 1", "4:1", f"clutser is not a known key; the nearest is cluster; known here: {ROOT}", ""),
        ("zzz: 1", "4:1", f"zzz is not a known key; known here: {ROOT}", ""),
        ("name: lab", "4:1", f"name is not a known key; known here: {ROOT}", ""),
        ("  imgae: x", "4:3", f"cluster.imgae is not a known key; the nearest is image; known here: {CLUSTER}", ""),
        (
            "istio: {mesh_config: {}}",
            "4:9",
            f"istio.mesh_config is not a known key; the nearest is meshConfig; known here: {ISTIO}",
            "",
        ),
        (
            f"ingress: {{ports: [{{{PORT}, nodeport: 30080}}]}}",
            "4:58",
            "ingress.ports[0].nodeport is not a known key; the nearest is node_port; known here: "
            "name, port, target_port, node_port, publish",
            "",
        ),
        # wrong types
        (
            f"ingress: {{ports: [{{{PORT.replace('80,', chr(39) + '80' + chr(39) + ',', 1)}}}]}}",
            "4:35",
            "ingress.ports[0].port is '80'; it must be a whole number from 1 to 65535",
            "Write it without quotes: 80",
        ),
        ("ingress: {ports: {a: 1}}", "4:11", "ingress.ports is a mapping; it must be a list", ""),
        ("ingress: {ports: [a]}", "4:19", "ingress.ports[0] is a; it must be a mapping", ""),
        ("ingress:", "4:9", "ingress is empty; it must be a mapping", ""),
        ("ingress: null", "4:10", "ingress is null; it must be a mapping", ""),
        ("hosts: []", "4:1", "hosts is an empty list; it must be a list of at least one host", ""),
        ("hosts: [5]", "4:9", "hosts[0] is 5; it must be the name of a host, or a mapping with its name", ""),
        (
            "hosts: [{name: '@other'}]",
            "4:16",
            "hosts[0].name is '@other'; it must be @local, or the name or address of a host",
            "",
        ),
        ("protected: 'true'", "4:12", "protected is 'true'; it must be true or false", "Write it without quotes: true"),
        ("protected: 1", "4:12", "protected is 1; it must be true or false", ""),
        ("bookinfo: {timeout: 1.5}", "4:21", "bookinfo.timeout is 1.5; it must be a whole number from 1 to 86400", ""),
        # text that YAML reads as something else
        (
            "tools: {k3d: 1.30}",
            "4:14",
            f"tools.k3d is 1.30, which YAML reads as a number; it must be {VERSION}",
            'Put it in quotes: "1.30"',
        ),
        (
            "istio: {tag: true}",
            "4:14",
            "istio.tag is true, which YAML reads as true or false; it must be text that is not empty or null",
            'Put it in quotes: "true"',
        ),
        (
            "istio: {hub: no}",
            "4:14",
            "istio.hub is no, which some readers of YAML take for false and others for text",
            'Write false, or put it in quotes: "no"',
        ),
        (
            "istio: {version: 2026-01-01}",
            "4:18",
            "istio.version is 2026-01-01, which some readers of YAML take for a date and others for text",
            'Put it in quotes: "2026-01-01"',
        ),
        # ranges, patterns, choices
        ("  servers: 0", "4:12", "cluster.servers is 0; it must be a whole number from 1 to 9", ""),
        (
            "  api_port: 99999",
            "4:13",
            "cluster.api_port is 99999; it must be auto or a whole number from 1 to 65535",
            "",
        ),
        (
            "  api_port: atuo",
            "4:13",
            "cluster.api_port is atuo; it must be auto or a whole number from 1 to 65535; the nearest is auto",
            "",
        ),
        (
            f"ingress: {{ports: [{{{PORT}, node_port: 80}}]}}",
            "4:69",
            "ingress.ports[0].node_port is 80; it must be a whole number from 30000 to 32767 or null",
            "",
        ),
        (
            "engine: {kind: dokcer}",
            "4:16",
            "engine.kind is dokcer; it must be auto, docker or lab; the nearest is docker",
            "",
        ),
        (
            "namespaces: {a: {injection: Enabled}}",
            "4:29",
            "namespaces.a.injection is Enabled; it must be enabled, disabled or null; the nearest is enabled",
            "",
        ),
        ("namespaces: {A: {}}", "4:14", f"the key namespaces.A must be a name of at most 63 {NAME}", ""),
        (
            "namespaces: {a: {labels: {'b c': d}}}",
            "4:27",
            'the key namespaces.a.labels["b c"] must be the key of a Kubernetes label, such as example.com/team',
            "",
        ),
        (
            "  name: " + "a" * 33,
            "4:9",
            f"cluster.name is {'a' * 33}; it must be auto or a name of at most 32 {NAME}",
            "",
        ),
        ("istio: {version: v1.30.3}", "4:18", f"istio.version is v1.30.3; it must be {VERSION}", ""),
        (
            "  volumes: [a]",
            "4:13",
            "cluster.volumes[0] is a; it must be SOURCE:/TARGET, or SOURCE:/TARGET@NODEFILTER",
            "",
        ),
        (
            "  tools_image: a/b",
            "4:16",
            f"cluster.tools_image is a/b; it must be {IMAGE} or null",
            "",
        ),
        # duplicate keys
        ("cluster: {kind: k3d}", "4:1", "cluster is there twice, first in line 1", "Remove one of the two"),
    ],
)
def test_one_value(project: Callable[..., Project], k3d: str, added: str, place: str, sentence: str, hint: str) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(k3d + added + "\n"), "lab")
    assert caught.value.message == f"{FILE}:{place}: {sentence}"
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{}", f"{FILE}:1:1: cluster is missing; it must be a mapping"),
        ("\ncluster:\n  image: a:1\n", f"{FILE}:2:1: cluster.kind is missing; it must be k3d or existing"),
        ("cluster: {kind: k3d}", f"{FILE}:1:1: cluster.image is missing; it must be {IMAGE}"),
        ("cluster: {kind: k4d}", f"{FILE}:1:17: cluster.kind is k4d; it must be k3d or existing; the nearest is k3d"),
        ("cluster: {kind: [k3d]}", f"{FILE}:1:11: cluster.kind is a list; it must be k3d or existing"),
        ("cluster: k3d", f"{FILE}:1:10: cluster is k3d; it must be a mapping"),
        ("cluster:", f"{FILE}:1:9: cluster is empty; it must be a mapping"),
        # a misspelt key is not told to be missing as well
        (
            "cluster: {kind: k3d, imgae: a:1}",
            f"{FILE}:1:22: cluster.imgae is not a known key; the nearest is image; known here: {CLUSTER}",
        ),
        (
            "cluster: {knid: k3d, image: a:1}",
            f"{FILE}:1:11: cluster.knid is not a known key; the nearest is kind; known here: "
            f"{CLUSTER}, kubeconfig, context, uid, ca_sha256",
        ),
        (
            "cluster: {kind: existing, context: c, image: a:1}",
            f"{FILE}:1:39: cluster.image is not a known key; known here: kind, kubeconfig, context, uid, ca_sha256",
        ),
        (
            "cluster: {kind: existing, context: c, uid: x}",
            f"{FILE}:1:44: cluster.uid is x; it must be a uid: 32 of the characters 0-9 and a-f in groups of "
            "8-4-4-4-12 or null",
        ),
        (
            f"cluster: {{kind: existing, context: c, ca_sha256: {'1' * 64}}}",
            f"{FILE}:1:50: cluster.ca_sha256 is {'1' * 60}..., which is too large for a number",
        ),
    ],
)
def test_the_cluster(project: Callable[..., Project], values: str, message: str) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(values), "lab")
    assert [problem.message for problem in caught.value.problems] == [message]


# Two places that clash are both named. (values, place, sentence, the rule)
BROKEN = [
    (EXISTING + "hosts: [a, {name: a}]", "2:12", f"hosts[1] is a, the same as hosts[0] ({FILE}:2)", 0),
    (
        EXISTING + "hosts: [{name: '@local', ssh_port: 22}]",
        "2:36",
        "hosts[0].ssh_port is given for @local, which is not reached by SSH",
        1,
    ),
    ("K3D\nhosts: [a, b]", "5:1", f"hosts has 2 hosts, {NOT_K3D}", 2),
    ("K3D\nprotected: true", "5:12", f"protected is true, {NOT_K3D}", 3),
    ("cluster: {kind: k3d, image: 'a:latest'}", "1:29", "cluster.image is a:latest, which changes by itself", 4),
    (
        EXISTING + "namespaces: {a: {labels: {istio.io/rev: b}}}",
        "2:41",
        'namespaces.a.labels["istio.io/rev"] is what namespaces.a.revision is for',
        5,
    ),
    (
        EXISTING + "namespaces: {bookinfo: {revision: b}}",
        "2:35",
        "namespaces.bookinfo.revision is given beside namespaces.bookinfo.injection (group_data/all.yaml:4)",
        6,
    ),
    (
        EXISTING + f"ingress:\n  ports:\n  - {{{PORT}}}\n  - {{{PORT.replace('80,', '81,', 1)}}}",
        "5:12",
        f"ingress.ports[1].name is a, the same as ingress.ports[0].name ({FILE}:4)",
        7,
    ),
    (
        EXISTING + f"ingress:\n  ports:\n  - {{{PORT}}}\n  - {{{PORT.replace('a,', 'b,')}}}",
        "5:21",
        f"ingress.ports[1].port is 80, the same as ingress.ports[0].port ({FILE}:4)",
        8,
    ),
    (
        EXISTING + "ingress:\n  ports:\n  - {name: a, port: 1, target_port: 1, node_port: 30001}\n"
        "  - {name: b, port: 2, target_port: 1, node_port: 30001}",
        "5:51",
        f"ingress.ports[1].node_port is 30001, the same as ingress.ports[0].node_port ({FILE}:4)",
        9,
    ),
    (
        f"K3D\ningress: {{ports: [{{{PORT}, publish: auto}}]}}",
        "5:67",
        "ingress.ports[0].publish is given without a node_port beside it",
        10,
    ),
    (
        EXISTING + f"ingress: {{ports: [{{{PORT}, node_port: 30001, publish: 80}}]}}",
        "2:85",
        f"ingress.ports[0].publish is given, which does not go with existing in cluster.kind ({FILE}:1)",
        10,
    ),
    (
        f"K3D\n  api_port: 8443\ningress: {{ports: [{{{PORT}, node_port: 30001, publish: 8443}}]}}",
        "6:85",
        f"ingress.ports[0].publish is 8443, the same as cluster.api_port ({FILE}:5)",
        11,
    ),
    (
        EXISTING + "namespaces: {bookinfo: null}",
        "1:1",
        "bookinfo.namespace is bookinfo, which is not in namespaces",
        12,
    ),
    (EXISTING + "bookinfo: {namespace: b}", "2:23", "bookinfo.namespace is b, which is not in namespaces", 12),
    (
        EXISTING + "certs: {ca_days_warn: 5, ca_days_fail: 6}",
        "2:40",
        f"certs.ca_days_fail is 6, more than the 5 of certs.ca_days_warn ({FILE}:2)",
        13,
    ),
]


@pytest.mark.parametrize(("values", "place", "sentence", "rule"), BROKEN)
def test_values_that_do_not_go_together(
    project: Callable[..., Project], k3d: str, values: str, place: str, sentence: str, rule: int
) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(values.replace("K3D", k3d)), "lab")
    [problem] = caught.value.problems
    assert problem.message == f"{FILE}:{place}: {sentence}"
    assert problem.hint == RULES[rule].says


def test_each_rule_is_broken_above_and_told_in_the_readme(shipped: Project) -> None:
    assert {rule for *_, rule in BROKEN} == set(range(len(RULES)))
    readme = (shipped.root / "group_data" / "README.md").read_text()
    assert [
        line[2:] for line in readme.splitlines() if line.startswith("- ") and line[2:] in {r.says for r in RULES}
    ] == [rule.says for rule in RULES]


# Every key of the model once.
ADDON: dict[str, Any] = {
    "enabled": True,
    "manifests": [{"url": "https://example.com/a.yaml", "sha256": "a" * 64}],
    "images": {"a": "b:1"},
    "namespace": "a",
    "service": "a",
    "port": 1,
    "path": "/",
    "exposure": None,
}
EXPOSURE: dict[str, Any] = {"credential": "c", "port": 443, "selector": {"a": "b"}}
WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prometheus", {"kind": "none"}),
    ("grafana", {"kind": "basic", "users": "u"}),
    ("jaeger", {"kind": "jwt", "issuer": "i", "jwks_uri": None, "jwks": "{}", "audiences": ["a"], "cookies": ["c"]}),
    ("kiali", {"kind": "mtls"}),
)
WHOLE: dict[str, dict[str, Any]] = {
    kind: {
        "protected": False,
        "hosts": [{"name": "a", "ssh_user": "u", "ssh_port": 22, "ssh_key": "k", "ssh_known_hosts_file": "f"}],
        "engine": {"kind": "auto"},
        "cluster": cluster,
        "tools": {"k3d": "1.2.3", "kubectl": "1.2.3"},
        "istio": {
            "version": "1.2.3",
            "hub": "h",
            "tag": "t",
            "profile": "default",
            "revision": "r",
            "namespace": "istio-system",
            "components": {},
            "meshConfig": {},
            "values": {},
            "gateway_api": {"crds": "auto", "release": "1.2.3", "channel": "standard", "sha256": "0" * 64},
            "timeout": 1,
        },
        "namespaces": {"bookinfo": {"injection": "enabled", "revision": None, "labels": {"a": "b"}}},
        "ingress": {
            "namespace": "istio-system",
            "service": "s",
            "deadline": 0,
            "ports": [{"name": "p", "port": 1, "target_port": 2, "node_port": 30000, "publish": None}],
        },
        "bookinfo": {"enabled": True, "namespace": "bookinfo", "hub": "h", "tag": "t", "timeout": 1},
        "addons": {
            "loki": ADDON,
            **{
                name: {**ADDON, "exposure": EXPOSURE | {"host": f"{name}.test", "authentication": way}}
                for name, way in WAYS
            },
            "proof": {"path": "/a", "host": "a.test", "service": "a/b", "deadline": 1},
            "timeout": 1,
        },
        "resources": {"manifests": ["m"], "pace": 1, "allow_empty": False},
        "limits": {"deletions": 1, "changes": 1, "restarts": 1},
        "schedule": {
            "by": "cron",
            "kubernetes": {"image": "a.test/b:1", "pull_secret": None},
            "timezone": None,
            "jobs": {"drift": {"run": None, "deploy": "d", "cron": "7 * * * *", "timeout": 1}},
            "transition": {"days": 900, "to": "extend", "mode": "live", "cron": "7 * * * *", "timeout": 1},
            "webhook": {"url": None, "url_file": "f", "when": "always"},
            "textfile": "t.prom",
        },
        "rollout": {"first": "a", "at_once": 1, "failure_budget": 0},
        "promotion": {
            "from": "dev",
            "applied": True,
            "soak": "1d",
            "approvals": {"signers": "s", "count": 1},
            "drift": "refuse",
            "on_failure": "stop",
        },
        "windows": {
            "timezone": "Europe/Berlin",
            "allow": {"nights": {"cron": "0 22 * * *", "duration": "4h", "weekly": None}},
            "deny": {"payday": {"cron": None, "duration": None, "weekly": "mon 22:00-23:00"}},
            "blackouts": ["2026-12-24"],
            "cutoff": "30m",
        },
        "certs": {
            "root_days_warn": 9,
            "root_days_fail": 1,
            "ca_days_warn": 9,
            "ca_days_fail": 1,
            "gateway_days_warn": 9,
            "gateway_days_fail": 1,
            "leaf_percent_warn": 9,
            "leaf_percent_fail": 1,
            "textfile": "f.prom",
            "backup": {"recipients": ["age1q", "ssh-ed25519 AAAA me"], "folder": "f"},
            "vms": {"shop/vm-1": {"host": "h", "root": "/r.pem", "admin": 15000}},
        },
    }
    for kind, cluster in {
        "k3d": {
            "kind": "k3d",
            "name": "auto",
            "image": "a:1",
            "tools_image": "b:1",
            "servers": 1,
            "agents": 0,
            "loadbalancer": True,
            "api_port": "auto",
            "registries": {},
            "volumes": ["a:/b"],
            "disable": ["traefik"],
            "k3s_args": ["--x"],
            "timeout": 1,
        },
        "existing": {"kind": "existing", "kubeconfig": "k", "context": "c", "uid": None, "ca_sha256": None},
    }.items()
}


def known_keys(values: Any, whole: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths in `values` whose last part is a key of the model."""
    if isinstance(values, Mapping):
        for key, inner in values.items():
            if key in keys(type_at(path, whole)):
                yield (*path, key)
            yield from known_keys(inner, whole, (*path, key))
    elif isinstance(values, list):
        for index, inner in enumerate(values):
            yield from known_keys(inner, whole, (*path, index))


PLACES = [(kind, path) for kind, values in WHOLE.items() for path in known_keys(values, values)]


def test_the_whole_of_the_model_is_tried() -> None:
    for model in Environment.model_json_schema(by_alias=True)["$defs"].values():
        assert set(model["properties"]) <= {path[-1] for _, path in PLACES}


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("misspelt")
    for folder in ("inventory", "group_data"):
        (root / folder).mkdir()
    (root / "inventory" / "lab.py").touch()
    (root / "group_data" / "all.yaml").write_text("{}\n")
    return Project.find(root)


def put(project: Project, values: Any) -> Path:
    file = project.root / "group_data" / "lab.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file


@pytest.mark.parametrize("kind", WHOLE)
def test_the_whole_of_the_model_is_good(anywhere: Project, kind: str) -> None:
    put(anywhere, WHOLE[kind])
    assert load(anywhere, "lab").env.cluster.kind == kind


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_misspelt_key_is_refused_with_the_nearest(anywhere: Project, data: st.DataObject) -> None:
    kind, path = data.draw(st.sampled_from(PLACES))
    key, at = path[-1], data.draw(st.integers(0, len(path[-1]) - 1))
    letter = data.draw(st.sampled_from("abcxyz_"))
    wrong = data.draw(
        st.sampled_from(
            [
                key[:at] + key[at + 1 :],
                key[:at] + letter + key[at:],
                key[:at] + letter + key[at + 1 :],
                key[:at] + key[at:][::-1],
            ]
        )
    )
    known = keys(type_at(path[:-1], WHOLE[kind]))
    assume(wrong and wrong not in known)
    # Two letters turned round in a word of three are no longer near anything.
    assume(SequenceMatcher(None, key, wrong).ratio() >= 0.65)

    def misspelt(values: Any, rest: tuple[Any, ...]) -> Any:
        if isinstance(values, list):
            return [misspelt(inner, rest[1:]) if index == rest[0] else inner for index, inner in enumerate(values)]
        if len(rest) == 1:
            return {(wrong if name == key else name): inner for name, inner in values.items()}
        return {name: misspelt(inner, rest[1:]) if name == rest[0] else inner for name, inner in values.items()}

    file = put(anywhere, misspelt(WHOLE[kind], path))
    with pytest.raises(BadValues) as caught:
        load(anywhere, "lab")
    [problem] = [p for p in caught.value.problems if "is not a known key" in p.sentence]
    assert wrong in file.read_text().splitlines()[problem.line - 1]
    _, _, rest = problem.sentence.partition("is not a known key; the nearest is ")
    near = rest.split(";")[0]
    assert near in known or near == "kind"
    assert near == key or SequenceMatcher(None, near, wrong).ratio() >= SequenceMatcher(None, key, wrong).ratio()
