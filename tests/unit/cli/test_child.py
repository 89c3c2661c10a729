"""A deploy as a child: its journal is its progress and its result, whatever its own exit code says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fakesteps
import pytest

from meshwright.cli import child
from meshwright.errors import Exit
from meshwright.project import Project

HEAD = """
import json, os, sys, time
def write(event, **fields):
    with open(os.environ["MESHWRIGHT_JOURNAL"], "a") as file:
        file.write(json.dumps({"event": event, "at": 0, **fields}) + "\\n")
"""
HOSTS = "write('hosts', names=['@local'])\n"
DONE = "write('step', step='a', state='changed', seconds=1.0)\n"


class Script:
    """What runs in place of pyinfra."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.text = ""
        self.said: list[str] = []
        self.data: Mapping[str, str] = {}

    def command(self, _environment: str, _deploy: str, data: Mapping[str, str]) -> list[str]:
        self.data = data
        return [sys.executable, "-c", HEAD + self.text]

    def run(self, text: str, **data: str) -> child.Done:
        self.text = text
        return child.run_deploy(self.project, "lab", "site", data, say=self.said.append)

    def logs(self) -> list[Path]:
        return sorted(self.project.of("lab").glob("runs/*.log"))


@pytest.fixture
def script(project: Project, monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script(project)
    monkeypatch.setattr(child, "pyinfra", made.command)
    return made


def test_the_command_line() -> None:
    assert child.pyinfra("lab", "site", {"approved": "sha256:1", "allow_recreate": "true"}) == [
        sys.executable,
        "-m",
        "pyinfra",
        "inventory/lab.py",
        "deploys/site.py",
        "--data",
        "approved=sha256:1",
        "--data",
        "allow_recreate=true",
    ]


def test_what_the_journal_says_is_the_result(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    done = script.run(
        "write('step', step='tools', state='started', changes=1)\n"
        "write('say', text='building k3d')\n"
        "write('step', step='tools', state='changed', seconds=2.25)\n"
        "write('step', step='check', state='started', changes=0)\n"
        "write('check', result={'check': 'nodes', 'state': 'ok'})\n"
        "write('step', step='check', state='unchanged', seconds=0.0)\n"
    )
    assert done == child.Done(
        Exit.OK,
        [
            {"step": "tools", "state": "changed", "seconds": 2.25},
            {"step": "check", "state": "unchanged", "seconds": 0.0},
        ],
        [],
        [{"check": "nodes", "state": "ok"}],
        None,
    )
    assert done.changed == 1
    assert capsys.readouterr().err.splitlines() == [
        "tools ...",
        "  building k3d",
        "tools: changed (2.2 s)",
        "check: unchanged (0.0 s)",
    ]


def test_it_runs_in_the_project_and_is_not_led_to_the_users_cluster(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/theirs")
    script.run("print(os.getcwd(), os.environ.get('KUBECONFIG'), sys.stdin.read() == '', sys.argv)\n" + DONE)
    [log] = script.logs()
    assert log.read_text() == f"{script.project.root} None True ['-c', '-y', '--json']\n"


@pytest.mark.parametrize("code", [0, 1])
def test_an_error_in_the_journal_gives_its_exit_code(script: Script, code: int) -> None:
    done = script.run(DONE + f"write('error', step='b', message='no right', hint='Ask', exit=3)\nsys.exit({code})")
    assert done.exit is Exit.REFUSED
    assert done.error == {"message": "no right", "hint": "Ask", "exit": 3}
    assert script.said == ["error: no right", "hint: Ask"]


def test_no_hint_no_line(script: Script) -> None:
    script.run("write('error', message='no right', hint='', exit=1)")
    assert script.said == ["error: no right"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 0, "pyinfra ended without a result"),
        ("write('say', text='x')\n", 0, "pyinfra ended without a result"),
        ("", 1, "pyinfra ended with exit code 1"),
        (DONE, 1, "pyinfra ended with exit code 1"),
    ],
)
def test_a_run_without_a_result_is_an_error_with_the_end_of_its_log(
    script: Script, text: str, code: int, words: str
) -> None:
    done = script.run(text + f"[print('line', n) for n in range(20)]\nsys.exit({code})")
    [log] = script.logs()
    assert done.exit is Exit.ERROR
    assert done.error == {"message": words, "hint": f"Its output is in {log}", "exit": 1}
    assert script.said == [
        f"error: {words}",
        *(f"  | line {number}" for number in range(8, 20)),
        f"hint: Its output is in {log}",
    ]


def results(*operations: dict[str, Any]) -> str:
    """What `pyinfra --json` prints at its end."""
    rows = [{"success": [], "error": [], "no_change": []} | each for each in operations]
    return f"print(json.dumps({ ({'plan': [], 'results': {'operations': rows}})!r}))\n"


def test_operations_of_pyinfras_own_are_steps_too(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    ran = results(
        {"name": "cron", "success": ["@local"]}, {"name": "a", "success": ["@local"]}, {"name": "b", "no_change": ["h"]}
    )
    done = script.run(HOSTS + DONE + ran)
    assert done.exit is Exit.OK
    assert done.steps == [
        {"step": "cron", "state": "changed", "seconds": None},
        {"step": "a", "state": "changed", "seconds": 1.0},
        {"step": "b", "state": "unchanged", "seconds": None},
    ]
    assert done.changed == 2
    assert capsys.readouterr().err.splitlines() == ["a: changed (1.0 s)", "cron: changed", "b: unchanged"]


def test_what_two_hosts_did_alike_is_not_taken_for_one(script: Script) -> None:
    done = script.run(HOSTS + DONE + DONE + results({"name": "a", "success": ["h1", "h2"]}))
    assert [step["step"] for step in done.steps] == ["a", "a"]


def test_an_operation_of_pyinfras_own_that_failed_is_named(script: Script) -> None:
    done = script.run(
        HOSTS + "print('no room', file=sys.stderr)\n" + results({"name": "cron", "error": ["h1"]}) + "sys.exit(1)"
    )
    assert done.exit is Exit.ERROR
    assert done.error is not None
    assert done.error["message"] == "cron failed on h1"
    assert script.said[:2] == ["error: cron failed on h1", "  | no room"]


def test_nothing_to_do_on_a_host_is_fine_and_no_host_is_not(script: Script) -> None:
    assert script.run(HOSTS + results()).exit is Exit.OK
    done = script.run(results())
    assert done.error is not None
    assert done.error["message"] == "pyinfra found no host to work on"


def test_a_child_that_was_killed_in_the_middle_of_a_line(script: Script) -> None:
    done = script.run(
        DONE
        + "file = open(os.environ['MESHWRIGHT_JOURNAL'], 'a'); file.write('{\"event\": \"step\", \"st'); file.flush()\n"
        + "os.kill(os.getpid(), 9)"
    )
    assert done.exit is Exit.ERROR
    assert [step["step"] for step in done.steps] == ["a"]


def test_progress_comes_while_it_runs(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    go = script.project.root / "go"
    seen: list[str] = []

    def look() -> None:
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            seen.extend(line for line in capfd.readouterr().err.splitlines() if line)
            time.sleep(0.02)
        go.write_text("")

    watcher = threading.Thread(target=look)
    watcher.start()
    script.run(f"write('say', text='half way')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n" + DONE)
    watcher.join()
    assert seen == ["  half way"]


def test_another_runs_journal_is_not_read(script: Script) -> None:
    script.run(DONE)
    done = script.run("")
    assert done.exit is Exit.ERROR
    assert done.steps == []


def test_only_the_last_runs_are_kept(script: Script, project: Project) -> None:
    folder = project.of("lab") / "runs"
    folder.mkdir(parents=True)
    for number in range(60):
        for suffix in ("jsonl", "log"):
            (folder / f"20200101T0000{number:02}-site-1.{suffix}").write_text("")
    script.run(DONE)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 42
    assert names[0] == "20200101T000040-site-1.jsonl"


def _hears_ctrl_c() -> None:
    # A shell has what it starts in the background ignore Ctrl-C, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)


INTERRUPTED = """
import sys
from pathlib import Path
from meshwright.cli import child
from meshwright.project import Project
child.pyinfra = lambda *_: [sys.executable, "-c", sys.argv[2]]
child._GRACE = 1.0
try:
    child.run_deploy(Project(Path(sys.argv[1])), "lab", "site", {}, print)
except KeyboardInterrupt:
    print("passed on")
"""


@pytest.mark.parametrize(
    ("reaction", "code"), [("sys.exit(0)", "stopped"), ("time.sleep(60)", "killed")], ids=["stops", "does not stop"]
)
def test_ctrl_c_reaches_the_child_and_ends_it(project: Project, reaction: str, code: str) -> None:
    pid, stopped = project.root / "pid", project.root / "stopped"
    text = (
        "import os, sys, time, subprocess\n"
        f"open({str(pid)!r} + '.new', 'w').write(str(os.getpid())); os.rename({str(pid)!r} + '.new', {str(pid)!r})\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        f"    open({str(stopped)!r}, 'w').close()\n"
        f"    {reaction}\n"
    )
    command = [sys.executable, "-c", INTERRUPTED, str(project.root), text]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, preexec_fn=_hears_ctrl_c)
    deadline = time.monotonic() + 20
    while not pid.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1)  # until both wait, on a busy machine too
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert out == b"passed on\n"
    assert stopped.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_result_for_programs_is_json(script: Script) -> None:
    done = script.run(DONE)
    assert json.loads(json.dumps(done.steps)) == [{"step": "a", "state": "changed", "seconds": 1.0}]


def test_data_reaches_the_command(script: Script) -> None:
    script.run(DONE, approved="sha256:1")
    found: Any = script.data
    assert found == {"approved": "sha256:1"}


@pytest.mark.parametrize(
    ("command", "code", "state"), [("true", Exit.OK, "changed"), ("false", Exit.ERROR, "failed")], ids=["ok", "fails"]
)
def test_a_deploy_of_pyinfras_own_operations_alone(
    project: Project, meshwright: Any, command: str, code: Exit, state: str
) -> None:
    fakesteps.fill(project, "make('a')")
    text = f"from pyinfra.operations import server\n\nserver.shell(name='cron', commands=['{command}'])\n"
    (project.root / "deploys" / "lab.py").write_text(text)
    ran = meshwright("apply", "lab", "lab", "--yes", "--json")
    assert ran.code == code, ran.err
    assert ran.document["ok"] is (code is Exit.OK)
    if code is Exit.OK:
        assert ran.document["steps"] == [{"step": "cron", "state": state, "seconds": None}]
    else:
        assert "pyinfra ended with exit code 1" in ran.err
