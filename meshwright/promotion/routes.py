"""Routes in words: where requests go with which weights, timeouts and retries, before and after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ROUTES", "Said", "routes"]

ROUTES: dict[str, tuple[str, ...]] = {
    "virtual_services": ("http", "tls", "tcp"),
    "gateway_api.http_routes": ("rules",),
    "gateway_api.grpc_routes": ("rules",),
    "gateway_api.tls_routes": ("rules",),
}
"""Which kinds have routes, and under which keys."""

_WIDEST = 100
_TARGETS = ("route", "backendRefs")
_INSTEAD = ("redirect", "directResponse", "delegate")
_MATCHES = ("match", "matches")
Fields = Callable[[Mapping[str, Any], Mapping[str, Any]], Iterable["Said"]]


@dataclass(frozen=True)
class Said:
    """What differs, before and after; None: not there."""

    what: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.what}: {_text(self.after)}" if self.after is not None else self.what
        if isinstance(self.before, list) and isinstance(self.after, list):
            gone = [f"- {_text(each)}" for each in self.before if each not in self.after]
            came = [f"+ {_text(each)}" for each in self.after if each not in self.before]
            if gone or came:
                return f"{self.what}: {', '.join([*came, *gone])}"
        return f"{self.what}: {_text(self.before)} -> {'(gone)' if self.after is None else _text(self.after)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        text = ", ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def routes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], part: str, fields: Fields | None = None
) -> Iterator[Said]:
    """What differs between two lists of routes of one object. A route is the same one if it has the same name, or else
    the same conditions; `fields` says what differs of two mappings in the rest."""
    one, other = _named(before), _named(after)
    for name, new in other.items():
        if name not in one:
            yield Said(f"new route {name}", None, _where(new))
        elif one[name] != new:
            yield from _changed(name, one[name], new, fields)
    for name, old in one.items():
        if name not in other:
            yield Said(f"removed route {name}", _where(old), None)
    kept = [[name for name in names if name in one and name in other] for names in (one, other)]
    if kept[0] != kept[1]:
        yield Said(f"order of the routes ({part})", " then ".join(kept[0]), " then ".join(kept[1]))


def _named(found: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    named: dict[str, Mapping[str, Any]] = {}
    for route in found:
        name = str(route.get("name") or _conditions(route))
        number = sum(each == name or each.startswith(f"{name} #") for each in named)
        named[f"{name} #{number + 1}" if number else name] = route
    return named


def _conditions(route: Mapping[str, Any]) -> str:
    matches = next((route[key] for key in _MATCHES if route.get(key)), None)
    if not matches:
        return "for all"
    return f"for {' or '.join(_condition(each) for each in matches)}"


def _condition(match: Mapping[str, Any]) -> str:
    parts = []
    for key, value in match.items():
        if key in ("uri", "path") and isinstance(value, dict):
            parts.append(_of_path(value))
        elif key != "name":
            parts.append(f"{key} {json.dumps(value, ensure_ascii=False, sort_keys=True)}")
    return " and ".join(parts) or "all"


def _of_path(value: Mapping[str, Any]) -> str:
    if "value" in value:  # as the Gateway API has it
        how = {"Exact": "", "RegularExpression": " (regex)"}.get(str(value.get("type")), "*")
        return f"{value['value']}{how}"
    [(how, text), *_] = value.items() or [("", "")]
    return f"{text}{ {'prefix': '*', 'regex': ' (regex)'}.get(how, '') }"


def _where(route: Mapping[str, Any]) -> str:
    """Where a route leads, in short."""
    shares = _shares(route)
    if shares:
        return ", ".join(f"{name} {share}" if len(shares) > 1 else name for name, share in shares.items())
    return next(
        (f"{key} {_text(route[key])}" for key in ("redirect", "directResponse", "delegate") if key in route), ""
    )


def _shares(route: Mapping[str, Any]) -> dict[str, str]:
    """The share of each destination, in percent of all."""
    targets = next((route[key] for key in _TARGETS if route.get(key)), None) or []
    # One without a weight has weight 1 in the Gateway API; in Istio it has none, unless it is alone.
    unsaid = 1 if "backendRefs" in route or len(targets) == 1 else 0
    weights = [unsaid if each.get("weight") is None else each["weight"] for each in targets]
    whole = sum(weights)
    found: dict[str, float] = {}
    for each, weight in zip(targets, weights, strict=True):
        name = _destination(each)
        found[name] = found.get(name, 0) + (100 * weight / whole if whole else 0)
    return {name: f"{share:.4g}%" for name, share in found.items()}


def _destination(target: Mapping[str, Any]) -> str:
    there = target.get("destination") or target
    port = there.get("port")
    number = port.get("number") if isinstance(port, dict) else port
    name = str(there.get("host") or there.get("name") or "?")
    if there.get("namespace"):
        name = f"{there['namespace']}/{name}"
    return name + (f" {there['subset']}" if there.get("subset") else "") + (f":{number}" if number else "")


def _changed(name: str, old: Mapping[str, Any], new: Mapping[str, Any], fields: Fields | None) -> Iterator[Said]:
    before, after = _shares(old), _shares(new)
    for target in dict.fromkeys((*before, *after)):
        one, other = before.get(target), after.get(target)
        if one != other:
            yield Said(f"route {name}: weight of {target}", one or "0%", other or "0%")
    rest = [_rest(each) for each in (old, new)]
    if fields is not None and rest[0] != rest[1]:
        for each in fields(*rest):
            yield Said(f"route {name}: {each.what}", each.before, each.after)


def _rest(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route without its conditions and weights; of its destinations what else they have."""
    kept = {key: value for key, value in route.items() if key not in (*_TARGETS, "name")}
    extra = {
        _destination(each): rest
        for key in _TARGETS
        for each in route.get(key) or ()
        if (rest := {k: v for k, v in each.items() if k in ("headers", "filters")})
    }
    return kept | ({"destinations": extra} if extra else {})
