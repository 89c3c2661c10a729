"""The clusters of an environment that has several: what each lays over the rest, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.environment import BadValues, Several, cluster_name, load, members, names
from meshwright.environment.clusters import DIFFERS, RESERVED, Member, environment_of, separated
from meshwright.environment.hosts import inventory_names
from meshwright.environment.reader import read
from meshwright.environment.tree import merge, plain
from meshwright.errors import BadInput, Exit
from meshwright.project import Project

Make = Callable[..., Project]
FILE = "group_data/prod.yaml"
TWO = """\
cluster: {kind: existing}
istio: {values: {shared: 1}}
local: {istio: {timeout: 9}}
clusters:
  - name: east
    hosts: [bastion.example]
    cluster: {context: e}
  - name: west
    cluster: {context: w}
    local: {istio: {values: {own: 2}}}
"""


@pytest.fixture
def prod(project: Make) -> Callable[[str], Project]:
    return lambda text: project(text, name="prod")


def test_each_cluster_is_an_environment_of_its_own(prod: Callable[[str], Project]) -> None:
    found = prod(TWO)
    east, west = (load(found, name).env for name in ("prod/east", "prod/west"))
    assert [(env.name, env.environment, env.cluster.context) for env in (east, west)] == [
        ("prod/east", "prod", "e"),
        ("prod/west", "prod", "w"),
    ]
    assert [host.name for host in east.hosts] == ["bastion.example"]
    assert [host.name for host in west.hosts] == ["@local"]
    assert (east.istio.values, west.istio.values) == ({"shared": 1}, {"shared": 1, "own": 2})
    assert (east.istio.timeout, west.istio.timeout) == (9, 9)
    assert west.where("cluster", "context") == f"{FILE}:9"
    assert west.where("cluster", "kind") == f"{FILE}:1"
    assert west.where("istio", "values", "own") == f"{FILE}:10"
    assert "clusters" not in load(found, "prod/east").values


def test_members_come_in_the_order_of_the_file(prod: Callable[[str], Project]) -> None:
    found = prod(TWO)
    assert [each.env.name for each in members(found, "prod")] == ["prod/east", "prod/west"]
    assert [each.env.name for each in members(found, "prod/west")] == ["prod/west"]
    assert names(found) == ["prod/east", "prod/west"]


def test_an_environment_with_one_cluster_has_one_member(project: Make, k3d: str) -> None:
    found = project(k3d)
    assert [each.env.name for each in members(found, "lab")] == ["lab"]
    assert load(found, "lab").env.environment == "lab"
    assert names(found) == ["lab"]


def test_names_are_there_for_files_that_cannot_be_used(project: Make) -> None:
    assert names(project("- 1\n")) == ["lab"]


def test_what_travels_is_the_same_in_every_cluster(prod: Callable[[str], Project]) -> None:
    east, west = members(prod(TWO), "prod")
    assert east.travelling == west.travelling
    assert east.travelling["istio"] == {"version": "1.30.3", "values": {"shared": 1}}


def test_several_are_named_where_one_is_needed(prod: Callable[[str], Project]) -> None:
    with pytest.raises(Several) as caught:
        load(prod(TWO), "prod")
    assert caught.value.message == "prod has 2 clusters, and this is for one: prod/east or prod/west"
    assert caught.value.hint == "Say which, such as prod/east"
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.names == ("prod/east", "prod/west")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("prod/weast", "prod has no cluster 'weast'; it has prod/east and prod/west; the nearest is prod/west"),
        ("prod/", "prod has no cluster ''; it has prod/east and prod/west"),
        ("prod/east/x", "prod has no cluster 'east/x'; it has prod/east and prod/west; the nearest is prod/east"),
        ("prud/east", "there is no environment 'prud'; there are prod; the nearest is prod"),
        ("/east", "there is no environment '/east'; there are prod"),
    ],
)
def test_a_cluster_that_is_not_there(prod: Callable[[str], Project], name: str, sentence: str) -> None:
    for asked in (load, members):
        with pytest.raises(BadInput) as caught:
            asked(prod(TWO), name)
        assert caught.value.message == sentence


def test_an_environment_with_one_cluster_has_no_names_for_it(project: Make, k3d: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(project(k3d), "lab/east")
    assert str(caught.value) == "lab has one cluster and no names for it. Say lab"


EAST, WEST = "{name: east, cluster: {context: e}}", "{name: west, cluster: {context: w}}"
LIST = "must be a list of at least two; an environment with one cluster has its values at the top"
NAME = "it must be a name of at most 63 characters: a-z, 0-9 and -, at both ends no -"
SAME = "so both are one cluster"


@pytest.mark.parametrize(
    ("clusters", "place", "sentence"),
    [
        ("5", "2:11", f"clusters {LIST}"),
        ("null", "2:11", f"clusters {LIST}"),
        ("{east: {}}", "2:1", f"clusters {LIST}"),
        (f"[{EAST}]", "2:1", f"clusters {LIST}"),
        (f"[{EAST}, west]", "2:49", "clusters[1] must be a mapping"),
        (f"[{EAST}, {{hosts: [h]}}]", "2:49", "clusters[1].name is missing; it must be the cluster's own name"),
        (f"[{EAST}, {{name: East}}]", "2:56", f"clusters[1].name is East; {NAME}"),
        (f"[{EAST}, {{name: a/b}}]", "2:56", f"clusters[1].name is a/b; {NAME}"),
        (f"[{EAST}, {{name: .}}]", "2:56", f"clusters[1].name is .; {NAME}"),
        (f"[{EAST}, {{name: 5}}]", "2:56", f"clusters[1].name is 5; {NAME}"),
        (f"[{EAST}, {{name: [a]}}]", "2:50", f"clusters[1].name is no text; {NAME}"),
        (
            f"[{EAST}, {{name: runs}}]",
            "2:56",
            "clusters[1].name is runs, which is a name of files of Meshwright's own; creating, credentials, kubeconfig "
            "or runs are",
        ),
        (
            f"[{EAST}, {{name: east, cluster: {{context: x}}}}]",
            "2:56",
            "clusters[1].name is east, the same as that of the cluster at line 2",
        ),
        (
            f"[{EAST}, {{name: west, istio: {{hub: h}}}}]",
            "2:62",
            "clusters[1].istio may not differ between the clusters of an environment",
        ),
        (
            f"[{EAST}, {{name: west, host: [a]}}]",
            "2:62",
            "clusters[1].host may not differ between the clusters of an environment; the nearest that may is hosts",
        ),
        (
            f"[{EAST}, {{name: west, cluster: {{context: e}}}}]",
            "2:81",
            f"the cluster west has the context of east, {SAME}",
        ),
        (
            "[{name: east, cluster: {context: e, uid: u}}, {name: west, cluster: {context: w, uid: u}}]",
            "2:97",
            f"the cluster west has the uid of east, {SAME}",
        ),
        (
            "[{name: east, cluster: {kind: k3d, name: k}}, {name: west, cluster: {kind: k3d, name: k}}]",
            "2:97",
            f"the cluster west has the name of east, {SAME}",
        ),
    ],
)
@pytest.mark.parametrize("name", ["prod", "prod/east"])
def test_what_is_wrong_with_clusters(
    prod: Callable[[str], Project], clusters: str, place: str, sentence: str, name: str
) -> None:
    with pytest.raises(BadValues) as caught:
        members(prod(f"cluster: {{kind: existing}}\nclusters: {clusters}\n"), name)
    assert (f"{FILE}:{place}", sentence) in [(problem.place, problem.sentence) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "clusters",
    [
        "[{name: a, hosts: [h], cluster: {context: c}}, {name: b, hosts: [i], cluster: {context: c}}]",
        "[{name: a, cluster: {context: c}}, {name: b, cluster: {context: c, kubeconfig: other}}]",
        "[{name: a, cluster: {kind: k3d, image: 'i:1'}}, {name: b, cluster: {kind: k3d, image: 'i:1'}}]",
    ],
)
def test_what_may_be_two_clusters_is_not_refused(prod: Callable[[str], Project], clusters: str) -> None:
    assert len(members(prod(f"cluster: {{kind: existing}}\nclusters: {clusters}\n"), "prod")) == 2


def test_every_problem_of_every_cluster_is_told_once(prod: Callable[[str], Project]) -> None:
    text = (
        "cluster: {kind: existing}\ntools: {k3d: 5}\nclusters:\n  - {name: east, cluster: {contxt: e}}\n  - {name: b}\n"
    )
    with pytest.raises(BadValues) as caught:
        members(prod(text), "prod")
    assert [(p.line, p.sentence.partition(";")[0]) for p in caught.value.problems] == [
        (1, "cluster.context is missing"),
        (2, "tools.k3d is 5, which YAML reads as a number"),
        (4, "cluster.contxt is not a known key"),
    ]


def test_clusters_stand_in_the_file_of_the_environment(project: Make, k3d: str) -> None:
    shared = "tools: {k3d: 5.9.0, kubectl: 1.35.4}\nistio: {version: 1.30.3, hub: h}\nclusters: []\n"
    with pytest.raises(BadValues) as caught:
        load(project(k3d, shared), "lab")
    assert (
        caught.value.problems[0].message
        == "group_data/all.yaml:3:1: clusters are those of one environment, so they stand in that environment's file"
    )


def test_the_first_of_a_rollout_is_one_of_the_clusters(prod: Callable[[str], Project], project: Make, k3d: str) -> None:
    rollout = load(prod(TWO + "rollout: {first: west, at_once: 2, failure_budget: 1}\n"), "prod/east").env.rollout
    assert rollout is not None
    assert (rollout.first, rollout.at_once, rollout.failure_budget) == ("west", 2, 1)
    with pytest.raises(BadValues) as caught:
        load(prod(TWO + "rollout: {first: wset}\n"), "prod/east")
    assert caught.value.message == (
        f"{FILE}:11:18: rollout.first is wset, which is none of clusters; the nearest is west"
    )
    assert load(project(k3d + "rollout: {first: west}\n"), "lab").env.rollout is not None


def test_names_of_k3d_clusters_are_never_the_same(project: Make) -> None:
    long = "x" * 63
    k3d = "cluster: {kind: k3d, image: 'i:1'}\n"
    found = project(f"{k3d}clusters: [{{name: east}}, {{name: {long}}}, {{name: {long[:-1]}y}}]\n", name="prod")
    project(k3d, name="prod-east")
    made = [cluster_name(each.env, found) for name in ("prod", "prod-east") for each in members(found, name)]
    assert len(set(made)) == 4
    assert all(len(name) <= 32 for name in made)
    assert made[0].startswith("mw-prod-east-")


def test_hosts_are_named_after_their_cluster(prod: Callable[[str], Project]) -> None:
    east, west = (each.env for each in members(prod(TWO.replace("example]", "example, '@local']")), "prod"))
    assert inventory_names(east.name, east.hosts) == ["@cluster/east/bastion.example", "@cluster/east/@local"]
    assert inventory_names(west.name, west.hosts) == ["@cluster/west"]
    assert inventory_names("prod", east.hosts) == ["bastion.example", "@local"]


def test_a_reserved_name_is_that_of_a_file() -> None:
    """Every path below the state folder of an environment that has no dot in it is reserved."""
    root = Path(__file__).parents[3] / "meshwright"
    text = "".join(path.read_text() for path in root.rglob("*.py"))
    for name in RESERVED:
        assert f'"{name}"' in text or f"/{name}" in text
    assert environment_of("prod/east") == environment_of("prod") == "prod"


# The overlay, whatever is in it

KEYS = st.sampled_from(["a", "b", "c"])
DATA = st.recursive(
    st.integers(0, 3) | st.sampled_from(["x", "z"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OVERLAY = st.dictionaries(st.sampled_from(DIFFERS), DATA, max_size=len(DIFFERS))
TOP = st.dictionaries(st.sampled_from([*DIFFERS, "istio", "tools"]), DATA, max_size=5)


def laid_over(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {key: laid_over(base[key], over[key]) if key in base and key in over else {**base, **over}[key]
            for key in {**base, **over}}  # fmt: skip


@given(TOP, st.lists(OVERLAY, min_size=2, max_size=4))
def test_a_cluster_changes_what_it_names_and_nothing_else(top: Any, overlays: list[Any]) -> None:
    listed = [{"name": f"c{number}", **overlay} for number, overlay in enumerate(overlays)]
    base, _ = read(b"{}\n", "all")
    over, problems = read(yaml.safe_dump({**top, "clusters": listed}).encode(), "env")
    assert base is not None
    assert over is not None
    assert problems == []
    rest, found, wrong = separated(base, over)
    assert wrong == []
    assert plain(rest) == top
    assert found is not None
    assert [member.name for member in found] == [each["name"] for each in listed]
    for member, overlay in zip(found, overlays, strict=True):
        assert isinstance(member, Member)
        merged = merge(rest, member.over)
        assert plain(merged) == laid_over(top, overlay)
        # What it does not name is the very same value, with its place.
        assert isinstance(merged.content, dict)
        assert isinstance(rest.content, dict)
        assert all(merged.content[key] is rest.content[key] for key in rest.content if key not in overlay)
