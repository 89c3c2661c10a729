"""What Istio itself says: `istioctl validate` has the rules of istiod's webhook, and needs no cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import jsonschema
import pytest

from meshwright import rendering
from meshwright.environment import Environment
from meshwright.project import Project

WHOLE = Path(__file__).with_name("whole.yaml")
Load = Callable[..., Environment]


@pytest.fixture(scope="session")
def istioctl() -> Path:
    found = examples.ROOT / ".meshwright" / "bin" / "istioctl"
    if not found.exists():
        pytest.skip("istioctl is not built here: `meshwright apply lab tools` does it")
    return found


def values(page: str) -> str:
    return WHOLE.read_text(encoding="utf-8") if page == "whole" else examples.example(page)


@pytest.mark.parametrize("page", [*examples.pages(), "whole"])
def test_istio_takes_it(project: Project, environment: Load, istioctl: Path, tmp_path: Path, page: str) -> None:
    if page != "whole":
        examples.put_files(project.root, page)
    made = rendering.rendered(project, environment(values(page)))
    file = tmp_path / "objects.yaml"
    # As JSON: PyYAML writes "1e3" without quotes, which Go takes for a number.
    file.write_text("\n---\n".join(json.dumps(manifest.obj) for manifest in made))
    done = subprocess.run([istioctl, "validate", "-f", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_istio_would_have_said_otherwise(istioctl: Path, tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    spec = {"hosts": ["a"], "http": [{"timeout": "x"}]}
    metadata = {"name": "a", "namespace": "b"}
    obj = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}
    file.write_text(json.dumps(obj))
    assert subprocess.run([istioctl, "validate", "-f", file], capture_output=True).returncode != 0


def test_the_schemas_take_the_whole_too(project: Project, environment: Load, crds: dict[tuple[str, str], Any]) -> None:
    made = rendering.rendered(project, environment(values("whole")))
    assert len(made) > 20
    for manifest in made:
        schema = crds[manifest.obj["apiVersion"], manifest.obj["kind"]]
        jsonschema.Draft202012Validator(examples.strict(schema)).validate(manifest.obj["spec"])
