"""Steps under the real pyinfra, on @local, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fakesteps
import pytest
from fakesteps import fill, world

from meshwright import journal, lock
from meshwright.cli import run as meshwright
from meshwright.project import Project

SITE = "make('tools'), make('cluster'), make('istio', after='cluster'), checking()"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Ran:
    """A pyinfra that ended: exit code, everything that it printed, the events of its journal."""

    def __init__(self, code: int, text: str, events: list[dict[str, Any]]) -> None:
        self.code = code
        self.text = ANSI.sub("", text)
        self.events = events

    def steps(self) -> list[tuple[str, str]]:
        return [(e["step"], e["state"]) for e in self.events if e["event"] == "step" and e["state"] != "started"]

    def error(self) -> dict[str, Any]:
        [found] = [event for event in self.events if event["event"] == "error"]
        return found


def start(project: Project, *arguments: str, env: str = "lab", deploy: str = "site") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pyinfra", *arguments, f"inventory/{env}.py", f"deploys/{deploy}.py"],
        cwd=project.root,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(fakesteps.__file__).parent),
            journal.VARIABLE: str(project.root / "journal"),
            "PYINFRA_PROGRESS": "off",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def pyinfra(project: Project, *arguments: str, env: str = "lab", deploy: str = "site", says: str = "") -> Ran:
    process = start(project, *arguments, env=env, deploy=deploy)
    out, _ = process.communicate(says.encode(), timeout=60)
    return ended(project, process, out)


def ended(project: Project, process: subprocess.Popen[bytes], out: bytes) -> Ran:
    path = project.root / "journal"
    events = [event for event, _ in journal.read(path)]
    path.unlink(missing_ok=True)
    ran = Ran(process.returncode, out.decode(), events)
    assert "Traceback" not in ran.text
    return ran


def plan_of(text: str) -> list[str]:
    """The lines of the plan among what pyinfra prints, without its indentation."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if "Loading: deploys/" in line) + 1
    last = next(number for number, line in enumerate(lines) if line.strip().startswith("Plan: "))
    return [line.removeprefix("    ") for line in lines[first : last + 1]]


def test_the_dry_run_and_meshwright_plan_show_the_same_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(project, SITE)
    (project.root / "world" / "tools").write_text("")
    dry = pyinfra(project, "--dry")
    assert dry.code == 0
    monkeypatch.chdir(project.root)
    assert meshwright(["plan", "lab"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert plan_of(dry.text) == shown
    assert shown == [
        "cluster:",
        "  + File world/cluster",
        "      size: 7",
        "istio:",
        "  known after cluster",
        "Plan: 1 to add, 0 to change, 0 to destroy; known later: istio.",
    ]
    # pyinfra's own table has the same steps: those with a change, and those without.
    table = dry.text.split("Detected changes:")[1]
    for step, change in (("tools", "-"), ("cluster", "1 (@local)"), ("istio", "1 (@local)"), ("check", "-")):
        assert re.search(rf"^ *{step} +{re.escape(change)} ", table, re.MULTILINE), step
    [plan] = [event for event in dry.events if event["event"] == "plan"]
    assert [step["step"] for step in plan["plans"]] == ["tools", "cluster", "istio", "check"]
    assert world(project) == ["tools"]


def test_an_approved_run_does_it_and_a_second_one_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(project, SITE.replace("make('cluster')", "make('cluster', action=Action.RECREATE)"))
    monkeypatch.chdir(project.root)
    assert meshwright(["plan", "lab", "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)["digest"]
    done = pyinfra(project, "-y", "--data", f"approved={digest}", "--data", "allow_recreate=true")
    assert done.code == 0
    assert world(project) == ["cluster", "istio", "tools"]
    assert done.steps() == [
        ("tools", "changed"),
        ("cluster", "changed"),
        ("istio", "changed"),
        ("check", "unchanged"),
    ]
    assert [event["text"] for event in done.events if event["event"] == "say"] == [
        "making tools",
        "making cluster",
        "making istio",
    ]
    again = pyinfra(project, "-y")
    assert again.code == 0
    assert again.steps() == [(step, "unchanged") for step in ("tools", "cluster", "istio", "check")]
    total = re.search(r"Grand total +(\d+) +(\S+) +(\S+) +(\d+)", again.text)
    assert total is not None
    assert total.groups() == ("4", "-", "-", "4")


def test_an_approval_of_another_plan_is_refused_before_anything_is_done(project: Project) -> None:
    fill(project, SITE)
    ran = pyinfra(project, "-y", "--data", "approved=sha256:0123456789abcdef")
    assert ran.code == 1
    assert world(project) == []
    assert re.search(
        r"the plan has changed since it was approved \(sha256:01234567, now sha256:[0-9a-f]{8}\)", ran.text
    )
    assert ran.error()["exit"] == 3
    assert ran.steps() == []


def test_a_failing_step_is_one_sentence_and_ends_the_run(project: Project) -> None:
    fill(project, "make('first'), failing('broken'), make('never'), checking()")
    ran = pyinfra(project, "-y")
    assert ran.code == 1
    assert world(project) == ["first"]
    assert ran.text.count("the disk is full") == 1
    assert "broken: the disk is full. Make room" in ran.text
    assert ran.steps() == [("first", "changed")]
    assert ran.error() | {"at": 0} == {
        "event": "error",
        "at": 0,
        "step": "broken",
        "message": "the disk is full",
        "hint": "Make room",
        "exit": 1,
    }


def test_a_check_that_does_not_hold_fails_a_run_that_changes_nothing(project: Project) -> None:
    fill(project, "checking(), make('after')")
    (project.root / "world" / "bad").write_text("")
    ran = pyinfra(project, "-y")
    assert ran.code == 1
    assert "check: 1 of 1 checks failed: world/bad is there. Remove it" in ran.text
    assert world(project) == ["bad"]


def test_a_recreation_without_consent_is_refused(project: Project) -> None:
    fill(project, "make('tools'), make('cluster', action=Action.RECREATE, says='its image differs')")
    ran = pyinfra(project, "-y")
    assert ran.code == 1
    assert ran.error()["message"] == "File world/cluster must be recreated: its image differs"
    assert ran.error()["exit"] == 3
    assert world(project) == ["tools"]


@pytest.mark.parametrize("arguments", [("-y",), ()])
def test_a_protected_environment_is_not_changed_without_an_approval(project: Project, arguments: tuple[str]) -> None:
    # Without -y, pyinfra asks to press enter; that is not the environment's name.
    fill(project, "make('tools')")
    ran = pyinfra(project, *arguments, env="prod", says="\n")
    assert ran.code == 1
    assert "prod is protected and no plan was approved" in ran.text
    assert world(project) == []
    assert ran.error()["exit"] == 3


def test_a_second_run_at_once_is_refused(project: Project) -> None:
    fill(project, "make('tools')")
    held = lock.acquire(f"mw-lab-{project.digest}", "lab: tools")
    try:
        ran = pyinfra(project, "-y")
    finally:
        held.release()
    assert ran.code == 1
    assert f"tools: another run is changing mw-lab-{project.digest}: lab: tools, process {os.getpid()}" in ran.text
    assert ran.error()["exit"] == 3
    assert world(project) == []


def test_what_changed_while_the_question_was_open_is_refused(project: Project) -> None:
    fill(project, SITE)
    (project.root / "world" / "tools").write_text("")
    process = start(project)
    assert process.stdout is not None
    assert process.stdin is not None
    killer = threading.Timer(30, process.kill)
    killer.start()
    seen = b""
    while b"to execute" not in seen:
        block = os.read(process.stdout.fileno(), 4096)
        assert block, seen.decode()
        seen += block
    (project.root / "world" / "tools").unlink()
    out, _ = process.communicate(b"\n", timeout=60)
    killer.cancel()
    ran = ended(project, process, seen + out)
    assert ran.code == 1
    assert ran.error()["message"] == "what tools would do has changed since its plan was shown"
    assert world(project) == []


def test_bad_values_are_one_sentence_with_file_and_line(project: Project) -> None:
    fill(project, "make('tools')")
    values = project.root / "group_data" / "lab.yaml"
    values.write_text(values.read_text() + "engin: {kind: docker}\n")
    ran = pyinfra(project, "-y")
    assert ran.code == 1
    assert "group_data/lab.yaml:2" in ran.text
    assert "engine" in ran.text
    assert world(project) == []
