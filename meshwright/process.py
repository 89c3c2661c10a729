"""The one way in which Meshwright starts processes on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from meshwright.errors import ProcessError

__all__ = ["Completed", "failure", "run"]

_OUTPUT_KEPT = 4000
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: the child must not import anything.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_LAST_WORDS = 1.0
# Ours to set, never inherited: a process that picks up the operator's own cluster by accident is the worst accident.
_NEVER_INHERITED = ("KUBECONFIG",)


@dataclass(frozen=True)
class Completed:
    """A process that ended. `stdout` and `stderr` are bytes as they came."""

    command: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """The last part of standard error, or of standard output where that is empty, as text."""
        return (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")[-_OUTPUT_KEPT:]


def failure(done: Completed, hint: str = "") -> ProcessError:
    """The error for a process that ended with a code that was not allowed."""
    last = done.complaint.splitlines()[-1:] or ["no output"]
    return ProcessError(
        f"{os.path.basename(done.command[0])} exited with {done.code}: {last[0]}",  # noqa: PTH119
        command=done.command,
        output=done.complaint,
        code=done.code,
        hint=hint,
    )


def run(
    command: Sequence[str],
    *,
    input: bytes | None = None,  # noqa: A002 - the name that subprocess.run uses
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float = 60,
    ok: Collection[int] | None = (0,),
    hint: str = "",
) -> Completed:
    """Runs `command` (an argument list, no shell) to its end.

    `env` is added to this process's own environment, without KUBECONFIG. `timeout` is in seconds; when it passes, the
    whole process group is ended. `ok` lists the allowed exit codes, None allows all.

    Raises ProcessError: not to be started, out of time, or an exit code that is not in `ok`.
    """
    command = tuple(command)
    environment = {k: v for k, v in os.environ.items() if k not in _NEVER_INHERITED} | dict(env or {})
    try:
        # A group of its own, so that a time-out ends its children too.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with_parent if _PRCTL else None,
        )
    except OSError as error:
        why = error.strerror or str(error)
        if cwd is not None and error.filename == cwd:
            why = f"{cwd}: {why}"
        raise ProcessError(f"cannot start {command[0]}: {why}", command=command, hint=hint) from None
    try:
        stdout, stderr = process.communicate(input=input, timeout=timeout)
    except subprocess.TimeoutExpired:
        _end_group(process)
        stdout, stderr = _last_words(process)
        done = Completed(command, process.returncode, stdout, stderr)
        raise ProcessError(
            f"{shlex.join(command[:3])} did not end within {timeout:g} s",
            command=command,
            output=done.complaint,
            hint=hint,
        ) from None
    except BaseException:
        _end_group(process)
        process.wait()
        raise
    done = Completed(command, process.returncode, stdout, stderr)
    if ok is not None and done.code not in ok:
        raise failure(done, hint)
    return done


def _die_with_parent() -> None:
    """In the child, on Linux: ends it when this process is killed. A k3d that goes on creating a cluster after its run
    was killed would work against the run that comes next."""
    assert _PRCTL is not None
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_words(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What an ended process has printed; nothing where a daemon that left its group still holds its output open."""
    try:
        return process.communicate(timeout=_LAST_WORDS)
    except subprocess.TimeoutExpired as error:
        for stream in (process.stdout, process.stderr):
            # Under gevent (in pyinfra) its own reader still waits in there; then it is closed with the reader.
            with contextlib.suppress(RuntimeError):
                if stream is not None:
                    stream.close()
        process.wait()
        return error.stdout or b"", error.stderr or b""
