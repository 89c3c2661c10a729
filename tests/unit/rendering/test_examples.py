"""The examples of docs/templates: what comes out of them, line by line, and whether Istio's own schemas take it.

`MESHWRIGHT_GOLDEN=write` writes the expected manifests (tests/unit/golden) anew; look at the difference then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import jsonschema
import pytest
import yaml

from meshwright import rendering
from meshwright.environment import Environment, show
from meshwright.environment.loader import load
from meshwright.environment.mesh.rules import RULES
from meshwright.project import Project
from meshwright.rendering.kinds import KINDS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Load = Callable[..., Environment]
# Objects of the API server's own, which have no CRD.
PLAIN = {"Secret", "Certificate"}


def without_secrets(obj: dict[str, Any]) -> dict[str, Any]:
    """The object; of a Secret only which keys it has, because its values are made by chance."""
    return {**obj, "data": dict.fromkeys(obj["data"], "...")} if obj["kind"] == "Secret" else obj


def test_each_kind_has_a_page_with_an_example() -> None:
    """A new template without a page, or without an example on it, fails here."""
    shown: set[tuple[str, ...]] = set()
    for page in examples.pages():
        for name, found in yaml.safe_load(examples.example(page))["resources"].items():
            shown |= {(name, inner) for inner in found} if name == "gateway_api" else {(name,)}
    assert {kind.values for kind in KINDS} == shown
    for kind in KINDS:
        assert (examples.ROOT / "templates" / kind.template).is_file()


@pytest.mark.parametrize("page", examples.pages())
def test_what_comes_out_of_an_example(project: Project, environment: Load, page: str) -> None:
    examples.put_files(project.root, page)
    env = environment(examples.example(page))
    made = rendering.rendered(project, env)
    text = yaml.safe_dump_all([without_secrets(manifest.obj) for manifest in made], sort_keys=False, width=120)
    file = GOLDEN / f"{page}.yaml"
    if os.environ.get("MESHWRIGHT_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert rendering.rendered(project, env) == made
    assert {manifest.place.partition(":")[0] for manifest in made} == {"group_data/lab.yaml"}


@pytest.mark.parametrize("page", examples.pages())
def test_istios_schemas_take_an_example(
    project: Project, environment: Load, crds: dict[tuple[str, str], Any], page: str
) -> None:
    examples.put_files(project.root, page)
    for manifest in rendering.rendered(project, environment(examples.example(page))):
        obj = manifest.obj
        if obj["kind"] not in PLAIN:
            jsonschema.Draft202012Validator(examples.strict(crds[obj["apiVersion"], obj["kind"]])).validate(
                obj.get("spec", {})
            )


def test_values_that_are_shown_give_the_same_environment_again(project: Project, environment: Load) -> None:
    env = environment(examples.example("virtual-service"))
    shown = show(load(project, "lab"))
    (project.root / "group_data" / "lab.yaml").write_text("\n".join(shown.lines) + "\n", encoding="utf-8")
    again = load(project, "lab").env
    assert again.model_dump() == env.model_dump()


def test_the_rules_are_told_on_the_page() -> None:
    lines = examples.text("README").splitlines()
    says = {rule.says for rule in RULES}
    assert [line[2:] for line in lines if line.startswith("- ") and line[2:] in says] == [rule.says for rule in RULES]
