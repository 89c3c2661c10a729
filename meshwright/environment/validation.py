"""Data into an `Environment`, and pydantic's errors into sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from meshwright.environment.dnsnames import meant
from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, Problem, dotted, nearest, shortened
from meshwright.environment.scalars import resolve
from meshwright.environment.tree import Node, Place, find, plain
from meshwright.environment.types import Type, choices, described, fits, key_type, keys, of_secret, takes, type_at
from meshwright.environment.whole import model_for

__all__ = ["validate"]


def validate(tree: Node, name: str) -> tuple[Environment | None, list[Problem]]:
    """The environment `name` with the values of `tree`; None where they break the model, with every place that does."""
    values = plain(tree)
    if "name" in values:
        # The model has it, but from the file's own name.
        del values["name"]
        problems = [_unknown(tree, values, ("name",))]
    else:
        problems = []
    try:
        # By alias only: a file has one way to spell a key.
        env = model_for(values).model_validate({**values, "name": name}, by_alias=True, by_name=False)
    except ValidationError as error:
        return None, problems + _problems(tree, values, error.errors(include_url=False))
    return (None, problems) if problems else (env, [])


def _problems(tree: Node, values: Any, details: Iterable[ErrorDetails]) -> list[Problem]:
    found: dict[str, Problem] = {}
    meant = set()
    for detail in details:
        problem = _problem(tree, values, detail)
        # One value that fits no branch of a union is several errors to pydantic and one to a person.
        found.setdefault(problem.path, problem)
        if detail["type"] == "extra_forbidden":
            path = _split(detail["loc"], values)[0]
            meant.add(dotted((*path[:-1], _nearest(path, values) or "")))
    # A key that is misspelt is not missing as well.
    return [problem for path, problem in found.items() if path not in meant]


def _nearest(path: Path, values: Any) -> str | None:
    return nearest(str(path[-1]), keys(type_at(path[:-1], values)))


def _problem(tree: Node, values: Any, detail: ErrorDetails) -> Problem:
    path, rest = _split(detail["loc"], values)
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(tree, values, path)
        case "missing":
            return _missing(tree, values, (*path, *rest[-1:]))
        case "union_tag_not_found":
            given = find(tree, path).content
            meant = [(*path, key) for key in (given if isinstance(given, dict) else ())]
            misspelt = [key for key in meant if _nearest(key, values) == "kind"]
            return _unknown(tree, values, misspelt[0]) if misspelt else _missing(tree, values, (*path, "kind"))
        case "union_tag_invalid":
            return _wrong(tree, values, (*path, "kind"))
        case _ if rest and rest[-1] == "[key]":
            return _bad_key(tree, values, path)
        case _:
            return _wrong(tree, values, path)


def _split(location: tuple[str | int, ...], values: Any) -> tuple[Path, Path]:
    """pydantic's location as a path into the data, and the rest that is not in the data.

    Between the parts of the path stand names of union branches, which are not in the data either.
    """
    path: list[str | int] = []
    rest: list[str | int] = []
    for part in location:
        known = range(len(values)) if isinstance(values, list) else values if isinstance(values, dict) else ()
        if part in known:
            values = values[part]
            path.append(part)
            rest.clear()
        else:
            rest.append(part)
    return tuple(path), tuple(rest)


def _unknown(tree: Node, values: Any, path: Path) -> Problem:
    known = keys(type_at(path[:-1], values))
    near = _nearest(path, values)
    sentence = f"{dotted(path)} is not a known key{f'; the nearest is {near}' if near else ''}"
    node = find(tree, path)
    return _at(node.key or node.place, f"{sentence}; known here: {', '.join(known)}", path)


def _missing(tree: Node, values: Any, path: Path) -> Problem:
    sentence = f"{dotted(path)} is missing; it must be {described(type_at(path, values))}"
    return _at(find(tree, path[:-1]).where, sentence, path)


def _bad_key(tree: Node, values: Any, path: Path) -> Problem:
    allowed = described(key_type(type_at(path[:-1], values)))
    node = find(tree, path)
    return _at(node.key or node.place, f"the key {dotted(path)} must be {allowed}", path)


def _wrong(tree: Node, values: Any, path: Path) -> Problem:
    node, allowed = find(tree, path), type_at(path, values)
    if isinstance(node.content, str) and of_secret(path, values):
        # Whoever writes a secret itself there is not to see it in a log.
        return _at(node.where, f"{dotted(path)} is text that is not shown here; it must be {described(allowed)}", path)
    sentence = f"{dotted(path)} is {_written(node)}{_misread(node, allowed)}; it must be {described(allowed)}"
    near = nearest(node.content, choices(allowed)) if isinstance(node.content, str) else None
    return _at(node.where, f"{sentence}; the nearest is {near}" if near else sentence, path, _hint(node, allowed))


def _written(node: Node) -> str:
    if isinstance(node.content, dict):
        return "a mapping" if node.content else "an empty mapping"
    if isinstance(node.content, list):
        return "a list" if node.content else "an empty list"
    return node.written or "empty"


def _misread(node: Node, allowed: Type) -> str:
    if takes(allowed, int, bool) or not takes(allowed, str) or not isinstance(node.content, int | float):
        return ""
    return f", which YAML reads as {'true or false' if isinstance(node.content, bool) else 'a number'}"


def _hint(node: Node, allowed: Type) -> str:
    if _misread(node, allowed):
        return f'Put it in quotes: "{shortened(node.written)}"'
    if isinstance(node.content, str) and takes(allowed, type(resolve(node.content))) and not takes(allowed, str):
        return f"Write it without quotes: {node.content}"
    # Only where hosts stand: a wildcard fits nothing else.
    if isinstance(node.content, str) and (host := meant(node.content)) and fits(allowed, "*.example.com"):
        return f"Write {host}" if node.content.isascii() else f"Write it as DNS has it: {host}"
    return ""


def _at(place: Place, sentence: str, path: Path, hint: str = "") -> Problem:
    return Problem(sentence, *place, dotted(path), hint)
