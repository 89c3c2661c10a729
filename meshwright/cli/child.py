"""Running a deploy: pyinfra as a child, its journal as progress and result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from meshwright import journal
from meshwright.cli.progress import Progress, progress
from meshwright.errors import Exit
from meshwright.project import Project

__all__ = ["Done", "pyinfra", "run_deploy"]

_POLL = 0.05
_GRACE = 20.0
_RUNS_KEPT = 20


@dataclass
class Done:
    """How a deploy ended: exit code, what each step and each of pyinfra's own operations did, on which hosts, what its
    checks found, the error if there was one."""

    exit: Exit = Exit.OK
    steps: list[dict[str, Any]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def changed(self) -> int:
        """How many steps changed something."""
        return sum(step["state"] == "changed" for step in self.steps)


def pyinfra(environment: str, deploy: str, data: Mapping[str, str]) -> list[str]:
    """The command line that runs a deploy with pyinfra, without its flags for how; on one of several clusters where
    `environment` names one."""
    environment, _, member = environment.partition("/")
    command = [sys.executable, "-m", "pyinfra", f"inventory/{environment}.py", f"deploys/{deploy}.py"]
    if member:
        command += ["--limit", f"@cluster/{member}"]
    for key, value in data.items():
        command += ["--data", f"{key}={value}"]
    return command


def run_deploy(
    project: Project,
    environment: str,
    deploy: str,
    data: Mapping[str, str],
    say: Callable[[str], None],
    *,
    label: str = "",
    stop: threading.Event | None = None,
) -> Done:
    """Runs `pyinfra -y` on a deploy in the project folder and follows its journal until it ends.

    What pyinfra prints goes to a log beside the journal, both in .meshwright/ENV/runs/; a failure that left no word in
    the journal is reported with the end of that log. What operations of pyinfra's own did, of which the journal knows
    nothing, is in the document that `pyinfra --json` ends with. Ctrl-C is passed on, and the child is given 20 s to
    stop; `stop` does the same from another thread. With a `label`, which stands before each line, several may run at
    once.
    """
    path = _new_run(project.of(environment) / "runs", deploy)
    log = path.with_suffix(".log")
    environ = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"} | {
        journal.VARIABLE: str(path),
        "PYINFRA_PROGRESS": "off",
    }
    done = Done()
    with log.open("wb") as out, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [*pyinfra(environment, deploy, data), "-y", "--json"],
            cwd=project.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=out,
            start_new_session=True,
        )
        try:
            with progress(label) as shown:
                code = _follow(child, path, done, shown, stop)
                said.seek(0)
                document = said.read()
                operations = _operations(document)
                _complete(done, operations or [], shown)
        except BaseException:
            _stop(child)
            raise
        if operations is None:
            out.write(document)
    _judge(done, code, operations, log)
    if done.error is not None:
        done.exit = Exit(done.error["exit"])
        say(f"error: {done.error['message']}")
        if done.error["hint"].endswith(str(log)):
            for line in _tail(log):
                say(f"  | {line}")
        if done.error["hint"]:
            say(f"hint: {done.error['hint']}")
    return done


def _operations(document: bytes) -> list[dict[str, Any]] | None:
    """What pyinfra says of its operations; None where it said nothing (it stopped before its end)."""
    try:
        return list(json.loads(document)["results"]["operations"])
    except (ValueError, KeyError, TypeError):
        return None


def _complete(done: Done, operations: list[dict[str, Any]], shown: Progress) -> None:
    """Puts the operations that are not steps of ours among the steps, where they ran. pyinfra does not say how long
    one took."""
    own: dict[str, list[dict[str, Any]]] = {}
    for step in done.steps:
        own.setdefault(step["step"], []).append(step)
    done.steps = []
    for operation in operations:
        steps = own.pop(operation["name"], [])
        if not steps:
            state = "failed" if operation["error"] else "changed" if operation["success"] else "unchanged"
            steps = [{"step": operation["name"], "state": state, "seconds": None}]
            shown.done(f"{operation['name']}: {state}")
        done.steps += steps
    done.steps += [step for steps in own.values() for step in steps]


def _judge(done: Done, code: int, operations: list[dict[str, Any]] | None, log: Path) -> None:
    """The error of a run that has none in its journal and did not go well."""
    if done.error is not None:
        return
    failed = next((each for each in operations or [] if each["error"]), None)
    if failed and code:
        message = f"{failed['name']} failed on {', '.join(failed['error'])}"
    elif code:
        message = f"pyinfra ended with exit code {code}"
    elif operations is None and not done.steps:
        message = "pyinfra ended without a result"
    elif not done.steps and not done.hosts:
        # It exits with 0 too when its inventory is empty, or not there.
        message = "pyinfra found no host to work on"
    else:
        return
    done.error = {"message": message, "hint": f"Its output is in {log}", "exit": int(Exit.ERROR)}


def _new_run(folder: Path, deploy: str) -> Path:
    """A journal that no other run has, in a folder that keeps the last runs."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir())[: -2 * _RUNS_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"{datetime.now():%Y%m%dT%H%M%S.%f}-{deploy}-{os.getpid()}.jsonl"


def _follow(
    child: subprocess.Popen[bytes], path: Path, done: Done, shown: Progress, stop: threading.Event | None
) -> int:
    offset = 0
    while True:
        code = child.poll()
        for event, end in journal.read(path, offset):
            _take(event, done, shown)
            offset = end
        if code is not None:
            return code
        if stop is not None and stop.is_set():
            raise KeyboardInterrupt
        time.sleep(_POLL)


def _take(event: dict[str, Any], done: Done, shown: Progress) -> None:
    match event["event"]:
        case "say":
            shown.doing(f"  {event['text']}")
        case "step" if event["state"] == "started":
            if event["changes"]:
                shown.doing(f"{event['step']} ...")
        case "step":
            done.steps.append({key: event[key] for key in ("step", "state", "seconds")})
            shown.done(f"{event['step']}: {event['state']} ({event['seconds']:.1f} s)")
        case "check":
            done.checks.append(event["result"])
        case "hosts":
            done.hosts += event["names"]
        case "error":
            done.error = {key: event[key] for key in ("message", "hint", "exit")}


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _tail(log: Path, lines: int = 12) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:]
