"""What the model allows at a path, and that in plain words."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, listed
from meshwright.environment.vocabulary import Words
from meshwright.environment.whole import model_for

__all__ = ["Type", "choices", "described", "fits", "key_type", "keys", "of_secret", "takes", "type_at"]


class Type(NamedTuple):
    """A type of the model without its Annotated: the bare type and what stands beside it."""

    bare: Any
    beside: tuple[Any, ...] = ()


def type_at(path: Path, values: Any) -> Type:
    """The type of the value at `path`; Any where the model says nothing (unknown keys, insides of Istio's values).

    `values` is the data, which need not have the path; it decides which kind of cluster is meant.
    """
    found: Type = Type(model_for(values))
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            values = None
        found = _chosen(_inside(found, part), values)
    return found


def keys(at: Type) -> list[str]:
    """The keys of the model that `at` is (of all of them where it is not yet known which), as files have them."""
    found = [field.alias or name for model in _models(at) for name, field in model.model_fields.items()]
    # An environment's name is the name of its files.
    whole = isinstance(at.bare, type) and issubclass(at.bare, Environment)
    return [key for key in dict.fromkeys(found) if not (whole and key == "name")]


def key_type(at: Type) -> Type:
    """The type of the keys of the mapping that `at` is."""
    return _bare(get_args(at.bare)[0]) if get_origin(at.bare) is dict else Type(str)


def of_secret(path: Path, values: Any) -> bool:
    """Whether the value at `path` is, or is in, what stands for a secret."""
    types = [type_at(path[:length], values) for length in range(1, len(path) + 1)]
    return any(getattr(model, "secret", False) for at in types for model in _models(at))


def choices(at: Type) -> list[str]:
    """The words that `at` allows literally; numbers are no words."""
    found = [get_args(branch.bare) for branch in _branches(at) if get_origin(branch.bare) is Literal]
    return [value for values in found for value in values if isinstance(value, str)]


def takes(at: Type, *kinds: type) -> bool:
    """Whether a value of one of these Python types could be right; words that are given literally do not count."""
    return any(branch.bare in kinds for branch in _branches(at))


def fits(at: Type, value: Any) -> bool:
    """Whether `value` would be right there."""
    whole: Any = Annotated[at.bare, *at.beside] if at.beside else at.bare
    try:
        TypeAdapter(whole).validate_python(value)
    except ValidationError:
        return False
    return True


def described(at: Type) -> str:
    """What is allowed, in words that follow "it must be"."""
    return listed(dict.fromkeys(words for branch in _branches(at) for words in _described(branch)))


def _described(at: Type) -> list[str]:
    for item in at.beside:
        if isinstance(item, Words):
            return [item.text]
    if get_origin(at.bare) is Literal:
        return list(get_args(at.bare))
    if at.bare is int:
        return [f"a whole number{_range(at)}"]
    if isinstance(at.bare, type) and issubclass(at.bare, BaseModel):
        return ["a mapping"]
    return [_WORDS.get(get_origin(at.bare) or at.bare, "another value")]


_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    types.NoneType: "null",
}


def _range(at: Type) -> str:
    limits = {name: getattr(item, name) for item in at.beside for name in ("ge", "le") if hasattr(item, name)}
    return f" from {limits['ge']} to {limits['le']}" if len(limits) == 2 else ""


def _bare(annotation: Any, beside: tuple[Any, ...] = ()) -> Type:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _bare(inner, (*_unpacked(more), *beside))
    return Type(annotation, beside)


def _unpacked(beside: list[Any]) -> list[Any]:
    """Constraints that were written as Field(ge=1, le=9) stand inside of it."""
    return [inner for item in beside for inner in (item.metadata if isinstance(item, FieldInfo) else [item])]


def _branches(at: Type) -> list[Type]:
    if any(isinstance(item, Words) for item in at.beside):
        return [at]
    if get_origin(at.bare) in (Union, types.UnionType):
        return [inner for branch in get_args(at.bare) for inner in _branches(_bare(branch))]
    return [at]


def _models(at: Type) -> list[type[BaseModel]]:
    candidates = [_bare(arg).bare for arg in get_args(at.bare)] or [at.bare]
    return [model for model in candidates if isinstance(model, type) and issubclass(model, BaseModel)]


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation)


def _chosen(at: Type, value: Any) -> Type:
    """Of several models the one that the `kind` of the value names, if it names one."""
    models = _models(at)
    if len(models) < 2:
        return at
    kind = value.get("kind") if isinstance(value, dict) else None
    return next((Type(model) for model in models if kind in _kinds(model)), at)


def _inside(at: Type, part: str | int) -> Type:
    if get_origin(at.bare) is list:
        return _bare(get_args(at.bare)[0])
    if get_origin(at.bare) is dict:
        return _bare(get_args(at.bare)[1])
    models = _models(at)
    if len(models) > 1 and part == "kind":
        return Type(Literal[tuple(kind for model in models for kind in _kinds(model))])
    for name, field in models[0].model_fields.items() if len(models) == 1 else ():
        if part == (field.alias or name):
            return _bare(field.annotation, tuple(field.metadata))
    return Type(Any)
