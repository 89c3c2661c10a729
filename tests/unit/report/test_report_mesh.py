"""Objects as a graph, and the graph as a picture."""

from __future__ import annotations

import itertools
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import api, bookinfo, istio, to

from meshwright.report import mesh, picture
from meshwright.report.mesh import LIMITS, Mesh

KEYS = (
    "hosts",
    "gateways",
    "http",
    "tls",
    "route",
    "destination",
    "host",
    "subset",
    "weight",
    "mirror",
    "delegate",
    "rules",
)
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


def edges(found: Mesh) -> set[tuple[str, str, str]]:
    """Names and shares of the edges."""

    def said(place: int) -> str:
        node = found.nodes[place]
        return " ".join((node.name, *(line for line in node.lines if line.startswith("subset"))))

    return {(said(each.source), said(each.target), picture.share(each)) for each in found.edges}


def test_bookinfo() -> None:
    assert edges(mesh.of_objects(bookinfo(), "the cluster")) == {
        ("bookinfo/bookinfo-gateway", "bookinfo/bookinfo", ""),
        (mesh.SIDECARS, "bookinfo/reviews", ""),
        (mesh.SIDECARS, "bookinfo/ratings", ""),
        ("bookinfo/bookinfo", "a redirect", "rule 1: 100 %"),
        ("bookinfo/bookinfo", "productpage.bookinfo", "rule 2: 100 %"),
        ("bookinfo/ratings", "ratings.bookinfo", "100 %"),
        ("bookinfo/reviews", "reviews.bookinfo subset v1: version=v1", "rule 2: 75 %"),
        ("bookinfo/reviews", "reviews.bookinfo subset v2: version=v2", "rule 2: 25 %"),
        ("bookinfo/reviews", "reviews.bookinfo subset v3: version=v3", "rule 1: 100 %"),
        ("bookinfo/reviews", "reviews.bookinfo subset v3: version=v3", "rule 2: 10 % mirrored"),
        ("shop/shop", "shop/shop", ""),
        ("shop/shop", "shop.shop", "90 %"),
        ("shop/shop", "shop-next.shop", "10 %"),
    }


def test_hosts_in_full_and_in_short_are_one() -> None:
    routes = [to("web", "v1"), to("web.shop.svc.cluster.local", "v1")]
    objects = [istio("VirtualService", "shop/web", hosts=["web"], http=[{"route": [one]} for one in routes])]
    found = mesh.of_objects(objects, "the values")
    [target] = [node for node in found.nodes if node.layer == "destination"]
    assert (target.name, target.lines) == ("web.shop", ("subset v1, of no DestinationRule here",))
    assert (mesh.SIDECARS, "shop/web", "") in edges(found)
    assert ("shop/web", "web.shop subset v1, of no DestinationRule here", "2 rules: 100 %") in edges(found)


def test_gateways_of_both_kinds_with_one_name_are_two() -> None:
    objects = [
        istio("Gateway", "x/g"),
        api("Gateway", "x/g"),
        istio("VirtualService", "x/a", hosts=["a"], gateways=["g"], http=[{"route": [to("a")]}]),
        api("HTTPRoute", "x/b", parentRefs=[{"name": "g"}], rules=[{"backendRefs": [{"name": "b"}]}]),
        istio("VirtualService", "x/c", hosts=["c"], gateways=["far/gone"], http=[{"route": [to("c")]}]),
    ]
    found = mesh.of_objects(objects, "the cluster")
    gateways = [node for node in found.nodes if node.layer == "gateway"]
    assert [(node.name, node.lines) for node in gateways] == [
        ("x/g", ()),
        ("x/g", ()),
        ("far/gone", ("it is not there",)),
    ]
    sources = {found.nodes[each.target].name: each.source for each in found.edges if each.source < 3}
    assert sources["x/a"] != sources["x/b"]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([None], ["100 %"]),
        ([7], ["100 %"]),
        ([1, 3], ["25 %", "75 %"]),
        ([100, None], ["100 %", "0 %"]),
        ([0, 0], ["weight unknown", "weight unknown"]),
        (["1", True], ["weight unknown", "weight unknown"]),
    ],
)
def test_shares(weights: list[Any], said: list[str]) -> None:
    routes = [{**to(f"s{number}"), "weight": weight} for number, weight in enumerate(weights)]
    found = mesh.of_objects([istio("VirtualService", "x/a", hosts=["a"], http=[{"route": routes}])], "the cluster")
    assert [picture.share(each) for each in found.edges if each.shares] == said


def test_a_big_mesh_is_cut_and_says_so() -> None:
    objects = [
        istio(
            "VirtualService", f"x/{number:03}", hosts=["a"], http=[{"route": [to(f"d{number:03}{n}") for n in "abc"]}]
        )
        for number in range(100)
    ]
    found = mesh.of_objects(objects, "the cluster")
    assert [sum(node.layer == layer for node in found.nodes) for layer in LIMITS] == [
        1,
        LIMITS["route"],
        LIMITS["destination"],
    ]
    assert found.left_out == (
        "60 more routes are not drawn: a picture has at most 40",
        "240 more destinations are not drawn: a picture has at most 60",
    )
    assert len(picture.svg(found, "x")) < 120_000
    assert all(each.source < len(found.nodes) and each.target < len(found.nodes) for each in found.edges)


def test_the_picture_has_a_title_and_all_names() -> None:
    root = ElementTree.fromstring(picture.svg(mesh.of_objects(bookinfo(), "the cluster"), "p"))
    assert (root.attrib["role"], root.attrib["aria-labelledby"]) == ("img", "p-title p-desc")
    assert [each.tag for each in root[:2]] == ["title", "desc"]
    text = "".join(root.itertext())
    assert "3 gateways, 4 routes, 8 destinations" in text
    assert {"bookinfo/reviews", "rule 2: 75 %", "subset v1: version=v1"} <= {t.strip() for t in root.itertext()}


def test_nothing_makes_no_picture() -> None:
    assert picture.svg(mesh.of_objects([], "the cluster"), "p") == ""


def test_boxes_do_not_lie_on_each_other() -> None:
    root = ElementTree.fromstring(picture.svg(mesh.of_objects(bookinfo(), "the cluster"), "p"))
    columns: dict[str, list[tuple[float, float]]] = {}
    for box in root.iter("svg"):
        if box is not root:
            columns.setdefault(box.attrib["x"], []).append((float(box.attrib["y"]), float(box.attrib["height"])))
    assert len(columns) == 3
    for boxes in map(sorted, columns.values()):
        assert all(y + height < below for (y, height), (below, _) in itertools.pairwise(boxes))
        assert sum(boxes[-1]) < float(root.attrib["height"])


@given(st.lists(st.tuples(st.sampled_from(["Gateway", "VirtualService", "HTTPRoute", "DestinationRule"]), SHAPES)))
def test_objects_of_any_shape_make_a_picture(objects: list[tuple[str, Any]]) -> None:
    made = [{**istio(kind, f"x/{n}"), "spec": spec} for n, (kind, spec) in enumerate(objects)]
    found = mesh.of_objects(made, "the cluster")
    text = picture.svg(found, "p")
    if text:
        ElementTree.fromstring(text)
