"""Killing a bring-up at an instant, and saying what it hit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from meshwright import journal


def children(pid: int) -> list[int]:
    """The processes below `pid`, whatever session they are in."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(stat.parent.name), *children(int(stat.parent.name))]
    return found


def steps(path: Path) -> list[str]:
    """What a journal says of steps, as "STEP STATE"."""
    return [f"{e['step']} {e['state']}" for e, _ in journal.read(path) if e["event"] == "step"]


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9 of `meshwright`, of the pyinfra below it, and of nothing else: what those started is left to itself."""
    for pid in (process.pid, *(pid for pid in children(process.pid) if _is_pyinfra(pid))):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def stop(process: subprocess.Popen[str]) -> None:
    """Stops `meshwright` and the pyinfra below it where they are: they hold what they hold, and do nothing."""
    for pid in (process.pid, *(pid for pid in children(process.pid) if _is_pyinfra(pid))):
        os.kill(pid, signal.SIGSTOP)


def _is_pyinfra(pid: int) -> bool:
    try:
        return b"pyinfra" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False  # a child of its that has ended since the look


def begin(driver, environment: str, *deploy: str) -> tuple[subprocess.Popen[str], Path]:
    """Starts an apply (of `site`, or of another deploy); its process, and its journal once there is one."""
    return begin_command(driver, environment, "apply", environment, *deploy, "--yes")


def begin_command(driver, environment: str, *words: str) -> tuple[subprocess.Popen[str], Path]:
    """Starts `meshwright WORDS`, which changes an environment; its process, and its journal once there is one."""
    runs = driver.root / ".meshwright" / environment / "runs"
    before = set(runs.glob("*.jsonl"))
    process = driver.start(sys.executable, "-m", "meshwright", *words)
    deadline = time.monotonic() + 180
    while not (new := set(runs.glob("*.jsonl")) - before):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, new.pop()


def kill_in_step(driver, environment: str, step: str, after: float) -> str:
    """Starts an apply, kills it `after` seconds into `step`, and gives what it hit, by its journal."""
    process, path = begin(driver, environment)
    deadline = time.monotonic() + 300
    while f"{step} started" not in steps(path):
        assert process.poll() is None, f"the run ended before {step}: {process.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(after)
    assert process.poll() is None, "the run ended before it could be killed"
    kill(process)
    return steps(path)[-1]


def kill_after(driver, environment: str, seconds: float, *deploy: str) -> str:
    """Starts an apply, kills it `seconds` after its first write, and gives what it hit, by its journal."""
    process, path = begin(driver, environment, *deploy)
    deadline = time.monotonic() + 300
    while not any(line.endswith("started") for line in steps(path)):
        if process.poll() is not None or time.monotonic() > deadline:
            return "nothing: the run had ended"
        time.sleep(0.02)
    time.sleep(seconds)
    if process.poll() is not None:
        return "nothing: the run had ended"
    kill(process)
    return steps(path)[-1]


def said(path: Path) -> list[tuple[float, str]]:
    """What a journal says, with the time: its sentences, and steps as "STEP STATE"."""
    found = []
    for event, _ in journal.read(path):
        if event["event"] == "say":
            found.append((event["at"], event["text"]))
        elif event["event"] == "step":
            found.append((event["at"], f"{event['step']} {event['state']}"))
    return found


def kill_after_words(process: subprocess.Popen[str], path: Path, words: str, seconds: float) -> str:
    """Kills a run `seconds` after it has said `words`; what it hit, by its journal, "" when it had ended before."""
    deadline = time.monotonic() + 300
    while not any(words in text for _, text in said(path)):
        if process.poll() is not None:
            return ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        return ""
    kill(process)
    return said(path)[-1][1]
