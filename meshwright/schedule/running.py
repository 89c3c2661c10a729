"""Running jobs, and what came of it: one JSON line for each run in `.meshwright/ENV/jobs.jsonl`.

What is missed while the machine is off is caught up once: systemd does it by itself (Persistent), and for cron it is
asked here which jobs have a time between their last run and now, however many such times there are.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from meshwright import lock, process
from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError, ProcessError, Refused
from meshwright.project import Project
from meshwright.schedule.jobs import Wanted, command, prefix, wanted
from meshwright.target import write_atomically
from meshwright.wording import utc

__all__ = ["Result", "due", "last", "metrics", "parsed", "remember", "run"]

_KEPT = 2000
"""How many lines the file keeps."""
_SHOWN = 500
_PAUSE = 0.05


@dataclass(frozen=True)
class Result:
    """How a run of a job ended. `at` is its start, UTC in ISO 8601; `exit` is null for a job that was not run yet, and
    only seen; `message` is the error's sentence, or why there was nothing to do yet, or empty."""

    job: str
    at: str
    exit: int | None = None
    seconds: float = 0.0
    message: str = ""

    @property
    def begun(self) -> dt.datetime:
        """Its start."""
        return dt.datetime.fromisoformat(self.at)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _file(project: Project, environment: str) -> Path:
    return project.of(environment) / "jobs.jsonl"


def last(project: Project, environment: str) -> dict[str, Result]:
    """The last result of each job. A line that was cut by a kill is none."""
    return {result.job: result for result in _results(project, environment)}


def _results(project: Project, environment: str) -> list[Result]:
    try:
        lines = _file(project, environment).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MeshwrightError(f"cannot read {_file(project, environment)}: {error.strerror}") from None
    return parsed(lines)


def parsed(lines: Iterable[str]) -> list[Result]:
    """The results that lines of JSON are; one that is none is left out."""
    found = []
    for line in lines:
        try:
            said = json.loads(line)
            result = Result(**{key: said[key] for key in ("job", "at", "exit", "seconds", "message")})
            found += [result] if result.begun.tzinfo else []
        except (ValueError, KeyError, TypeError):
            continue
    return found


def remember(project: Project, environment: str, results: Iterable[Result]) -> None:
    """Writes down results that are kept elsewhere, where newer ones are not known here."""
    known = last(project, environment)
    new = [each for each in results if each.job not in known or known[each.job].begun < each.begun]
    if new:
        _keep(project, environment, new)


def _keep(project: Project, environment: str, results: Iterable[Result]) -> None:
    # Written whole: a kill in the middle of an appended line would spoil the next one.
    with _locked(project, environment, "results", "the writing down of results", patience=10):
        kept = [*_results(project, environment), *results][-_KEPT:]
        text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in kept)
        write_atomically(_file(project, environment), text.encode())


def due(project: Project, env: Environment, at: dt.datetime | None = None) -> list[Wanted]:
    """The jobs that have a time after their last run and not after `at`. A job that is new is only remembered: it has
    missed nothing."""
    at = at or _now()
    known, found, new = last(project, env.name), [], []
    for job in wanted(env):
        if job.name not in known or known[job.name].begun > at:
            # A last run in the future was by a clock that was wrong: it is counted from now on.
            new.append(Result(job.name, utc(at, "milliseconds")))
        elif job.after(known[job.name].begun) <= at:
            found.append(job)
    if new:
        _keep(project, env.name, new)
    return found


def run(project: Project, env: Environment, job: Wanted, say: Callable[[str], None]) -> Result:
    """Runs a job to its end and writes down how it ended. Raises Refused: it is running already."""
    with _locked(project, env.name, job.name, f"the job {job.name} of {env.name}"):
        at, start = _now(), time.monotonic()
        try:
            done = process.run(command(*job.words, "--json"), cwd=str(project.root), timeout=job.timeout, ok=None)
            code = done.code
            message = _message(done.stdout, done.complaint) if code else _waits(done.stdout)
        except ProcessError as error:
            code, message = int(Exit.ERROR), error.message
        before = last(project, env.name).get(job.name)
        result = Result(job.name, utc(at, "milliseconds"), code, round(time.monotonic() - start, 3), message[:_SHOWN])
        _keep(project, env.name, [result])
    if env.schedule is not None and env.schedule.textfile:
        path = project.root / Path(env.schedule.textfile).expanduser()
        try:
            # The exporter runs as a user of its own.
            write_atomically(path, metrics(env.name, last(project, env.name)).encode(), 0o644)
        except OSError as error:
            say(f"cannot write {path}: {error.strerror}")
    if env.schedule is not None and env.schedule.webhook is not None:
        from meshwright.schedule import webhook  # most have none

        failed_before = before is not None and bool(before.exit)
        if env.schedule.webhook.when == "always" or result.exit or failed_before:
            webhook.send(project, env.name, env.schedule.webhook, asdict(result), say)
    return result


def metrics(environment: str, results: Mapping[str, Result]) -> str:
    """The last results in the text format of Prometheus; names of environments and jobs need no quoting."""
    rows: list[tuple[str, str, Callable[[Result], object]]] = [
        ("meshwright_job_exit_code", "What the job's last run ended with; 0 is fine.", lambda r: r.exit),
        ("meshwright_job_start_timestamp_seconds", "When it began.", lambda r: round(r.begun.timestamp())),
        ("meshwright_job_duration_seconds", "How long it took.", lambda r: r.seconds),
    ]
    ran = [each for each in results.values() if each.exit is not None]
    return "".join(
        f"# HELP {name} {says}\n# TYPE {name} gauge\n"
        + "".join(f'{name}{{environment="{environment}",job="{each.job}"}} {value(each)}\n' for each in ran)
        for name, says, value in rows
    )


def _message(out: bytes, complaint: str) -> str:
    try:
        error: Any = json.loads(out)["error"]
        return str(error["message"])
    except (ValueError, TypeError, KeyError):
        return complaint


def _waits(out: bytes) -> str:
    """Why a job that ended well had nothing to do yet; empty where it had."""
    try:
        return str(json.loads(out).get("waits") or "")
    except (ValueError, AttributeError):
        return ""


@contextmanager
def _locked(project: Project, environment: str, name: str, purpose: str, patience: float = 0) -> Iterator[None]:
    """A lock of this machine around a block; waits `patience` seconds for it. Raises Refused."""
    end = time.monotonic() + patience
    while True:
        try:
            held = lock.acquire(f"{prefix(project, environment)}{name}", purpose)
            break
        except Refused:
            if time.monotonic() >= end:
                raise Refused(f"{purpose} is running already", hint="Wait until it has ended") from None
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        held.release()
