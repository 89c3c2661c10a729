"""The JSON Schema of values files, made from the model, for editors.

`python -m meshwright.environment.schema` prints it; group_data/schema.json is its output.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from itertools import pairwise
from typing import Any

from meshwright.environment import certs, model
from meshwright.environment.model import Environment

__all__ = ["schema", "text"]

# The modules that the model is written in.
_MODULES = (model, certs)


def schema() -> dict[str, Any]:
    """The schema of one file. Each file has only a part of the values, so nothing is required but inside lists, which
    are replaced whole."""
    made = Environment.model_json_schema(by_alias=True)
    # The name comes from the file's own.
    del made["properties"]["name"]
    definitions = {"Environment": made, **made["$defs"]}
    whole = _in_lists(made)
    for name, definition in definitions.items():
        if name not in whole:
            definition.pop("required", None)
    for made_of, name, field, said in _docstrings():
        if name in definitions:
            key = getattr(made_of, name).model_fields[field].alias or field
            definitions[name]["properties"].get(key, {})["description"] = said
    _simplify(made)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of a Meshwright environment",
    }
    return {**head, **made}


def text() -> str:
    """The schema as the text of group_data/schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _docstrings() -> list[tuple[Any, str, str, str]]:
    """Module, class, field and docstring of the model's fields.

    pydantic's `use_attribute_docstrings` does the same, but each time that the model is imported: 16 ms for every run.
    """
    return [
        (module, body.name, field.target.id, after.value.value)
        for module in _MODULES
        for body in ast.parse(inspect.getsource(module)).body
        if isinstance(body, ast.ClassDef)
        for field, after in pairwise(body.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    ]


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
