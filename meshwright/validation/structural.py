"""Structural schemas of CRDs: what an API server does with an object of theirs before any rule in CEL is asked.

It drops null where that is no value, puts defaults in, finds unknown fields (pkg/apiserver/schema of
k8s.io/apiextensions-apiserver: pruning and defaulting), and only then checks the rest as JSON Schema does. The rest is
jsonschema's; unknown fields are looked for here, since a schema that is closed where `properties` are cannot say what
x-kubernetes-preserve-unknown-fields and embedded resources leave open.
"""

from __future__ import annotations

import base64
import binascii
import copy
import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft4Validator, FormatChecker, SchemaError, ValidationError, validators

__all__ = ["NotASchema", "Path", "Schema", "Unknown", "fitted", "translated", "wrong"]

Schema = dict[str, Any]
Path = tuple[str | int, ...]

_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_EITHER, _LIST = "x-kubernetes-int-or-string", "x-kubernetes-list-type"
_KEYS = "x-kubernetes-list-map-keys"
_KEPT = frozenset(
    {
        *("type", "format", "enum", "required", "default", "nullable", "pattern", "multipleOf", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
        *("minItems", "maxItems", "minProperties", "maxProperties", _PRESERVE, _EMBEDDED, _LIST, _KEYS),
    }
)
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
# ObjectMeta (Kubernetes API reference): an API server checks it in every object.
_METADATA: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), _TEXT),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TEXT),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _WHOLE),
        **dict.fromkeys(("labels", "annotations"), _TEXTS),
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {"type": "array", "items": {"type": "object", _PRESERVE: True}},
        "managedFields": {"type": "array", "items": {"type": "object", _PRESERVE: True}},
    },
}
# Longer texts are left to the API server: Python's patterns, unlike RE2, take more than linear time.
_LONGEST = 4096
_DOLLAR = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


class NotASchema(Exception):
    """Somebody's CRD has something else in place of a schema."""


@dataclass(frozen=True)
class Unknown:
    """A field that the schema does not have: where it is, its value, and the fields that may be there."""

    path: Path
    value: Any
    known: tuple[str, ...]


def translated(schema: Mapping[str, Any]) -> Schema:
    """A CRD's openAPIV3Schema as the rest of this module takes it: JSON Schema, draft 4, without words for people and
    rules in CEL, with what every object has. Raises NotASchema."""
    found = _whole(_translated(schema))
    try:
        Draft4Validator.check_schema(found)
    except SchemaError as error:
        raise NotASchema(error.message) from None
    return found


def _translated(schema: Any) -> Schema:
    if not isinstance(schema, Mapping):
        return {}
    # `required: []`, which asks for nothing, is none in draft 4.
    found: Schema = {key: value for key, value in schema.items() if key in _KEPT and (key, value) != ("required", [])}
    if isinstance(schema.get("properties"), Mapping):
        found["properties"] = {str(name): _translated(below) for name, below in schema["properties"].items()}
    for part in ("items", "not"):
        if part in schema:
            found[part] = _translated(schema[part])
    if "additionalProperties" in schema:
        inner = schema["additionalProperties"]
        found["additionalProperties"] = inner if isinstance(inner, bool) else _translated(inner)
    either = bool(schema.get(_EITHER))
    for part in ("allOf", "anyOf", "oneOf"):
        # With int-or-string, the types are said once more in anyOf.
        if isinstance(schema.get(part), list) and not (either and part == "anyOf"):
            found[part] = [_translated(below) for below in schema[part]]
    if either:
        found["type"] = ["integer", "string"]
    if schema.get("nullable"):
        types = found.get("type")
        if types is not None:
            found["type"] = [*(types if isinstance(types, list) else [types]), "null"]
        if isinstance(found.get("enum"), list) and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
    return _whole(found) if schema.get(_EMBEDDED) else found


def _whole(schema: Schema) -> Schema:
    """The schema of a whole object."""
    properties = schema.get("properties") or {}
    named = (properties.get("metadata") or {}).get("properties") or {}
    metadata = {**_METADATA, "properties": {**_METADATA["properties"], **named}}
    return {**schema, "properties": {"apiVersion": _TEXT, "kind": _TEXT, **properties, "metadata": metadata}}


def fitted(value: Any, schema: Schema | None, unknown: list[Unknown], path: Path = (), *, loose: bool = False) -> Any:
    """`value` as an API server keeps it: with the defaults, without null where that is no value, and without the fields
    that its schema does not know, which are put into `unknown`. What is of another type is left as it is."""
    if isinstance(value, dict):
        return _mapping(value, schema, unknown, path, loose)
    if isinstance(value, list) and schema is not None and isinstance(schema.get("items"), dict):
        items, open_ = schema["items"], loose or bool(schema.get(_PRESERVE))
        return [fitted(_set(each, items), items, unknown, (*path, at), loose=open_) for at, each in enumerate(value)]
    return value


def _mapping(value: dict[str, Any], schema: Schema | None, unknown: list[Unknown], path: Path, loose: bool) -> Any:
    if schema is not None and "object" not in schema.get("type", "object"):
        return value
    properties: dict[str, Schema] = (schema or {}).get("properties") or {}
    others = (schema or {}).get("additionalProperties")
    keep = loose or bool((schema or {}).get(_PRESERVE))
    found: dict[str, Any] = {}
    for key, inner in value.items():
        below: Schema | bool | None = properties.get(key, others)
        if below is None or below is False:
            if keep:
                found[key] = inner
            else:
                unknown.append(Unknown((*path, key), inner, tuple(properties)))
            continue
        # `additionalProperties: true` says nothing of what is below: scalars, to pruning.
        inside = below if isinstance(below, dict) else None
        inner = _set(inner, inside)
        if inner is None and inside is not None and not inside.get("nullable"):
            continue
        found[key] = fitted(inner, inside, unknown, (*path, key))
    for key, below in properties.items():
        if key not in found and "default" in below:
            found[key] = fitted(copy.deepcopy(below["default"]), below, [])
    return found


def _set(value: Any, schema: Schema | None) -> Any:
    if value is None and schema is not None and not schema.get("nullable") and "default" in schema:
        return copy.deepcopy(schema["default"])
    return value


def wrong(value: Any, schema: Schema) -> Iterator[ValidationError]:
    """Every place of a `fitted` value where the schema does not hold; of several at one place, a wrong type alone."""
    errors = list(_Validator(schema, format_checker=_FORMATS).iter_errors(value))
    typed = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    for error in errors:
        if error.validator == "type" or tuple(error.absolute_path) not in typed:
            yield error


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and len(value) <= _LONGEST and (found := _compiled(pattern)) and not found.search(value):
        yield ValidationError("it does not match")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """A pattern as RE2 reads it; None where Python cannot read it."""
    # In RE2 `$` is the very end; in Python also what is before a last line break.
    text = _DOLLAR.sub(lambda match: r"\Z" if match[0] == "$" else match[0], pattern)
    try:
        return re.compile(text, re.ASCII)
    except re.error:
        return None


def _unique(_validator: Any, kind: str, value: Any, schema: Schema) -> Iterator[ValidationError]:
    """Lists that are sets or maps have no entry, or no key, twice."""
    keys = schema.get(_KEYS)
    if not isinstance(value, list) or kind not in ("set", "map") or (kind == "map" and not isinstance(keys, list)):
        return
    seen: set[str] = set()
    for at, each in enumerate(value):
        if kind == "map" and not isinstance(each, dict):
            continue
        part = each if kind == "set" else [each.get(key) for key in keys or ()]
        if repr(part) in seen:
            yield ValidationError("it is there twice", path=[at])
        seen.add(repr(part))


_Validator: Any = validators.extend(Draft4Validator, {"pattern": _pattern, _LIST: _unique})  # type: ignore[no-untyped-call]
_FORMATS = FormatChecker(formats=())


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@_FORMATS.checks("int32")
def _int32(value: object) -> bool:
    return not _is_number(value) or -(2**31) <= int(str(value)) < 2**31


@_FORMATS.checks("int64")
def _int64(value: object) -> bool:
    return not _is_number(value) or -(2**63) <= int(str(value)) < 2**63


@_FORMATS.checks("ipv4", raises=ValueError)
def _ipv4(value: object) -> bool:
    return not isinstance(value, str) or bool(ipaddress.IPv4Address(value))


@_FORMATS.checks("ipv6", raises=ValueError)
def _ipv6(value: object) -> bool:
    return not isinstance(value, str) or bool(ipaddress.IPv6Address(value))


@_FORMATS.checks("byte", raises=(binascii.Error, ValueError))
def _byte(value: object) -> bool:
    return not isinstance(value, str) or base64.b64decode(value, validate=True) is not None
