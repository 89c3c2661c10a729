"""Fields of a live object that somebody else added or changed: who, and when (DESIGN 5).

Such fields are listed in a plan and removed only by consent. Drift names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from meshwright import managed

__all__ = ["CONTROLLERS", "LAST_APPLIED", "RESTARTED", "Foreign", "fields", "owner_of", "sentences"]

CONTROLLERS = frozenset(
    {"kube-controller-manager", "pilot-discovery", "kubelet", "k3s", "k3d", "cloud-controller-manager"}
)
"""They write what no manifest says: revisions, defaults, certificates of webhooks, addresses."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which a client-side apply keeps a copy of what it has sent."""

RESTARTED = "meshwright/restarted-for"
"""The annotation on a pod template whose change is a rolling update: a mark of our own, which no values have."""

# The API server itself labels each namespace with its name, and counts that as a field of whoever wrote a label last.
_NOBODYS = (f"f:{LAST_APPLIED}", f"f:{RESTARTED}", "f:kubernetes.io/metadata.name")

Object = dict[str, Any]


@dataclass(frozen=True)
class Foreign:
    """A field, its manager, and when that one last wrote any of its fields (RFC 3339; "" where nobody noted it).
    `value` may be a secret's."""

    path: str
    manager: str
    time: str
    value: Any = field(default=None, compare=False, repr=False)


def fields(now: Object, wanted: Object, manager: str) -> list[Foreign]:
    """The fields of `now` that are neither in `wanted` nor written by `manager` or a controller.

    Of an item of a list that somebody added whole there is only the item. Paths are written as in `difference`, but
    items by the values of their keys.
    """
    found = []
    for entry in managed.writers(now):
        who = str(entry.get("manager", ""))
        if who == manager or who in CONTROLLERS:
            continue
        for path in _leaves(entry.get("fieldsV1") or {}, ()):
            # An item of a set is a value, not a field.
            if path[0] == "f:status" or path[-1] in _NOBODYS or path[-1].startswith("v:"):
                continue
            value = managed.at(now, path)
            if managed.at(wanted, path) is managed.missing and value is not managed.missing:
                found.append(Foreign(_text(path), who, str(entry.get("time") or ""), value))
    return found


def sentences(now: Object, wanted: Object, manager: str) -> list[str]:
    """One sentence for each of these fields."""
    metadata = now["metadata"]
    name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
    return [
        f"{now['kind']} {name}: {each.path} is of {said(each.manager, each.time)}, not of these values; "
        "it is left alone"
        for each in fields(now, wanted, manager)
    ]


def said(manager: str, time: str) -> str:
    """A manager and its time, in words."""
    return f"{manager} since {time}" if time else manager


def owner_of(now: Object, path: str) -> tuple[str, str] | None:
    """Manager and time of the field at `path` (as `difference` writes paths) of the live object: of the field itself,
    else of what it is a part of, such as a list that has one owner as a whole. Of several the last one.

    None: it has no owner, because it is not there (any more) or the API server filled it in.
    """
    steps = _steps(path)
    owners = [
        (depth, str(entry.get("time") or ""), str(entry.get("manager", "")))
        for entry in managed.writers(now)
        if (depth := _depth(entry.get("fieldsV1") or {}, now, steps))
    ]
    if not owners:
        return None
    _, time, manager = max(owners)
    return manager, time


def _depth(tree: dict[str, Any], obj: Any, steps: list[str]) -> int:
    """How many of `steps` the set in `tree` leads along until it owns what is there; 0: it does not."""
    found = 0
    for depth, step in enumerate(steps, 1):
        if step.startswith("f:"):
            obj = obj.get(step[2:], managed.missing) if isinstance(obj, dict) else managed.missing
            below = tree.get(step)
        else:
            obj = _item(obj, step)
            below = next((b for element, b in tree.items() if _names(element, obj)), None)
        if obj is managed.missing or below is None:
            break
        tree = below
        if not tree or "." in tree:
            found = depth
    # A part of a map that somebody else owns is not one of its owner's: of maps, only what is below is owned.
    return found if found == len(steps) or not tree else 0


def _item(obj: Any, step: str) -> Any:
    if not isinstance(obj, list):
        return managed.missing
    if step.isdigit() and int(step) < len(obj) and not any(_name(item) == step for item in obj):
        return obj[int(step)]
    return next((item for item in obj if _name(item) == step), managed.missing)


def _name(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else None


def _names(element: str, item: Any) -> bool:
    return element != "." and managed.at([item], (element,)) is not managed.missing


def _steps(path: str) -> list[str]:
    """The parts of a path: `f:` and the name of a field, or what stands in brackets."""
    steps: list[str] = []
    rest = path.removesuffix(" (order)")
    while rest:
        if rest[0] == "[":
            inside, _, rest = rest[1:].partition("]")
            steps.append(inside)
        elif rest[0] == '"':
            inside, _, rest = rest[1:].partition('"')
            steps.append(f"f:{inside}")
        else:
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            steps.append(f"f:{rest[:end]}")
            rest = rest[end:]
        rest = rest.removeprefix(".")
    return steps


def _leaves(tree: dict[str, Any], path: managed.Path) -> Iterator[managed.Path]:
    """The paths that an entry owns; of an item that it added whole, only the item's own."""
    if "." in tree and path and path[-1].startswith("k:"):
        yield path
        return
    for element, below in tree.items():
        if element == ".":
            continue
        if below:
            yield from _leaves(below, (*path, element))
        else:
            yield (*path, element)


def _text(path: managed.Path) -> str:
    text = ""
    for element in path:
        kind, _, name = element.partition(":")
        if kind == "f":
            name = f'"{name}"' if "." in name or "/" in name else name
            text += f".{name}" if text else name
        else:
            text += f"[{','.join(str(value) for value in json.loads(name).values())}]"
    return text
