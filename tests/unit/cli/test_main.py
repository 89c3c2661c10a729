"""The command itself: help, usage, exit codes, what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from fakesteps import fill

from meshwright import __version__, cli
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.project import Project


def test_help_lists_every_command(meshwright: Any) -> None:
    said = meshwright("--help")
    assert said.code == Exit.OK
    for name, sentence in cli.COMMANDS.items():
        assert f"  {name} " in said.out
        assert sentence.split()[0] in said.out
    assert "Example: meshwright plan lab" in said.out
    assert said.err == ""


def test_the_version(meshwright: Any) -> None:
    assert meshwright("--version").out == f"meshwright {__version__}\n"


def test_without_a_command_it_shows_its_help(meshwright: Any) -> None:
    said = meshwright()
    assert said.code == Exit.USAGE
    assert said.out == ""
    assert said.err == meshwright("--help").out


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["paln", "lab"], "there is no command 'paln'", "meshwright --help says more"),
        (["plan"], "Missing argument 'ENV'", "meshwright plan --help says more"),
        (["plan", "lab", "--nonesuch"], "No such option '--nonesuch'", "meshwright plan --help says more"),
        (["plan", "lab", "site", "x"], "Got unexpected extra argument (x)", "meshwright plan --help says more"),
    ],
)
def test_wrong_usage_is_64_and_one_sentence(meshwright: Any, arguments: list[str], sentence: str, hint: str) -> None:
    said = meshwright(*arguments)
    assert said.code == Exit.USAGE
    assert said.out == ""
    assert said.err.splitlines() == [f"error: {sentence}", f"hint: {hint}"]


def test_a_failure_with_json_is_one_document(meshwright: Any, project: Project) -> None:
    fill(project, "")
    said = meshwright("plan", "nonesuch", "--json")
    assert said.code == Exit.BAD_INPUT
    assert said.document == {
        "format_version": "1.0",
        "command": "plan",
        "environment": "nonesuch",
        "ok": False,
        "summary": {"checked": 0},
        "error": {
            "message": "there is no environment 'nonesuch'; there are lab, prod",
            "hint": "An environment NAME is inventory/NAME.py and group_data/NAME.yaml",
            "exit": 65,
        },
    }


def test_outside_a_project_it_says_so_in_one_sentence(
    meshwright: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = meshwright("plan", "lab")
    assert said.code == Exit.BAD_INPUT
    assert said.err.splitlines() == [
        f"error: {tmp_path} is not inside a Meshwright project: neither it nor a parent has inventory/ and group_data/",
        "hint: Change into your project folder and run the command again",
    ]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refused("no"), 3, "error: no"),
        (MeshwrightError("no", exit_code=Exit.UNVERIFIED), 4, "error: no"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
    ],
)
def test_how_failures_end(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    fill(project, "")
    monkeypatch.setattr("meshwright.cli.plan.planned", fail)
    ended = meshwright("plan", "lab")
    assert (ended.code, ended.err.strip()) == (code, said)


def test_a_reader_that_goes_away_is_no_failure(project: Project) -> None:
    fill(project, ", ".join(f"make('step{number}')" for number in range(500)))
    command = [sys.executable, "-m", "meshwright", "plan", "lab"]
    support = str(Path(__file__).parents[2] / "support")
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env={"PYTHONPATH": support, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"step0:\n"
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), err) == (0, b"")


def test_a_plan_imports_neither_pyinfra_nor_what_talks_to_clusters(project: Project) -> None:
    fill(project, "make('a')")
    script = (
        "import sys; from meshwright.cli import run; assert run(['plan', 'lab']) == 0\n"
        "print([name for name in ('pyinfra', 'gevent', 'paramiko', 'httpcore2', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "support")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
