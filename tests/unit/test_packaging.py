"""The wheel has everything that the command needs: every module, the templates, the pins."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # In a copy: setuptools leaves its build/ beside the sources.
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("meshwright", "templates"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(command, cwd=folder, check=True)
    [made] = (folder / "out").glob("*.whl")
    return zipfile.ZipFile(made)


def test_every_module_is_in_it(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "meshwright").rglob("*.py")}
    assert len(modules) > 100
    assert modules <= set(wheel.namelist())


def test_templates_and_data_are_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    templates = [path.name for path in (ROOT / "templates").glob("*.j2")]
    assert templates
    assert {f"meshwright/templates/{name}" for name in templates} <= names
    assert {"meshwright/tools/pins.toml", "meshwright/py.typed"} <= names


def test_it_brings_the_command(wheel: zipfile.ZipFile) -> None:
    [entry] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "meshwright = meshwright.cli:main" in wheel.read(entry).decode()
