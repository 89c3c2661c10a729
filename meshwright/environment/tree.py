"""Values that know where they were written, and how those of one file are merged over those of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from meshwright.environment.problems import Path
from meshwright.environment.scalars import Scalar

__all__ = ["Content", "Node", "Place", "find", "merge", "plain", "walk"]


class Place(NamedTuple):
    """A place in a file: its path relative to the project folder, line and column from 1."""

    file: str
    line: int
    column: int


Content = dict[str, "Node"] | list["Node"] | Scalar


@dataclass(frozen=True)
class Node:
    """One value of a file. `content` is a mapping, a list or a scalar; `written` is a scalar as it stands in the file.

    `place` is where the value begins, `key` where the key before it does (None for an item of a list and for the whole
    file).
    """

    content: Content
    place: Place
    written: str = ""
    key: Place | None = None

    @property
    def where(self) -> Place:
        """The place to send a person to: a scalar itself, but the key that heads a mapping or list."""
        return self.key if self.key and isinstance(self.content, dict | list) else self.place


def merge(base: Node, over: Node) -> Node:
    """`over` merged over `base`: mappings key by key, anything else replaced. Every value keeps its place.

    An empty mapping changes nothing, null replaces like any other value.
    """
    if not (isinstance(base.content, dict) and isinstance(over.content, dict)):
        return over
    merged = dict(base.content)
    for key, value in over.content.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return replace(over, content=merged)


def plain(node: Node) -> Any:
    """The value of `node` as JSON data, without places."""
    content = node.content
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [plain(item) for item in content]
    return content


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every value in `node` with its path, outer ones first."""
    yield path, node
    content = node.content
    if isinstance(content, dict):
        for key, value in content.items():
            yield from walk(value, (*path, key))
    elif isinstance(content, list):
        for index, item in enumerate(content):
            yield from walk(item, (*path, index))


def find(node: Node, path: Path) -> Node:
    """The value at `path`, or the innermost value around it that there is."""
    for part in path:
        content = node.content
        if isinstance(content, dict) and part in content:
            node = content[str(part)]
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            node = content[part]
        else:
            break
    return node
