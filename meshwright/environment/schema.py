"""The JSON Schema of values files, made from the model, for editors.

`python -m meshwright.environment.schema` prints it; group_data/schema.json is its output.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from meshwright.environment.base import Model
from meshwright.environment.clusters import CLUSTERS, DIFFERS, NAME
from meshwright.environment.mesh.resources import MeshEnvironment
from meshwright.environment.travelling import LOCAL, TRAVELS

__all__ = ["schema", "text"]


def schema() -> dict[str, Any]:
    """The schema of one file. Each file has only a part of the values, so nothing is required but inside lists, which
    are replaced whole."""
    made = MeshEnvironment.model_json_schema(by_alias=True)
    # The name comes from the file's own.
    del made["properties"]["name"]
    made["properties"][LOCAL] = _local(made["properties"])
    made["properties"][CLUSTERS] = _clusters(made["properties"])
    definitions = {MeshEnvironment.__name__: made, **made["$defs"]}
    whole = _in_lists(made)
    for name, definition in definitions.items():
        if name not in whole:
            definition.pop("required", None)
    models = _models(Model)
    said = _docstrings({cls.__module__ for cls in models})
    for cls in models:
        for name, field in cls.model_fields.items() if cls.__name__ in definitions else ():
            # A field that is inherited is explained where it is written.
            found = [said[_key(base, name)] for base in cls.__mro__ if _key(base, name) in said]
            shown = definitions[cls.__name__]["properties"].get(field.alias or name, {})
            shown.update({"description": found[0]} if found else {})
    _simplify(made)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of a Meshwright environment",
    }
    return {**head, **made}


def text() -> str:
    """The schema as the text of group_data/schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _local(properties: dict[str, Any]) -> dict[str, Any]:
    """The loader takes this key away before the model sees it."""
    return {
        "type": "object",
        "description": "What of these belongs to this environment alone, merged over the rest; it never travels.",
        "properties": {name: copy.deepcopy(properties[name]) for name in TRAVELS if name in properties},
        "additionalProperties": False,
    }


def _clusters(properties: dict[str, Any]) -> dict[str, Any]:
    """The same holds for this one."""
    name = {"type": "string", "pattern": NAME, "description": "Its name within the environment."}
    return {
        "type": "array",
        "minItems": 2,
        "description": "The clusters of an environment that has several, each with what differs; the first is changed "
        "first.",
        "items": {
            "type": "object",
            "properties": {"name": name, **{key: copy.deepcopy(properties[key]) for key in DIFFERS}},
            "required": ["name"],
            "additionalProperties": False,
        },
    }


def _models(base: type[Model]) -> list[type[Model]]:
    """Every model that the values are written in."""
    return [cls for sub in base.__subclasses__() for cls in (sub, *_models(sub))]


def _key(cls: type, field: str) -> tuple[str, str, str]:
    return cls.__module__, cls.__name__, field


def _docstrings(modules: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """The docstrings of the models' fields, by module, class and field.

    pydantic's `use_attribute_docstrings` does the same, but each time that the model is imported: 16 ms for every run.
    """
    return {
        (module, body.name, field.target.id): after.value.value
        for module in modules
        for body in ast.parse(inspect.getsource(sys.modules[module])).body
        if isinstance(body, ast.ClassDef)
        for field, after in pairwise(body.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }


def _in_lists(value: Any) -> set[str]:
    """The names of the definitions that are items of lists."""
    if isinstance(value, list):
        return {name for item in value for name in _in_lists(item)}
    if not isinstance(value, dict):
        return set()
    items = {branch["$ref"].rpartition("/")[2] for branch in _branches(value.get("items")) if "$ref" in branch}
    return items.union(*(_in_lists(inner) for inner in value.values()))


def _branches(value: Any) -> list[dict[str, Any]]:
    return value.get("anyOf", [value]) if isinstance(value, dict) else []


def _simplify(value: Any) -> None:
    """Takes out what helps no reader: titles that repeat the keys, line ends of this source. A part of a cluster may
    fit several kinds, so `oneOf` is `anyOf`."""
    if isinstance(value, list):
        for item in value:
            _simplify(item)
    elif isinstance(value, dict):
        if isinstance(value.get("title"), str):
            del value["title"]
        if isinstance(value.get("description"), str):
            value["description"] = " ".join(value["description"].split())
        if "patternProperties" in value:
            # pydantic leaves keys that fit no pattern open.
            value["additionalProperties"] = False
        value.pop("discriminator", None)
        if "oneOf" in value:
            value["anyOf"] = value.pop("oneOf")
        for inner in value.values():
            _simplify(inner)


if __name__ == "__main__":
    sys.stdout.write(text())
