"""Config dumps: what an Envoy holds, what its istiod makes for it, and where the two differ.

Both have the form of Envoy's admin interface (envoy.admin.v3.ConfigDump), but istiod writes its keys in camelCase and
Envoy in snake_case, the keys of typed configuration too. So keys are compared without their underscores and case.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from meshwright.errors import Unreachable

__all__ = ["Dump", "difference", "parsed"]

Key = tuple[str, str]

# The list in each part of a dump, where the resource is in an entry of it, and what the resource is called.
_PARTS = {
    "ClustersConfigDump": ("dynamicactiveclusters", "Cluster"),
    "ListenersConfigDump": ("dynamiclisteners", "Listener"),
    "RoutesConfigDump": ("dynamicrouteconfigs", "RouteConfiguration"),
}
_HIDDEN = "[redacted]"
_PRECISION = 1e-6


@dataclass(frozen=True)
class Dump:
    """The clusters, listeners and routes of a proxy that came from its istiod, by type and name. `version` is the
    version of the push that istiod made them at; `errors` says why Envoy refused one, by type and name."""

    resources: dict[Key, Any]
    version: str
    errors: dict[Key, str]

    @property
    def digest(self) -> str:
        """The digest of the resources. Only those of one istiod can be compared."""
        text = json.dumps([[*key, self.resources[key]] for key in sorted(self.resources)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def parsed(body: bytes, whose: str) -> Dump:
    """A config dump. Raises Unreachable: what `whose` names has answered with something else."""
    try:
        parts = json.loads(body)["configs"]
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"{whose} does not answer with a config dump") from None
    resources: dict[Key, Any] = {}
    errors: dict[Key, str] = {}
    version = ""
    for part in parts:
        entries, kind = _PARTS.get(part["@type"].rpartition(".")[2], ("", ""))
        values = _flat(part)
        if kind in ("Cluster", "Listener"):
            version = max(version, values.get("versioninfo") or "", key=len)
        for entry in values.get(entries) or []:
            name, resource, error = _entry(_flat(entry), kind)
            if resource is not None:
                resources[kind, name] = resource
            if error:
                errors[kind, name] = error
    return Dump(resources, version, errors)


def _entry(entry: dict[str, Any], kind: str) -> tuple[str, Any, str]:
    """Name and content of what is in use, and why a newer one was refused."""
    error = str(_flat(entry.get("errorstate") or {}).get("details") or "")
    if kind == "Listener":
        # One that is only warming or draining is not in use.
        active = _flat(entry.get("activestate") or {})
        return entry.get("name", ""), active.get("listener"), error
    resource = entry.get("cluster" if kind == "Cluster" else "routeconfig")
    return (resource or {}).get("name", ""), resource, error


@lru_cache(maxsize=4096)
def _plain(key: str) -> str:
    return key.replace("_", "").lower()


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    return {_plain(key): value for key, value in values.items()}


def difference(made: Dump, held: Dump) -> str:
    """Where what an Envoy holds is not what its istiod made, in words; "" when it is the same."""
    for key in sorted(made.resources.keys() | held.resources.keys()):
        what = f"{key[0]} {key[1]}"
        if key in held.errors:
            return f"it refused {what}: {held.errors[key]}"
        if key not in held.resources:
            return f"it has no {what}"
        if key not in made.resources:
            return f"it still has {what}"
        path = next(_differing(made.resources[key], held.resources[key], ""), None)
        if path is not None:
            return f"its {what} is another one{' at ' if path else ''}{path.lstrip('.')}"
    return ""


def _differing(made: Any, held: Any, path: str) -> Iterator[str]:
    """The paths at which two JSON values differ."""
    if isinstance(made, dict) and isinstance(held, dict):
        one, other = _flat(made), _flat(held)
        for key in one.keys() | other.keys():
            if key in one and key in other:
                yield from _differing(one[key], other[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(made, list) and isinstance(held, list) and len(made) == len(held):
        for index, (one_item, other_item) in enumerate(zip(made, held, strict=True)):
            yield from _differing(one_item, other_item, f"{path}[{index}]")
    elif not _same(made, held):
        yield path


def _same(made: Any, held: Any) -> bool:
    if isinstance(made, float) or isinstance(held, float):
        # The two write 32-bit numbers with different precision.
        numbers = isinstance(made, int | float) and isinstance(held, int | float)
        return numbers and math.isclose(made, held, rel_tol=_PRECISION)
    return bool(made == held) or held == _HIDDEN
