"""Values for the structural schemas of CRDs (openAPIV3Schema), as hypothesis strategies, and what a value covers.

A strategy can be told a field that must be in the value. It knows a schema's types, limits, patterns and choices, and
the usual words of Istio's CEL rules; what it cannot know the API server says.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
Path = tuple[str, ...]
"""The way to a field: names of properties, "[]" for the items of a list, "*" for the values of a map."""

_ONE_OF = re.compile(r"has\(self\.(\w+)\)\s*\?\s*1\s*:\s*0")
# Texts that one format or another takes for something else: none of them may come back as that. (Not 1e3: PyYAML writes
# it without quotes, and to kubectl, as to us, it is a number then.)
_TEXTS = (
    *("yes", "null", "~", "0644", "1_000", "12:30", "2026-01-01", "a: b", "- a", "#", "'", '"', " a ", "{}"),
    *("two\nlines", "ends\n", "tab\there", "\u2028", "\xe9", "\U0001f600", "&a", "*a", "!b", "%c", "@d", "`"),
)
_DURATIONS = ("1ms", "0.5s", "10s", "1h30m", "86400s")
_URLS = ("https://example.com/a?b=c", "http://example.com:8080")
_NAMES = ("a", "example", "x-1", "Team", "key.example.com")
_MOST = 3
_ONE_IN_FOUR = st.integers(0, 3)

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.sampled_from((*_TEXTS, "plain")) | st.just(0.5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=6,
)


def leaves(schema: Schema, path: Path = ()) -> Iterator[Path]:
    """The fields of a schema that hold no further ones."""
    below = list(_below(schema))
    if not below:
        yield path
    for name, inner in below:
        yield from leaves(inner, (*path, name))


def covered(schema: Schema, value: Any, path: Path = ()) -> Iterator[Path]:
    """The leaves that a value sets. A list or map with nothing in it sets none; nor does null."""
    if value is None:
        return
    below = dict(_below(schema))
    if not below:
        yield path
    elif "[]" in below:
        for item in value:
            yield from covered(below["[]"], item, (*path, "[]"))
    elif "*" in below:
        for item in value.values():
            yield from covered(below["*"], item, (*path, "*"))
    else:
        for name, inner in below.items():
            if name in value:
                yield from covered(inner, value[name], (*path, name))


def _below(schema: Schema) -> Iterator[tuple[str, Schema]]:
    if schema.get("type") == "array":
        yield "[]", schema["items"]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield "*", schema["additionalProperties"]
    else:
        yield from (schema.get("properties") or {}).items()


@st.composite
def values(draw: st.DrawFn, schema: Schema, force: Path | None = None) -> Any:
    """A value with the field `force` in it, and now and then one more that need not be there."""
    if schema.get("nullable") and force is None and draw(_ONE_IN_FOUR) == 0:
        return None
    kind = schema.get("type")
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return draw(st.dictionaries(st.sampled_from(_NAMES), anything, min_size=1, max_size=3))
    if kind == "array":
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", _MOST), _MOST)
        count = max(least, 1 if force else 0, min(most, draw(_ONE_IN_FOUR)))
        return [draw(values(schema["items"], force[1:] if force and index == 0 else None)) for index in range(count)]
    if kind == "object":
        return draw(_mappings(schema, force))
    return draw(_scalars(schema))


@st.composite
def _mappings(draw: st.DrawFn, schema: Schema, force: Path | None) -> dict[str, Any]:
    if isinstance(schema.get("additionalProperties"), dict):
        least = max(schema.get("minProperties", 0), 1 if force else 0)
        keys = draw(st.lists(_keys(schema), min_size=least, max_size=max(least, 2), unique=True))
        return {
            k: draw(values(schema["additionalProperties"], force[1:] if force and k == keys[0] else None)) for k in keys
        }
    properties: dict[str, Schema] = schema.get("properties") or {}
    forced = set(force[:1]) if force else set()
    wanted = set(schema.get("required") or ()) | forced
    if properties and draw(_ONE_IN_FOUR) < 2:
        wanted.add(draw(st.sampled_from(sorted(properties))))
    for names in _choices(schema):
        among = sorted(names & wanted - forced)
        if names & forced:
            wanted -= set(among)
        elif len(among) > 1:
            wanted -= set(among) - {draw(st.sampled_from(among))}
    return {
        name: draw(values(properties[name], force[1:] if force and name in forced else None))
        for name in properties
        if name in wanted
    }


def _choices(schema: Schema) -> Iterator[set[str]]:
    """The sets of properties of which there may be one."""
    for part in (schema, *(schema.get("allOf") or ())):
        names = {name for each in part.get("oneOf") or () for name in each.get("required") or ()}
        if names:
            yield names
    for text in _rules(schema):
        found = set(_ONE_OF.findall(text))
        if found:
            yield found
        if pair := re.fullmatch(r"has\(self\.(\w+)\) != has\(self\.(\w+)\)", text):
            yield set(pair.groups())


def _rules(schema: Schema) -> list[str]:
    return [rule["rule"] for rule in schema.get("x-kubernetes-validations") or ()]


def _keys(schema: Schema) -> st.SearchStrategy[str]:
    if any("int(key)" in rule for rule in _rules(schema)):
        return st.sampled_from(("80", "8080", "443"))
    return st.sampled_from(("a", "app", "version", "x-1"))


def _scalars(schema: Schema) -> st.SearchStrategy[Any]:
    rules = " ".join(_rules(schema))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "boolean":
        return st.booleans()
    if schema["type"] == "integer":
        low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
        if "65535" in rules:
            low, high = 1, 65535
        return st.integers(int(low), int(high))
    if schema["type"] == "number":
        return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
    if rules == "self.size() == 0":
        return st.just("")
    if among := re.fullmatch(r"self in (\[.*\])", rules):
        return st.sampled_from(json.loads(among[1]))
    if "duration(" in rules:
        return st.sampled_from(_DURATIONS)
    if "url(self)" in rules:
        return st.sampled_from(_URLS)
    if "pattern" in schema:
        return _matching(schema["pattern"])
    if schema.get("format") == "byte":
        return st.binary(min_size=1, max_size=20).map(lambda raw: base64.b64encode(raw).decode())
    longest = schema.get("maxLength", 40)
    least = schema.get("minLength", 0)
    plain = st.sampled_from(("example.com", "a", "*", "10.0.0.1", "ISTIO_MUTUAL", "STATIC", "", "/etc/a"))
    return (st.sampled_from(_TEXTS) | plain).filter(lambda text: least <= len(text) <= longest)


@functools.cache
def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True).map(lambda text: text.strip("\n"))


def canonical(value: Any) -> str:
    """One text for one value: true is not 1, the order of keys does not matter, and 1.0 is 1 as in JSON."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
