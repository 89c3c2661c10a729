"""Every part of an environment's objects with its path in the files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from meshwright.environment.problems import Path

__all__ = ["collections", "parts", "spelled"]


def spelled(model: type[BaseModel], name: str) -> str:
    """A field's key as the files spell it."""
    return model.model_fields[name].alias or name


def parts(value: Any, path: Path = ()) -> Iterator[tuple[Path, BaseModel]]:
    """`value` and all models in it, outer ones first, that a file gives."""
    if isinstance(value, BaseModel):
        yield path, value
        given = value.model_fields_set
        for name, inner in value.__dict__.items():
            if name in given and isinstance(inner, BaseModel | dict | list):
                yield from parts(inner, (*path, spelled(type(value), name)))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from parts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from parts(inner, (*path, index))


def collections(resources: BaseModel, path: Path = ("resources",)) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings of objects by NAMESPACE/NAME, each with its path: ("resources", "gateways")."""
    for name in type(resources).model_fields:
        value = getattr(resources, name)
        if isinstance(value, dict):
            yield (*path, name), value
        elif isinstance(value, BaseModel):
            yield from collections(value, (*path, name))
