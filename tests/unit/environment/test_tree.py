from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshwright.environment.tree import Node, Place, find, merge, plain, walk

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from("xyz"))
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
FILES = st.dictionaries(st.sampled_from("abc"), DATA, max_size=3)


def tree(data: Any, file: str) -> Node:
    """A tree of `data` in which no two values stand in one line."""
    lines = count(1)

    def grown(value: Any) -> Node:
        place = Place(file, next(lines), 1)
        if isinstance(value, dict):
            return Node({key: grown(inner) for key, inner in value.items()}, place)
        if isinstance(value, list):
            return Node([grown(inner) for inner in value], place)
        return Node(value, place, str(value))

    return grown(data)


def leaves(node: Node) -> dict[Any, Node]:
    return {
        path: inner for path, inner in walk(node) if not inner.content or not isinstance(inner.content, dict | list)
    }


@given(FILES)
def test_an_empty_file_changes_nothing_on_either_side(data: Any) -> None:
    node = tree(data, "a")
    for merged in (merge(node, tree({}, "b")), merge(tree({}, "b"), node)):
        assert plain(merged) == data
        assert {path: leaf.place for path, leaf in leaves(merged).items() if path} == {
            path: leaf.place for path, leaf in leaves(node).items() if path
        }


@given(FILES)
def test_a_file_over_itself_is_itself(data: Any) -> None:
    assert plain(merge(tree(data, "a"), tree(data, "b"))) == data


@given(FILES, FILES)
def test_every_value_is_what_stands_at_its_place(base: Any, over: Any) -> None:
    trees = {"a": tree(base, "a"), "b": tree(over, "b")}
    written = {node.place: node.content for one in trees.values() for _, node in walk(one)}
    merged = merge(trees["a"], trees["b"])
    for path, leaf in leaves(merged).items():
        assert written[leaf.place] == leaf.content or path == ()
        # And the file it comes from has it at the same path.
        assert find(trees[leaf.place.file], path).place == leaf.place or path == ()


@given(FILES, FILES)
def test_all_that_the_second_file_says_holds(base: Any, over: Any) -> None:
    merged = merge(tree(base, "a"), tree(over, "b"))
    for path, leaf in leaves(tree(over, "b")).items():
        if isinstance(leaf.content, dict):
            continue  # an empty mapping says nothing
        assert find(merged, path).place == leaf.place


@given(FILES, FILES)
def test_mappings_merge_and_the_rest_is_replaced(base: Any, over: Any) -> None:
    def expected(old: Any, new: Any) -> Any:
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return new
        both = {key: expected(old[key], new[key]) for key in old.keys() & new.keys()}
        return {**old, **new, **both}

    assert plain(merge(tree(base, "a"), tree(over, "b"))) == expected(base, over)


def test_find_gives_the_innermost_value_that_there_is() -> None:
    node = tree({"a": [{"b": 1}]}, "f")
    assert find(node, ("a", 0, "b")).content == 1
    assert plain(find(node, ("a", 0, "c", "d"))) == {"b": 1}
    assert plain(find(node, ("a", 3))) == [{"b": 1}]
    assert find(node, ("x",)) is node
