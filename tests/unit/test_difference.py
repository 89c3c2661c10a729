"""Field paths of what differs between two objects."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright.difference import added, between, merge_patch, without_bookkeeping
from meshwright.plan import Field, masked

keys = st.sampled_from(["name", "data", "spec", "a", "a.b", "x/y", "", "é"])
leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False, width=16) | st.text(max_size=4)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
objects = st.dictionaries(keys, values, max_size=4).map(
    lambda rest: {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}} | rest
)


def obj(kind: str = "Thing", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **rest}


def spec(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    fields = between(obj(spec=before), obj(spec=after))
    return [(f.path, f.before, f.after) for f in fields]


@given(objects)
def test_an_object_does_not_differ_from_itself(one: dict[str, Any]) -> None:
    assert between(one, copy.deepcopy(one)) == ()


@given(objects, objects)
def test_any_two_objects_can_be_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = between(one, other), between(other, one)
    json.dumps([(f.path, f.before, f.after) for f in there])
    assert bool(there) == bool(back)


def pruned(value: Any) -> Any:
    """JSON without nulls in mappings (to Kubernetes a field that is null is a field that is not there)."""
    if isinstance(value, dict):
        return {k: pruned(v) for k, v in value.items() if pruned(v) is not None}
    return [pruned(v) for v in value] if isinstance(value, list) else value


def number(value: Any) -> Any:
    """JSON with every number as a float, so that 1 and 1.0 are the same and 1 and true are not."""
    if isinstance(value, dict):
        return {k: number(v) for k, v in value.items()}
    if isinstance(value, list):
        return [number(v) for v in value]
    return float(value) + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else value


@given(objects, objects)
def test_no_difference_is_shown_only_where_there_is_none(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(number(pruned(one)), sort_keys=True) == json.dumps(number(pruned(other)), sort_keys=True)
    if not between(one, other):
        assert same


@given(st.dictionaries(st.sampled_from("abcd"), leaves | st.dictionaries(st.sampled_from("ef"), leaves)))
def test_writing_what_is_shown_onto_the_one_gives_the_other(after: dict[str, Any]) -> None:
    before: dict[str, Any] = {"a": 1, "b": {"e": 2}, "c": [1]}
    patched: dict[str, Any] = {"spec": copy.deepcopy(before)}
    for path, _, value in spec(before, after):
        *way, last = path.split(".")
        inside = patched
        for key in way:
            if not isinstance(inside.get(key), dict):
                inside[key] = {}
            inside = inside[key]
        inside[last] = value
    assert number(pruned(patched.get("spec") or {})) == number(pruned(after))


def test_what_the_api_server_keeps_is_no_difference() -> None:
    kept = {
        "managedFields": [],
        "resourceVersion": "7",
        "generation": 2,
        "uid": "u",
        "creationTimestamp": "t",
        "selfLink": "s",
    }
    live = {"kind": "Thing", "metadata": {"name": "x", **kept}, "status": {"ready": 1}, "spec": {}}
    before = copy.deepcopy(live)
    assert without_bookkeeping(live) == {"kind": "Thing", "metadata": {"name": "x"}, "spec": {}}
    assert live == before
    assert between(live, {"kind": "Thing", "metadata": {"name": "x"}, "spec": {}}) == ()


@pytest.mark.parametrize("part", ["labels", "annotations"])
def test_an_empty_mapping_of_labels_is_none(part: str) -> None:
    bare = {"metadata": {"name": "x"}}
    assert between(bare, {"metadata": {"name": "x", part: {}}}) == ()
    some = {"metadata": {"name": "x", part: {"a": "b"}}}
    assert between(some, bare) == (Field(f"metadata.{part}.a", "b", None),)


def test_paths_are_dots_brackets_and_quotes() -> None:
    before = {"a": {"b": [1, 2]}, "labels": {"istio.io/rev": "x"}}
    after = {"a": {"b": [1, 3]}, "labels": {"istio.io/rev": "y"}}
    assert spec(before, after) == [("spec.a.b[1]", 2, 3), ('spec.labels."istio.io/rev"', "x", "y")]


def test_paths_are_sorted_and_absent_is_none() -> None:
    assert spec({"b": 1, "a": 1}, {"c": 1, "a": 1}) == [("spec.b", 1, None), ("spec.c", None, 1)]


def test_a_yes_is_not_a_one() -> None:
    assert spec({"a": 1, "b": 0}, {"a": True, "b": False}) == [("spec.a", 1, True), ("spec.b", 0, False)]
    assert spec({"a": 1}, {"a": 1.0}) == []


def test_named_items_are_compared_by_their_names() -> None:
    before = [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}]
    after = [{"name": "init", "image": "i"}, {"name": "app", "image": "app:2"}, {"name": "proxy", "image": "proxy:1"}]
    assert spec({"containers": before}, {"containers": after}) == [
        ("spec.containers[app].image", "app:1", "app:2"),
        ("spec.containers[init]", None, {"name": "init", "image": "i"}),
    ]


def test_the_order_of_named_items_is_a_difference() -> None:
    # The first route of a VirtualService that matches is taken.
    one, other = {"name": "v1", "match": []}, {"name": "v2", "match": [1]}
    assert spec({"http": [one, other]}, {"http": [other, one]}) == [("spec.http (order)", ["v1", "v2"], ["v2", "v1"])]


def test_an_inserted_item_is_not_a_change_of_order() -> None:
    one, two, new = ({"name": name} for name in ("one", "two", "new"))
    assert spec({"a": [one, two]}, {"a": [one, new, two]}) == [("spec.a[new]", None, {"name": "new"})]
    assert spec({"a": [one, new, two]}, {"a": [one, two]}) == [("spec.a[new]", {"name": "new"}, None)]


def test_items_with_one_name_twice_are_compared_by_their_places() -> None:
    twice = [{"name": "a", "v": 1}, {"name": "a", "v": 2}]
    assert spec({"x": twice}, {"x": [{"name": "a", "v": 1}, {"name": "a", "v": 3}]}) == [("spec.x[1].v", 2, 3)]


def test_lists_of_other_lengths_are_shown_whole() -> None:
    assert spec({"hosts": ["a"]}, {"hosts": ["a", "b"]}) == [("spec.hosts", ["a"], ["a", "b"])]


def test_long_values_are_shown_by_size_and_digest() -> None:
    [(_, before, after)] = spec({"x": "a" * 201}, {"x": "b" * 201})
    assert before.startswith("201 characters (sha256 ")
    assert before != after
    [(_, before, after)] = spec({"x": None}, {"x": ["c" * 300]})
    assert (before, after[:14]) == (None, "304 characters")
    assert spec({"x": "a" * 200}, {"x": "b"}) == [("spec.x", "a" * 200, "b")]


NEEDLE = "c3VwZXItc2VjcmV0"


@pytest.mark.parametrize("part", ["data", "stringData"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"key": NEEDLE}, {"key": "bmV3"}),
        ({"key": "b2xk"}, {"key": NEEDLE}),
        ({"key": NEEDLE}, {}),
        ({}, {"key": NEEDLE}),
        (None, {"key": NEEDLE}),
        ({"key": NEEDLE}, None),
    ],
)
def test_the_data_of_a_secret_is_never_shown(part: str, before: Any, after: Any) -> None:
    fields = between(obj("Secret", **{part: before}), obj("Secret", **{part: after}))
    assert len(fields) == 1
    assert NEEDLE not in repr(fields)
    assert NEEDLE not in repr(added(obj("Secret", **{part: {"key": NEEDLE}})))


secrets = st.fixed_dictionaries(
    {},
    optional={
        "data": st.dictionaries(keys, st.just(NEEDLE), max_size=3),
        "stringData": st.dictionaries(keys, st.just(NEEDLE), max_size=3),
        "type": st.sampled_from(["Opaque", "kubernetes.io/tls"]),
        "metadata": st.just(
            {
                "name": "x",
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {"k": NEEDLE}})
                },
            }
        ),
    },
).map(lambda rest: obj("Secret") | rest)


@given(secrets, secrets)
def test_nothing_of_a_secret_is_in_any_field(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert NEEDLE not in repr(between(one, other))
    assert NEEDLE not in repr(added(one))


def test_a_changed_secret_is_seen_to_change() -> None:
    fields = between(obj("Secret", data={"k": "b2xk"}), obj("Secret", data={"k": "bmV3"}))
    assert fields == (Field("data.k", masked("b2xk"), masked("bmV3")),)


def test_the_type_of_a_secret_is_no_secret() -> None:
    assert between(obj("Secret", type="a"), obj("Secret", type="b")) == (Field("type", "a", "b"),)


def test_a_new_object_is_shown_by_its_spec_or_data() -> None:
    assert added(obj(spec={"b": 1, "a": {"x": 2}})) == (Field("spec.a", None, {"x": 2}), Field("spec.b", None, 1))
    assert added(obj(data={"k": "v"})) == (Field("data.k", None, "v"),)
    assert added(obj()) == ()
    assert added(obj("Secret", stringData={"k": "v"})) == (Field("stringData.k", None, masked("v")),)


# Merge patches


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


values = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), values), st.dictionaries(st.sampled_from("abc"), values))
def test_a_merge_patch_leads_from_one_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    metadata = {"name": "x", "labels": {}}
    before, after = ({"kind": "X", "metadata": metadata, "spec": spec} for spec in (one, other))
    assert json.dumps(merged(before, merge_patch(before, after)), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert merge_patch(before, before) == {}


def test_a_merge_patch_has_no_bookkeeping_no_membership_and_no_secret() -> None:
    before: dict[str, Any] = {"kind": "Secret", "metadata": {"name": "x", "uid": "1"}, "data": {"k": "YQ=="}}
    labels = {"applyset.kubernetes.io/part-of": "s", "a": "b"}
    after = {
        "kind": "Secret",
        "metadata": {"name": "x", "uid": "2", "labels": labels, "annotations": {"copy": "YQ=="}},
        "data": {"k": "Yg=="},
        "type": "Opaque",
        "status": {},
    }
    assert merge_patch(before, after) == {"metadata": {"labels": {"a": "b"}}, "type": "Opaque"}
