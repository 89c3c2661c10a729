"""Lock and record of a run under the real pyinfra: where its end is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fakesteps
import pytest
from fakesteps import fill, world

from meshwright import journal
from meshwright.project import Project
from meshwright.records import Entry, file
from meshwright.target import Local

INTERRUPTING = """
import os, signal
from dataclasses import replace

def interrupting(name):
    step = make(name)

    def apply(target, env, plan):
        HOW

    return replace(step, apply=apply)

"""
# From within the step, and while it waits for a process (then pyinfra lets it end first).
HOWS = {
    "working": "os.kill(os.getpid(), signal.SIGINT)",
    "waiting": "target.run(['sh', '-c', f'sleep 0.3; kill -INT {os.getpid()}; sleep 1'])",
}


def pyinfra(project: Project, *deploys: str) -> int:
    files = [f"deploys/{name}.py" for name in deploys or ("site",)]
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "-y", "inventory/lab.py", *files],
        cwd=project.root,
        env={key: value for key, value in os.environ.items() if key != journal.VARIABLE}
        | {"PYTHONPATH": str(Path(fakesteps.__file__).parent), "PYINFRA_PROGRESS": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def entries(project: Project) -> list[Entry]:
    found, cut = file.read(Local(project), "lab")
    assert cut == []
    return found


def test_a_run_has_one_record_and_a_run_that_changes_nothing_has_none(project: Project) -> None:
    fill(project, "make('tools'), make('istio', after='tools'), checking()")
    assert pyinfra(project) == 0
    first, *steps, last = entries(project)
    assert (first["program"], first["deploy"], first["steps"]) == ("pyinfra", "site", ["tools", "istio", "check"])
    assert [entry["step"] for entry in steps] == ["tools", "istio"]
    assert last["result"] == "ok"
    assert [(step["step"], step["state"]) for step in last["steps"]] == [
        ("tools", "changed"),
        ("istio", "changed"),
        ("check", "checked"),
    ]
    assert pyinfra(project) == 0
    assert len(entries(project)) == 4


def test_a_failure_ends_the_record(project: Project) -> None:
    fill(project, "make('tools'), failing('istio'), make('never')")
    assert pyinfra(project) == 1
    last = entries(project)[-1]
    assert (last["result"], last["message"], last["hint"]) == ("failed", "the disk is full", "Make room")


@pytest.mark.parametrize("how", HOWS)
def test_ctrl_c_is_an_interruption(project: Project, how: str) -> None:
    fill(project, "interrupting('tools'), make('never')")
    path = project.root / "deploys" / "site.py"
    path.write_text(path.read_text().replace("steps = ", INTERRUPTING.replace("HOW", HOWS[how]) + "steps = "))
    pyinfra(project)
    last = entries(project)[-1]
    assert (last["entry"], last["result"]) == ("ended", "interrupted")
    assert last["message"] == "it ended before its last step (never)"
    assert world(project) == []


def test_two_deploys_of_one_command_are_one_run(project: Project) -> None:
    fill(project, "make('tools')", more="make('istio')")
    assert pyinfra(project, "site", "more") == 0
    found = entries(project)
    assert [entry["entry"] for entry in found] == ["started", "step", "step", "ended"]
    assert found[0]["deploy"] == "site, more"
    assert [step["step"] for step in found[-1]["steps"]] == ["tools", "istio"]


def test_an_operation_of_somebody_else_that_fails_between_ours_is_an_interruption(project: Project) -> None:
    fill(project, "make('tools')", more="make('never')")
    own = "from pyinfra.operations import server\n\nserver.shell(name='own', commands=['false'])\n"
    (project.root / "deploys" / "own.py").write_text(own)
    assert pyinfra(project, "site", "own", "more") == 1
    assert world(project) == ["tools"]
    last = entries(project)[-1]
    assert (last["result"], last["message"]) == ("interrupted", "it ended before its last step (never)")
