from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.environment import BadValues, Problem, load
from meshwright.environment.model import ExistingCluster, K3dCluster
from meshwright.errors import BadInput, Exit
from meshwright.project import Project

Make = Callable[..., Project]


@pytest.mark.parametrize("name", ["dev", "lab", "staging", "prod"])
def test_the_shipped_environments_load(shipped: Project, name: str) -> None:
    loaded = load(shipped, name)
    assert loaded.env.name == name
    assert loaded.env.protected is (name == "prod")
    assert isinstance(loaded.env.cluster, ExistingCluster if name == "prod" else K3dCluster)
    assert shipped.environments == ["dev", "lab", "prod", "staging"]


def test_prod_ships_without_an_identity_and_says_so(shipped: Project) -> None:
    assert load(shipped, "prod").env.unpinned == ("cluster.uid", "cluster.ca_sha256")
    assert load(shipped, "lab").env.unpinned == ()


def test_the_lab_has_the_flags_of_a_mesh_with_several_roots(shipped: Project) -> None:
    istio = load(shipped, "lab").env.istio
    assert istio.values["pilot"]["env"]["ISTIO_MULTIROOT_MESH"] == "true"
    assert istio.mesh_config["defaultConfig"]["proxyMetadata"]["PROXY_CONFIG_XDS_AGENT"] == "true"
    assert istio.components["egressGateways"][0]["enabled"] is True


def test_values_and_sources(project: Make, k3d: str) -> None:
    loaded = load(project(k3d + "istio:\n  hub: example.test/istio\n  values: {pilot: {replicaCount: 2}}\n"), "lab")
    assert loaded.env.istio.version == "1.30.3"
    assert loaded.env.istio.hub == "example.test/istio"
    assert loaded.sources["istio", "version"] == ("group_data/all.yaml", 2)
    assert loaded.sources["istio", "hub"] == ("group_data/lab.yaml", 5)
    assert loaded.sources["istio", "values", "pilot", "replicaCount"] == ("group_data/lab.yaml", 6)
    assert loaded.sources["istio",] == ("group_data/lab.yaml", 4)
    assert loaded.values["istio"]["values"] == {"pilot": {"replicaCount": 2}}
    assert ("istio", "timeout") not in loaded.sources


def test_an_environment_tells_where_its_values_are_from(project: Make, k3d: str) -> None:
    env = load(project(k3d + "hosts: ['@local']\n"), "lab").env
    assert env.where("tools", "k3d") == "group_data/all.yaml:1"
    assert env.where("cluster", "image") == "group_data/lab.yaml:3"
    assert env.where("hosts", 0, "name") == "group_data/lab.yaml:4"
    assert env.where("cluster", "servers") == "default"


def test_hosts_are_names_or_mappings(project: Make) -> None:
    existing = "cluster: {kind: existing, context: c}\n"
    hosts = load(
        project(existing + "hosts: ['@local', one.example.test, {name: '::1', ssh_port: 22}]\n"), "lab"
    ).env.hosts
    assert [(host.name, host.ssh_port) for host in hosts] == [
        ("@local", None),
        ("one.example.test", None),
        ("::1", 22),
    ]


def test_null_takes_away_a_namespace_and_an_optional_value(project: Make, k3d: str) -> None:
    shared = (
        "tools: {k3d: 1.2.3, kubectl: 1.2.3}\nistio: {version: 1.2.3, hub: h, tag: t}\nnamespaces: {a: {}, b: {}}\n"
    )
    env = load(
        project(k3d + "istio: {tag: null}\nnamespaces: {a: null}\nbookinfo: {enabled: false}\n", shared), "lab"
    ).env
    assert env.istio.tag is None
    assert list(env.namespaces) == ["b"]


def test_null_inside_the_values_of_istio_is_passed_on(project: Make, k3d: str) -> None:
    env = load(project(k3d + "istio: {values: {global: {proxy: null}}}\n"), "lab").env
    assert env.istio.values == {"global": {"proxy": None}}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prdo", "there is no environment 'prdo'; there are dev, lab, prod, staging; the nearest is prod"),
        ("zzz", "there is no environment 'zzz'; there are dev, lab, prod, staging"),
        ("", "there is no environment ''; there are dev, lab, prod, staging"),
        ("../lab", "there is no environment '../lab'; there are dev, lab, prod, staging; the nearest is lab"),
        ("all", "there is no environment 'all'; there are dev, lab, prod, staging"),
        ("x\x00y", "there is no environment 'x\\x00y'; there are dev, lab, prod, staging"),
    ],
)
def test_unknown_environments(shipped: Project, name: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(shipped, name)
    assert caught.value.message == message
    assert caught.value.hint == "An environment NAME is inventory/NAME.py and group_data/NAME.yaml"
    assert caught.value.exit_code == Exit.BAD_INPUT


def test_half_an_environment(project: Make, k3d: str) -> None:
    there = project(k3d)
    (there.root / "inventory" / "dev.py").touch()
    (there.root / "group_data" / "prod.yaml").touch()
    with pytest.raises(
        BadInput, match=r"no environment 'dev'; there are lab. inventory/dev.py is there; write group_dat"
    ):
        load(there, "dev")
    with pytest.raises(
        BadInput, match=r"no environment 'prod'; there are lab. group_data/prod.yaml is there; write inv"
    ):
        load(there, "prod")


def test_no_environments_at_all(tmp_path: Path) -> None:
    for folder in ("inventory", "group_data"):
        (tmp_path / folder).mkdir()
    with pytest.raises(BadInput, match="there is no environment 'lab'; there are none"):
        load(Project.find(tmp_path), "lab")


@pytest.mark.parametrize("name", ["My_Env", "all", "a" * 21, "-a"])
def test_names_that_no_environment_can_have(project: Make, k3d: str, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(project(k3d, name=name), name)
    assert caught.value.message == (
        f"inventory/{name}.py has a name that no environment can have; it may have at most 20 characters: "
        "a-z, 0-9 and -, at both ends no -, and not all"
    )


def test_a_missing_shared_file(project: Make, k3d: str) -> None:
    there = project(k3d)
    (there.root / "group_data" / "all.yaml").unlink()
    with pytest.raises(BadValues) as caught:
        load(there, "lab")
    assert caught.value.message == "group_data/all.yaml: the file is missing"
    assert caught.value.hint == "Write {} into it where there is nothing to say"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "this is a folder; it must be a file of values"),
        (os.mkfifo, "this is not a regular file; it must be a file of values"),
        (lambda file: file.symlink_to(file), "the file cannot be read: Too many levels of symbolic links"),
    ],
    ids=["folder", "pipe", "loop"],
)
def test_files_that_cannot_be_read(project: Make, k3d: str, make: Callable[[Path], None], message: str) -> None:
    there = project(k3d)
    file = there.root / "group_data" / "all.yaml"
    file.unlink()
    make(file)
    with pytest.raises(BadValues) as caught:
        load(there, "lab")
    assert caught.value.message == f"group_data/all.yaml: {message}"


def test_a_file_without_permission(project: Make, k3d: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = project(k3d)

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The mode of the file would not stop root, who runs the tests in a container.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadValues, match=r"group_data/all.yaml: the file cannot be read: Permission denied"):
        load(there, "lab")


def test_all_problems_of_both_files_in_order(project: Make, k3d: str) -> None:
    values = k3d + "ingress: {deadline: -1}\nclutser: 1\nprotected: no\n"
    shared = "tools: {k3d: 1.30, kubectl: 1.35.4}\nistio: {version: 1.30.3}\n"
    with pytest.raises(BadValues) as caught:
        load(project(values, shared), "lab")
    assert [problem.message.split(";")[0] for problem in caught.value.problems] == [
        "group_data/all.yaml:1:14: tools.k3d is 1.30, which YAML reads as a number",
        "group_data/all.yaml:2:1: istio.hub is missing",
        "group_data/lab.yaml:4:21: ingress.deadline is -1",
        "group_data/lab.yaml:5:1: clutser is not a known key",
        "group_data/lab.yaml:6:12: protected is no, which some readers of YAML take for false and others for text",
    ]
    assert caught.value.message == caught.value.problems[0].message
    assert caught.value.hint == (
        'Put it in quotes: "1.30". 4 more problems: group_data/all.yaml:2:1, group_data/lab.yaml:4:21, '
        "group_data/lab.yaml:5:1, ..."
    )
    assert caught.value.problems[0].as_json() == {
        "file": "group_data/all.yaml",
        "line": 1,
        "column": 14,
        "path": "tools.k3d",
        "message": "tools.k3d is 1.30, which YAML reads as a number; it must be a version as text, such as 1.30.3 "
        "(without a v)",
        "hint": 'Put it in quotes: "1.30"',
    }


def test_broken_files_are_both_told(project: Make) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(b"a: \xff", "a:\n\tb: c\n"), "lab")
    assert [problem.place for problem in caught.value.problems] == [
        "group_data/all.yaml:2:1",
        "group_data/lab.yaml:1:4",
    ]


def test_loading_is_quick(shipped: Project) -> None:
    def timed() -> float:
        start = time.perf_counter()
        load(shipped, "lab")
        return time.perf_counter() - start

    assert min(timed() for _ in range(5)) < 0.05


def test_loading_needs_neither_pyinfra_nor_click_nor_a_network() -> None:
    code = "import sys; from meshwright.environment import load; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "meshwright.environment.loader" in done.stdout.split()
    assert not {"pyinfra", "gevent", "click", "httpx2", "rich", "paramiko", "jinja2"} & set(done.stdout.split())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_give_an_environment_or_bad_input(
    data: st.DataObject, shipped: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The lab's file with a few places overwritten: mostly YAML, rarely right."""
    raw = bytearray((shipped.root / "group_data" / "lab.yaml").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = start + data.draw(st.integers(0, 8))
        raw[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b": ", b"\n", b"- ", b"{", b"'", b"1.5", b"no"])
        )
    root = tmp_path_factory.getbasetemp() / "any_bytes"
    for folder in ("inventory", "group_data"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "inventory" / "lab.py").touch()
    (root / "group_data" / "all.yaml").write_bytes((shipped.root / "group_data" / "all.yaml").read_bytes())
    (root / "group_data" / "lab.yaml").write_bytes(bytes(raw))
    problems: tuple[Problem, ...] = ()
    try:
        assert load(Project.find(root), "lab").env.name == "lab"
    except BadValues as error:
        problems = error.problems
    assert all(problem.file.startswith("group_data/") and problem.line for problem in problems)
