"""The difference between two Kubernetes objects, as field paths."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from meshwright.plan import Field, masked

__all__ = ["added", "between", "merge_patch", "short", "without_bookkeeping"]

_BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_MAPS = ("labels", "annotations")
_LONGEST = 200
# Of a Secret. Its annotations too: `kubectl apply` keeps a copy of all of its data in one.
_MASKED = ("data", "stringData", "metadata.annotations")
# Labels by which one tool's objects are told from another's: for another tool's repository they are nothing.
_SETS = "applyset.kubernetes.io/"


def without_bookkeeping(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without status and without what the API server keeps in its metadata."""
    rest = {key: value for key, value in obj.items() if key != "status"}
    rest["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in _BOOKKEEPING}
    return rest


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that differ, in the order of their paths. The data of a Secret is masked.

    A list of items with names is compared by these; a new order of them is a difference of its own (the first route
    that matches is taken).
    """
    secret = after.get("kind") == "Secret"
    found = _walk(_compared(before), _compared(after), "")
    return tuple(_shown(path, old, new, secret) for path, old, new in found)


def _compared(obj: Mapping[str, Any]) -> dict[str, Any]:
    """No labels and an empty mapping of them are the same thing, and the API server answers with either."""
    rest = without_bookkeeping(obj)
    rest["metadata"] |= {part: rest["metadata"].get(part) or {} for part in _MAPS}
    return rest


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from `before` to `after`, for people: without bookkeeping, without membership of
    an ApplySet, and without what a Secret holds. Empty: nothing of that differs."""
    one, other = _public(before), _public(after)
    return _merge(one, other)


def _public(obj: Mapping[str, Any]) -> dict[str, Any]:
    rest = without_bookkeeping(obj)
    labels = {key: value for key, value in (rest["metadata"].get("labels") or {}).items() if not key.startswith(_SETS)}
    rest["metadata"]["labels"] = labels
    if obj.get("kind") == "Secret":
        rest["metadata"].pop("annotations", None)
        rest = {key: value for key, value in rest.items() if key not in _MASKED}
    return rest


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = dict.fromkeys(one.keys() - other.keys())
    for key, value in other.items():
        before = one.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            below = _merge(before, value)
            if below:
                patch[key] = below
        elif key not in one or value != before or isinstance(value, bool) != isinstance(before, bool):
            patch[key] = value
    return dict(sorted(patch.items()))


def added(obj: Mapping[str, Any]) -> tuple[Field, ...]:
    """What a new object is shown as: the keys of its spec or data; the whole of it is in its manifest."""
    secret = obj.get("kind") == "Secret"
    for key in ("spec", "data", "stringData"):
        if isinstance(obj.get(key), dict):
            return tuple(_shown(f"{key}.{name}", None, value, secret) for name, value in sorted(obj[key].items()))
    return ()


def _shown(path: str, old: Any, new: Any, secret: bool) -> Field:
    if secret and path.startswith(_MASKED):
        return Field(path, None if old is None else masked(str(old)), None if new is None else masked(str(new)))
    return Field(path, short(old), short(new))


def short(value: Any) -> Any:
    """Long texts and blocks of a plan by their size: a certificate or a script helps nobody on a terminal. The digest
    keeps two different ones apart, for the reader and for the approval."""
    if isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _LONGEST):
        text = value if isinstance(value, str) else _canonical(value)
        if len(text) > _LONGEST:
            return f"{len(text)} characters {masked(text)}"
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _walk(old.get(key), new.get(key), f"{path}.{_key(key)}" if path else _key(key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _walk_lists(old, new, path)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):  # to Python, 1 == True
        yield path, old, new


def _key(key: str) -> str:
    return f'"{key}"' if "." in key or "/" in key else key


def _walk_lists(old: list[Any], new: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    if (
        all(_name_of(item) for item in (*old, *new))
        and len({_name_of(i) for i in old}) == len(old)
        and len({_name_of(i) for i in new}) == len(new)
    ):
        # By name, as the API server merges them: an inserted container does not make all after it "changed".
        mine = {_name_of(item): item for item in old}
        yours = {_name_of(item): item for item in new}
        for name in [*mine, *(name for name in yours if name not in mine)]:
            yield from _walk(mine.get(name), yours.get(name), f"{path}[{name}]")
        before, after = ([name for name in names if name in mine and name in yours] for names in (mine, yours))
        if before != after:
            yield f"{path} (order)", before, after
    elif len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(one, other, f"{path}[{index}]")
    else:
        yield path, old, new


def _name_of(item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""
