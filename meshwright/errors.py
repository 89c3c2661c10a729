"""What can go wrong, as a user sees it: one sentence, one hint, one exit code.

Every error that is expected is a `MeshwrightError`; the edges (the command, the pyinfra adapter) print it once and
exit with its code. Anything else is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeVar

__all__ = [
    "BadInput",
    "Exit",
    "Forbidden",
    "MeshwrightError",
    "ProcessError",
    "Refused",
    "Unreachable",
    "Unverified",
    "outcome",
]

T = TypeVar("T")


class Exit(IntEnum):
    """The exit codes of `meshwright`: the one table in the code; docs/exit-codes.md is the same table in words."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    UNVERIFIED = 4
    PARTIAL = 5
    USAGE = 64
    BAD_INPUT = 65
    INTERRUPTED = 130


class MeshwrightError(Exception):
    """An expected failure.

    `message` is one sentence without a final full stop: what is wrong, with the value. `hint` is what to do next (may
    be empty). `exit_code` is what `meshwright` ends with.
    """

    exit_code: Exit = Exit.ERROR

    def __init__(self, message: str, *, hint: str = "", exit_code: Exit | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class BadInput(MeshwrightError):
    """A value of the user is wrong: nothing was looked at or changed."""

    exit_code = Exit.BAD_INPUT


class Refused(MeshwrightError):
    """The run could go on but must not: window, gate, lock, wrong cluster, stale plan, conflict, needs recreate."""

    exit_code = Exit.REFUSED


class Unverified(MeshwrightError):
    """The change was made, but what it was for does not hold."""

    exit_code = Exit.UNVERIFIED


class Unreachable(MeshwrightError):
    """A live thing gave no answer. It says nothing about whether the thing is there."""


class Forbidden(MeshwrightError):
    """A live thing answered, but not to us (401, 403). It says nothing about whether the thing is there."""


class ProcessError(MeshwrightError):
    """A process ended with a code that was not allowed, ran out of time, or could not be started.

    `command` is the argument list, `output` the last part of what it printed (both streams), `code` its exit code or
    None when there is none.
    """

    def __init__(
        self, message: str, *, command: Sequence[str], output: str = "", code: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.command = tuple(command)
        self.output = output
        self.code = code


def outcome(ask: Callable[[], T]) -> T | MeshwrightError:
    """What `ask` gives, or the error that it raises, which then stands for the answer: for asking many at once."""
    try:
        return ask()
    except MeshwrightError as error:
        return error
