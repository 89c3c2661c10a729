"""Routes that are never taken: an earlier one takes all of their requests, as far as that is certain.

Two thousand routes are no rare thing, so a match is not compared with all earlier ones. Each is kept under one of its
conditions, its anchor; one that includes another has an anchor among the other's own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from meshwright.matching import covers, dig
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import World

__all__ = ["RULES"]

Match = dict[str, Any]

_NO_CONDITIONS = ("name", "statPrefix", "ignoreUriCase")
_OF_NAMES = ("headers", "queryParams", "sourceLabels")
_LISTED = {"tls": "sniHosts", "tcp": ""}


def _shadowed(world: World) -> Iterator[Broken]:
    hint = "The first route that matches is taken: put this one before it"
    for thing in world.of("VirtualService"):
        for kind in ("http", "tls", "tcp"):
            known: dict[str, list[tuple[int, Match]]] = defaultdict(list)
            for number, route in enumerate(thing.all(kind)):
                matches = dig(route, "match") or [{}]
                if not isinstance(matches, list) or not all(isinstance(match, dict) for match in matches):
                    continue
                matches = [_without_empty(match) for match in matches]
                over = [_over(known, match, kind) for match in matches]
                if None not in over:
                    sentence = f"{kind}[{number}] is never taken: {kind}[{over[0]}] takes all of its requests"
                    yield broken(thing, sentence, kind, number, hint=hint)
                for match in matches:
                    known[_anchor(match)].append((number, match))


def _without_empty(match: Match) -> Match:
    """The conditions of a match. A path begins with a slash, so that prefix is none."""
    found = {key: value for key, value in match.items() if value not in ({}, [], None)}
    return {k: v for k, v in found.items() if not (k == "uri" and v in ({"prefix": "/"}, {"regex": ".*"}))}


def _over(known: dict[str, list[tuple[int, Match]]], match: Match, kind: str) -> int | None:
    """The first route that takes all that `match` does."""
    found = [
        number
        for anchor in _anchors(match)
        for number, other in known.get(anchor, ())
        if _includes(other, match, _LISTED.get(kind, ""))
    ]
    return min(found, default=None)


def _anchor(match: Match) -> str:
    for key, condition in sorted(match.items()):
        if key in _NO_CONDITIONS:
            continue
        if key == "uri" and isinstance(dig(condition, "prefix"), str):
            return f"uri/{condition['prefix']}"
        if key in _OF_NAMES and isinstance(condition, dict) and condition:
            name = min(condition)
            # A prefix or mere presence includes values of many texts: the name is all they share.
            loose = dig(condition, name) == {} or dig(condition, name, "prefix") is not None
            return f"{key}/{name}" if loose else f"{key}/{name}={json.dumps(condition[name], sort_keys=True)}"
        if key in ("sniHosts", "gateways", "destinationSubnets") or dig(condition, "prefix") is not None:
            return f"{key}/"
        return f"{key}={json.dumps(condition, sort_keys=True)}"
    return ""


def _anchors(match: Match) -> Iterator[str]:
    """The anchors that a match may have which includes this one."""
    yield ""
    for key, condition in match.items():
        if key in _NO_CONDITIONS:
            continue
        yield f"{key}/"
        yield f"{key}={json.dumps(condition, sort_keys=True)}"
        if key == "uri":
            text = dig(condition, "prefix") or dig(condition, "exact")
            if isinstance(text, str):
                yield from (f"uri/{text[:length]}" for length in range(1, len(text) + 1))
        elif key in _OF_NAMES and isinstance(condition, dict):
            for name, one in condition.items():
                yield f"{key}/{name}"
                yield f"{key}/{name}={json.dumps(one, sort_keys=True)}"


def _includes(wide: Match, narrow: Match, listed: str) -> bool:
    """Whether every request that `narrow` matches is matched by `wide`, as far as that is certain."""
    for key, condition in wide.items():
        if key in _NO_CONDITIONS:
            continue
        other = narrow.get(key)
        if key == listed and isinstance(condition, list) and isinstance(other, list):
            if not all(any(covers(str(one), str(two)) for one in condition) for two in other):
                return False
        elif key in _OF_NAMES and isinstance(condition, dict) and isinstance(other, dict):
            if any(name not in other or not _text_includes(one, other[name]) for name, one in condition.items()):
                return False
        elif not _text_includes(condition, other):
            return False
    # Only paths are compared without their case.
    return "uri" not in wide or bool(wide.get("ignoreUriCase")) >= bool(narrow.get("ignoreUriCase"))


def _text_includes(wide: Any, narrow: Any) -> bool:
    if wide == narrow or (wide == {} and isinstance(narrow, dict)):
        return True
    prefix = dig(wide, "prefix")
    if isinstance(prefix, str) and isinstance(narrow, dict):
        return any(isinstance(narrow.get(key), str) and narrow[key].startswith(prefix) for key in ("exact", "prefix"))
    return False


RULES = (Rule("shadowed", "Every route can be taken", _shadowed, Level.ERROR),)
