"""Who has written which fields of a live object, as the API server keeps it in `metadata.managedFields`.

The format is FieldsV1 of the Kubernetes API (kubernetes-sigs/structured-merge-diff, fieldpath): "f:NAME" is a field,
"k:{...}" an item of a keyed list, "v:VALUE" an item of a set, "." the thing itself beside what is below it. Here a set
of fields is a Python set of paths, and a path a tuple of such elements; so union, intersection and difference are
those of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Path", "applied", "at", "entries", "fields", "missing", "paths", "writers"]

Path = tuple[str, ...]
Object = dict[str, Any]

missing = object()
"""What `at` gives for a path that leads nowhere."""


def paths(tree: dict[str, Any]) -> set[Path]:
    """The set that a FieldsV1 tree stands for."""
    return set(_members(tree, ()))


def _members(tree: dict[str, Any], path: Path) -> Iterator[Path]:
    if path and (not tree or "." in tree):
        yield path
    for element, below in tree.items():
        if element != ".":
            yield from _members(below, (*path, element))


def fields(members: Iterable[Path]) -> dict[str, Any]:
    """The FieldsV1 tree of a set."""
    tree: dict[str, Any] = {}
    members = set(members)
    parents = {path[:length] for path in members for length in range(1, len(path))}
    for path in sorted(members):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        if path in parents:
            node["."] = {}
    return tree


def entries(obj: Object) -> list[Object]:
    """The entries of `managedFields`, but for those of subresources (a status, a scale)."""
    found = obj["metadata"].get("managedFields") or []
    return [entry for entry in found if not entry.get("subresource")]


def writers(obj: Object) -> list[Object]:
    """The same, and those of scales: `kubectl scale` writes the replicas that manifests have."""
    found = obj["metadata"].get("managedFields") or []
    return [entry for entry in found if entry.get("subresource") in (None, "", "scale")]


def applied(obj: Object, manager: str) -> set[Path]:
    """What `manager` has applied: what an apply without it takes away."""
    return {
        path
        for entry in entries(obj)
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
        for path in paths(entry.get("fieldsV1") or {})
    }


def at(obj: Any, path: Path) -> Any:
    """What stands at `path`; `missing` where nothing does."""
    for element in path:
        kind, _, text = element.partition(":")
        if kind == "f":
            obj = obj.get(text, missing) if isinstance(obj, dict) else missing
        else:
            wanted = json.loads(text)
            obj = next((item for item in obj if _is(item, kind, wanted)), missing) if isinstance(obj, list) else missing
        if obj is missing:
            break
    return obj


def _is(item: Any, kind: str, wanted: Any) -> bool:
    if kind == "k":
        return isinstance(item, dict) and all(item.get(key) == value for key, value in wanted.items())
    return bool(item == wanted)
