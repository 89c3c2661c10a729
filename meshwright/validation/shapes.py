"""What the schemas of CRDs say of the environment's objects: unknown fields, and values that may not be there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from meshwright.environment import Environment
from meshwright.environment.problems import dotted, listed, nearest, shortened
from meshwright.manifests import Manifest
from meshwright.rendering.objects import Rendered
from meshwright.target import Target
from meshwright.validation import schemas
from meshwright.validation.finding import Finding, Level
from meshwright.validation.lines import Lines
from meshwright.validation.structural import Path, Unknown, fitted, wrong
from meshwright.validation.world import Thing

__all__ = ["SCHEMA", "UNKNOWN", "place", "shaped"]

UNKNOWN, SCHEMA = "unknown-field", "schema"
_SHOWN = 12
_KINDS = {
    **{"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number"},
    **{"number": "a number", "boolean": "true or false", "null": "null"},
}
# One clause about a value for each keyword of a schema: what the keyword says is put into it. The value itself is not:
# it may be a secret.
_CLAUSES: dict[str, str] = {
    "maximum": "is too large: at most {said} is allowed",
    "minimum": "is too small: at least {said} is needed",
    "multipleOf": "is no multiple of {said}",
    "maxLength": "is text of {length} characters: at most {said} are allowed",
    "minLength": "is text of {length} characters: at least {said} are needed",
    "maxItems": "is a list of {length}: at most {said} are allowed",
    "minItems": "is a list of {length}: at least {said} are needed",
    "maxProperties": "has {length} fields: at most {said} are allowed",
    "minProperties": "has {length} fields: at least {said} are needed",
    "pattern": "is text that does not match {said}",
    "format": "is {kind}, it must be of the format {said}",
    "x-kubernetes-list-type": "is in the list twice",
    "uniqueItems": "has an entry twice",
}


def shaped(target: Target, env: Environment, own: Sequence[Manifest], skipped: list[str]) -> list[Finding]:
    """The findings about `own`. Objects without a known schema, and why there is none, are named in `skipped`."""
    kinds = schemas.known(target, env, own)
    skipped += kinds.skipped
    lines = Lines(target.project.root)
    without: dict[str, int] = defaultdict(int)
    found: list[Finding] = []
    for manifest in own:
        group, kind = schemas.group(manifest.obj), str(manifest.obj["kind"])
        versions = kinds.schemas.get((group, kind))
        if versions is None:
            if group in kinds.whole:
                found.append(_no_kind(kinds, env, manifest, group))
            elif group not in kinds.lacking:
                without[f"{kind} of {group}" if group else kind] += 1
            continue
        found += _about(env, manifest, versions, lines)
    if without:
        names = sorted(without)
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        skipped.append(
            f"fields and types of {shown} ({_objects(sum(without.values()))}): no CRD here says them, an API server "
            "does: that takes --cluster"
        )
    return found


def _objects(number: int) -> str:
    return f"{number} object{'' if number == 1 else 's'}"


def _no_kind(kinds: schemas.Kinds, env: Environment, manifest: Manifest, group: str) -> Finding:
    kind = str(manifest.obj["kind"])
    there = sorted(name for of, name in kinds.schemas if of == group)
    sentence = f"Istio {env.istio.version} has no kind {kind} in {group}"
    return Finding(SCHEMA, Level.ERROR, manifest.place, Thing(manifest, env).title, sentence, _hint(kind, there))


def _about(env: Environment, manifest: Manifest, versions: schemas.Versions, lines: Lines) -> Iterator[Finding]:
    thing = Thing(manifest, env)
    version = str(manifest.obj["apiVersion"]).rpartition("/")[2]
    if version not in versions:
        sentence = f"apiVersion: {thing.kind} is not served in {manifest.obj['apiVersion']}"
        hint = _hint(version, sorted(versions))
        yield Finding(SCHEMA, Level.ERROR, place(thing, lines, ("apiVersion",)), thing.title, sentence, hint)
        return
    unknown: list[Unknown] = []
    kept = fitted(manifest.obj, versions[version], unknown)
    for each in unknown:
        sentence, hint = _unknown(each)
        yield Finding(UNKNOWN, Level.ERROR, place(thing, lines, each.path), thing.title, sentence, hint)
    for error in wrong(kept, versions[version]):
        path = tuple(error.absolute_path)
        sentence, hint = _wrong(path, error)
        yield Finding(SCHEMA, Level.ERROR, place(thing, lines, path), thing.title, sentence, hint)


def place(thing: Thing, lines: Lines, path: Path) -> str:
    """FILE:LINE of the part of an object at `path`, or of the nearest part around it."""
    if isinstance(thing.manifest, Rendered):
        return thing.at(*path[1:]) if path[:1] == ("spec",) else thing.manifest.place
    return lines.place(thing.manifest, path)


def _unknown(field: Unknown) -> tuple[str, str]:
    *around, name = field.path
    where = dotted(tuple(around)) or "the object"
    return f"{where} has no field {shortened(str(name))} ({_kind(field.value)})", _hint(str(name), field.known)


def _hint(word: str, there: Sequence[str]) -> str:
    if not there:
        return "Nothing may be there"
    near = nearest(word, there)
    shown = list(there[:_SHOWN])
    allowed = f"{', '.join(shown)}, ..." if len(there) > _SHOWN else listed(shown)
    return f"The nearest is {near}; allowed are {allowed}" if near else f"Allowed are {allowed}"


def _kind(value: Any) -> str:
    for kind, words in ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (dict, "object")):
        if isinstance(value, kind):
            return _KINDS[words]
    return "null" if value is None else "a list"


def _wrong(path: Path, error: Any) -> tuple[str, str]:
    where = dotted(path) or "the object"
    said, value, keyword = error.validator_value, error.instance, str(error.validator)
    if keyword in _OTHERS:
        clause, hint = _OTHERS[keyword](said, value)
    else:
        length = len(value) if isinstance(value, str | list | dict) else 0
        words = _CLAUSES.get(keyword, "does not hold what the schema says: {keyword}")
        clause = words.format(said=said, kind=_kind(value), length=length, keyword=keyword)
        hint = ""
    return f"{where} {clause}", hint or "The schema of the CRD says so; the API server refuses the object"


def _type(said: Any, value: Any) -> tuple[str, str]:
    kinds = listed(_KINDS.get(each, each) for each in (said if isinstance(said, list) else [said]))
    quoted = isinstance(said, str) and said == "string" and isinstance(value, bool | int | float)
    return f"is {_kind(value)}, it must be {kinds}", "Put it in quotes" if quoted else ""


def _enum(said: Any, value: Any) -> tuple[str, str]:
    allowed = [each for each in said if isinstance(each, str) and each]
    return f"is {_kind(value)} that is not allowed", _hint(str(value) if isinstance(value, str) else "", allowed)


def _required(said: Any, value: Any) -> tuple[str, str]:
    missing = [name for name in said if name not in value]
    return f"has no {listed(missing, 'and')}, which must be there", f"Fields that must be there: {listed(said, 'and')}"


def _one_of(said: Any, value: Any) -> tuple[str, str]:
    names = list(dict.fromkeys(_named(said)))
    there = [name for name in names if isinstance(value, dict) and name in value]
    if len(there) > 1:
        return f"has {listed(there, 'and')}, only one of which may be there", f"One of {listed(names)}"
    if names and not there:
        return f"has none of {listed(names)}", "One of them must be there"
    return "is none of the forms that its schema has", ""


def _named(said: Any) -> Iterator[str]:
    """The fields that alternatives require."""
    for each in said if isinstance(said, list) else [said]:
        yield from each.get("required") or ()
        for part in ("not", "anyOf", "oneOf"):
            if part in each:
                yield from _named(each[part])


def _not(said: Any, value: Any) -> tuple[str, str]:
    there = [name for name in dict.fromkeys(_named(said)) if isinstance(value, dict) and name in value]
    return (f"has {listed(there, 'and')}, which may not be there" if there else "is of a form that is excluded"), ""


_OTHERS: dict[str, Callable[[Any, Any], tuple[str, str]]] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "oneOf": _one_of,
    "anyOf": _one_of,
    "not": _not,
}
