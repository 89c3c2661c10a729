"""Sets of fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright import managed

elements = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'k:{"name":"y"}', 'v:"z"'])
sets = st.sets(st.lists(elements, min_size=1, max_size=4).map(tuple), max_size=8)


@given(sets)
def test_a_set_and_its_tree_say_the_same(members: set[managed.Path]) -> None:
    assert managed.paths(managed.fields(members)) == members
    assert managed.fields(managed.paths(managed.fields(members))) == managed.fields(members)


@given(sets, sets)
def test_what_is_moved_is_in_one_of_two_and_nothing_is_lost(ours: set[managed.Path], theirs: set[managed.Path]) -> None:
    shared = managed.paths(managed.fields(ours)) & managed.paths(managed.fields(theirs))
    left = managed.paths(managed.fields(theirs - shared))
    assert left | shared == theirs
    assert not left & ours


def test_the_thing_itself_beside_what_is_below_it() -> None:
    tree: dict[str, Any] = {"f:labels": {".": {}, "f:a": {}}, "f:data": {"f:k": {}}}
    assert managed.paths(tree) == {("f:labels",), ("f:labels", "f:a"), ("f:data", "f:k")}
    assert managed.fields(managed.paths(tree)) == tree


def test_what_a_manager_has_applied() -> None:
    def entry(manager: str, operation: str, name: str, **rest: str) -> dict[str, Any]:
        return {"manager": manager, "operation": operation, "fieldsV1": {f"f:{name}": {}}, **rest}

    obj = {
        "metadata": {
            "managedFields": [
                entry("us", "Apply", "a"),
                entry("us", "Update", "b"),
                entry("them", "Apply", "c"),
                entry("us", "Apply", "status", subresource="status"),
            ]
        }
    }
    assert managed.applied(obj, "us") == {("f:a",)}
    assert len(managed.entries(obj)) == 3
    assert managed.applied({"metadata": {}}, "us") == set()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("f:a",), {"f": 1}),
        (("f:a", "f:f"), 1),
        (("f:l", 'k:{"n":"x","p":1}', "f:v"), 2),
        (("f:l", 'k:{"n":"x","p":2}'), managed.missing),
        (("f:s", 'v:"z"'), "z"),
        (("f:s", 'v:"y"'), managed.missing),
        (("f:a", "f:f", "f:deeper"), managed.missing),
        (("f:a", 'k:{"n":"x"}'), managed.missing),
        ((), json.loads('{"a": {"f": 1}, "l": [{"n": "x", "p": 1, "v": 2}], "s": ["z"]}')),
    ],
)
def test_what_stands_at_a_path(path: managed.Path, value: Any) -> None:
    obj = {"a": {"f": 1}, "l": [{"n": "x", "p": 1, "v": 2}], "s": ["z"]}
    assert managed.at(obj, path) == value
