"""Fields of a live object that somebody else added: listed in a plan, removed only by consent (DESIGN 5).

The format of `managedFields` is FieldsV1 of the Kubernetes API: "f:NAME" is a field, "k:{...}" an item of a keyed list,
"v:VALUE" an item of a set, "." the item itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["sentences"]

# They write what no manifest says: revisions, defaults, certificates of webhooks, addresses.
_CONTROLLERS = frozenset(
    {"kube-controller-manager", "pilot-discovery", "kubelet", "k3s", "k3d", "cloud-controller-manager"}
)
_MISSING = object()


def sentences(now: dict[str, Any], wanted: dict[str, Any], manager: str) -> list[str]:
    """One sentence for each field of `now` that is neither in `wanted` nor written by `manager` or a controller."""
    found = []
    for entry in now["metadata"].get("managedFields") or []:
        who = entry.get("manager", "")
        if who == manager or who in _CONTROLLERS or entry.get("subresource"):
            continue
        for path in _leaves(entry.get("fieldsV1") or {}, ()):
            if path[0] != "status" and _at(wanted, path) is _MISSING and _at(now, path) is not _MISSING:
                name = f"{now['kind']} {now['metadata'].get('namespace', '')}/{now['metadata']['name']}".replace(
                    " /", " "
                )
                found.append(f"{name}: {_text(path)} is of {who}, not of these values; it is left alone")
    return found


def _leaves(fields: dict[str, Any], path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths that an entry owns; of an item that it added whole, only the item's own."""
    if "." in fields and path and isinstance(path[-1], dict):
        yield path
        return
    for name, below in fields.items():
        if name == ".":
            continue
        kind, _, value = name.partition(":")
        part = value if kind == "f" else json.loads(value) if kind == "k" else None
        if part is None:
            continue  # an item of a set has no path to look it up by
        if below:
            yield from _leaves(below, (*path, part))
        else:
            yield (*path, part)


def _at(obj: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        if isinstance(part, dict):
            items = obj if isinstance(obj, list) else []
            match = [i for i in items if isinstance(i, dict) and all(i.get(k) == v for k, v in part.items())]
            obj = match[0] if match else _MISSING
        else:
            obj = obj.get(part, _MISSING) if isinstance(obj, dict) else _MISSING
        if obj is _MISSING:
            return _MISSING
    return obj


def _text(path: tuple[Any, ...]) -> str:
    text = ""
    for part in path:
        if isinstance(part, dict):
            text += f"[{','.join(str(value) for value in part.values())}]"
        else:
            text += f".{part}" if text else str(part)
    return text
