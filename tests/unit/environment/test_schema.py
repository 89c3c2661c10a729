from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml

from meshwright.environment import schema
from meshwright.project import Project


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    made = schema.schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_the_file_in_the_project_is_up_to_date(shipped: Project) -> None:
    """`python -m meshwright.environment.schema > group_data/schema.json` makes it so."""
    assert (shipped.root / "group_data" / "schema.json").read_text() == schema.text()


def test_the_module_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meshwright.environment.schema"], capture_output=True, text=True, check=True
    )
    assert done.stdout == schema.text()
    assert done.stderr == ""


def test_it_takes_every_shipped_file_and_each_names_it(
    shipped: Project, validator: jsonschema.Draft202012Validator
) -> None:
    files = sorted((shipped.root / "group_data").glob("*.yaml"))
    assert [file.stem for file in files] == ["all", "dev", "lab", "prod", "staging"]
    for file in files:
        validator.validate(yaml.safe_load(file.read_text()))
        assert file.read_text().splitlines()[0] == "# yaml-language-server: $schema=./schema.json"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"cluster": {"timeout": 5}},
        {"cluster": {"kind": "existing"}},
        {"tools": {"k3d": "5.9.0"}},
        {"hosts": ["@local", {"name": "a"}]},
        {"namespaces": {"a": None}},
        {"istio": {"meshConfig": {"anything": [1]}, "tag": None}},
    ],
)
def test_a_file_has_any_part(validator: jsonschema.Draft202012Validator, values: Any) -> None:
    validator.validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"clutser": {}},
        {"name": "lab"},
        {"cluster": {"imgae": "a:1"}},
        {"cluster": {"kind": "existing", "image": "a:1"}},
        {"cluster": {"kind": "k4d"}},
        {"istio": {"mesh_config": {}}},
        {"istio": {"version": 1.30}},
        {"hosts": []},
        {"hosts": [{"ssh_user": "a"}]},
        {"ingress": {"ports": [{"name": "a", "port": 80}]}},
        {"ingress": {"ports": [{"name": "a", "port": "80", "target_port": 80}]}},
        {"namespaces": {"A": {}}},
        {"namespaces": {"a": {"labels": {"b c": "d"}}}},
        {"ingress": None},
    ],
)
def test_what_the_loader_refuses_editors_mark_too(validator: jsonschema.Draft202012Validator, values: Any) -> None:
    assert not validator.is_valid(values)


def test_every_key_has_a_description_on_one_line() -> None:
    made = json.loads(schema.text())
    for name, definition in [("", made), *made["$defs"].items()]:
        for key, value in definition["properties"].items():
            assert value.get("description"), f"{name}.{key}"
            assert "\n" not in value["description"]
