"""What of an environment's values travels to the next one in a promotion, and what belongs to this one.

One rule: of the sections in `TRAVELS` everything travels but what stands under `local`. The few keys of `STAYS`, and
all other sections, belong to one environment wherever they stand. docs/promotion.md says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from meshwright.environment.problems import Path, Problem, listed, nearest
from meshwright.environment.tree import Node, merge

__all__ = ["LOCAL", "PASSED_ON", "STAYS", "TRAVELS", "part", "separated", "stays"]

LOCAL = "local"

TRAVELS = ("tools", "istio", "namespaces", "bookinfo", "addons", "resources")
"""The sections that travel."""

STAYS: tuple[tuple[str, str], ...] = (
    ("istio", "hub"),
    ("istio", "timeout"),
    ("bookinfo", "hub"),
    ("bookinfo", "timeout"),
    ("resources", "credentials"),
    ("resources", "secrets"),
    ("resources", "pace"),
    ("resources", "allow_empty"),
)
"""Keys in these that do not: addresses of registries, credentials, and how long or how fast something may go."""

PASSED_ON = (("istio", "components"), ("istio", "meshConfig"), ("istio", "values"))
"""Where null is a value. Everywhere else it is the same as nothing."""


def stays(path: Path) -> bool:
    """Whether the value at `path`, or the one that it is in, belongs to one environment by its key alone."""
    return path[:1] != () and (path[0] not in TRAVELS or tuple(path[:2]) in STAYS)


def part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of merged values (without `local`) those that travel; what is null there is left out, and so is what is empty
    by that."""
    kept = {name: _clean(values[name], (name,)) for name in TRAVELS if name in values}
    return {name: value for name, value in kept.items() if value not in (None, {})}


def _clean(value: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(value, dict) or path in PASSED_ON:
        return value
    found = {
        key: _clean(each, (*path, key)) for key, each in value.items() if each is not None and not stays((*path, key))
    }
    # An object or a namespace without any value is still there; an empty section is nothing.
    return {key: each for key, each in found.items() if each != {} or value[key] == {}}


def separated(base: Node, over: Node) -> tuple[Node, Node, list[Problem]]:
    """The merged values of an environment with and without what stands under its `local`, and what is wrong there.
    `base` is the tree of all.yaml, `over` that of the environment's own file."""
    problems = []
    shared, over, own = _without(base), _without(over), _of(over)
    for node in (_of(base),):
        if node is not None:
            sentence = "local is what belongs to one environment, so it stands in that environment's file"
            problems.append(Problem(sentence, *node.where, LOCAL, "Move it to group_data/ENV.yaml"))
    without = merge(shared, over)
    if own is None or not isinstance(own.content, dict):
        if own is not None:
            sentence = "local must be a mapping of values that belong to this environment alone"
            problems.append(Problem(sentence, *own.where, LOCAL, f"Its keys are {listed(TRAVELS, 'and')}"))
        return without, without, problems
    for key, node in own.content.items():
        if key not in TRAVELS:
            place = node.key or node.place
            near = nearest(key, TRAVELS)
            sentence = f"local.{key} is not of what travels{f'; the nearest is {near}' if near else ''}"
            hint = f"local is for parts of {listed(TRAVELS)}; all else belongs to its environment where it stands"
            problems.append(Problem(sentence, *place, f"local.{key}", hint))
    known = replace(own, content={key: node for key, node in own.content.items() if key in TRAVELS})
    return merge(without, known), without, problems


def _of(tree: Node) -> Node | None:
    return tree.content.get(LOCAL) if isinstance(tree.content, dict) else None


def _without(tree: Node) -> Node:
    if not isinstance(tree.content, dict):
        return tree
    return replace(tree, content={key: node for key, node in tree.content.items() if key != LOCAL})
