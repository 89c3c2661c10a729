"""What an apply would make of a live object, worked out here: for credentials that may look and not write.

An API server demands the right to write for a dry run too. So for them the wanted fields are laid over the live ones by
the rules of server-side apply (Kubernetes API reference, "Server-Side Apply", merge strategy): which lists are merged
and by which keys is read from the object's own managedFields. What the server would default, mutate or refuse is not
known; `meshwright.objects.comparing` says so.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from meshwright import managed
from meshwright.objects.names import Object

__all__ = ["predicted"]

Fields = dict[str, Any]

# Where the API server writes quantities in their shortest form.
_QUANTITIES = ("requests", "limits", "hard", "capacity")
_UNITS = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_UNITS |= {"Ki": str(2**10), "Mi": str(2**20), "Gi": str(2**30), "Ti": str(2**40)}


def predicted(now: Object, wanted: Object, manager: str) -> Object:
    """The live object `now` after an apply of `wanted` by `manager`, which gives up what it alone owns and no longer
    wants."""
    mine: Fields = {}
    others: Fields = {}
    for entry in managed.entries(now):
        ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        _join(mine if ours else others, entry.get("fieldsV1") or {})
    every: Fields = {}
    for fields in (mine, others):
        _join(every, fields)
    return dict(_laid(_without(now, wanted, mine, others), wanted, every, False))


def _join(into: Fields, fields: Fields) -> None:
    for name, below in fields.items():
        _join(into.setdefault(name, {}), below)


def _keys(fields: Fields) -> list[str]:
    """The names of the fields by which a list is merged; none for one that is replaced whole."""
    return next((list(json.loads(name[2:])) for name in fields if name.startswith("k:")), [])


def _laid(old: Any, new: Any, fields: Fields, quantity: bool) -> Any:
    if new is None or (new == "" and old is None):  # which the API server leaves out
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {
            key: _laid(old.get(key), value, fields.get(f"f:{key}", {}), quantity or key in _QUANTITIES)
            for key, value in new.items()
        }
    if isinstance(old, list) and isinstance(new, list):
        if keys := _keys(fields):
            made = list(old)
            for item in new:
                at = next((i for i, there in enumerate(made) if _matches(there, item, keys)), None)
                if at is None:
                    made.append(item)
                else:
                    made[at] = _laid(made[at], item, _below(fields, made[at]), quantity)
            return made
        if any(name.startswith("v:") for name in fields):
            return old + [item for item in new if item not in old]
        if len(old) == len(new):
            # Replaced whole; what the live items have beside is taken for defaults.
            return [_laid(*pair, {}, quantity) for pair in zip(old, new, strict=True)]
    return old if quantity and _amount(old) is not None and _amount(old) == _amount(new) else new


def _matches(there: Any, item: Any, keys: list[str]) -> bool:
    """Whether an item is the one that is there; a key that it does not say has the default of the API."""
    return (
        isinstance(there, dict)
        and isinstance(item, dict)
        and all(there.get(k) == item.get(k, there.get(k)) for k in keys)
    )


def _below(fields: Fields, item: Any) -> Fields:
    """The fields of an item of a list: those of any entry that names it."""
    for name, below in fields.items():
        if name.startswith("k:") and all(item.get(k) == v for k, v in json.loads(name[2:]).items()):
            return dict(below)
    return {}


def _without(now: Any, wanted: Any, mine: Fields, others: Fields) -> Any:
    """`now` without the fields that are ours alone and no longer wanted."""
    if isinstance(now, dict):
        want = wanted if isinstance(wanted, dict) else {}
        rest = dict(now)
        for name, below in mine.items():
            key = name.removeprefix("f:")
            if not name.startswith("f:") or key not in rest:
                continue
            if key not in want and name not in others:
                del rest[key]
            else:
                rest[key] = _without(rest[key], want.get(key), below, others.get(name, {}))
        return rest
    keys = _keys(mine)
    if isinstance(now, list) and keys:
        wishes = wanted if isinstance(wanted, list) else []
        items: list[Any] = []
        for item in now:
            own, other = _below(mine, item), _below(others, item)
            there = next((each for each in wishes if _matches(item, each, keys)), None)
            if there is not None or not own or other:
                items.append(_without(item, there, own, other) if own else item)
        return items
    return now


def _amount(value: Any) -> Decimal | None:
    """A quantity as a number."""
    text = str(value)
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if text.endswith(unit)), "")
    try:
        return Decimal(text.removesuffix(unit)) * Decimal(_UNITS.get(unit, "1"))
    except InvalidOperation:
        return None
