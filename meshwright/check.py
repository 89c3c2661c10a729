"""Checks: true sentences about an environment, how to find out, and the one runner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.target import Target

__all__ = ["Check", "Failed", "NotVerified", "Result", "State", "run"]


class Failed(Exception):
    """The sentence of a check is not true. `str()` is why, one sentence."""


class NotVerified(Exception):
    """It could not be found out whether the sentence of a check is true. `str()` is why."""


class State(StrEnum):
    """How a check ended. Only OK and WARNING are fine; what could not be looked at is never OK."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_VERIFIED = "not verified"


@dataclass(frozen=True)
class Check:
    """A claim and how to find out whether it holds.

    `claim` is a sentence that is true when all is well. `find(target, env)` returns a detail for the reader (may be
    empty) or raises Failed or NotVerified. `hint` is what to do next, with values of the environment as
    `{env.name}`; `anchor` the heading in docs/checks.md.
    A `fatal` check that does not hold ends its run with exit code 1; another is a warning. `retry` is for how many
    seconds a failed look is repeated. `needs` lists anchors that must be OK before it is worth looking.
    """

    group: str
    claim: str
    find: Callable[[Target, Environment], str]
    anchor: str
    hint: str
    fatal: bool = True
    retry: float = 0
    needs: tuple[str, ...] = ()
    applies: Callable[[Environment], bool] = lambda _env: True


@dataclass(frozen=True)
class Result:
    """How one check ended; `detail` says what was found or why it failed; `seconds` is how long it took. `skipped` is
    True for one that was not looked at, because another that it needs does not hold."""

    check: Check
    state: State
    detail: str
    seconds: float
    skipped: bool = False

    @property
    def fatal(self) -> bool:
        """True when this result ends the run with exit code 1."""
        return self.check.fatal and self.state in (State.FAILED, State.NOT_VERIFIED)

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON value of the `--json` output."""
        fine = self.state is State.OK
        return {
            "group": self.check.group,
            "check": self.check.anchor,
            "claim": self.check.claim,
            "state": self.state.value,
            "fatal": self.fatal,
            "detail": self.detail,
            "hint": "" if fine else self.check.hint,
            "docs": f"docs/checks.md#{self.check.anchor}",
            "seconds": round(self.seconds, 3),
        }


def run(
    checks: Iterable[Check], target: Target, env: Environment, *, pause: float = 1.0, patience: float = 1.0
) -> Iterator[Result]:
    """Runs `checks` in order and gives each result as it comes. Never raises for what a check finds.

    A failed look is repeated after `pause` seconds, for `patience` times as long as the check says: more after a
    change, when proxies may still be on their way.
    """
    ok: set[str] = set()
    for check in checks:
        if not check.applies(env):
            continue
        check = replace(check, hint=check.hint.format(env=env))
        start = time.monotonic()
        missing = [anchor for anchor in check.needs if anchor not in ok]
        if missing:
            state, detail = State.NOT_VERIFIED, f"not looked at, because {missing[0]} does not hold"
        else:
            state, detail, hint = _settle(check, target, env, start + check.retry * patience, pause)
            # An error of the core knows better what to do than a check that can fail in several ways.
            check = replace(check, hint=hint) if hint else check
        if state is State.OK:
            ok.add(check.anchor)
        yield Result(check, state, detail, time.monotonic() - start, skipped=bool(missing))


Found = tuple[State, str, str]


def _settle(check: Check, target: Target, env: Environment, deadline: float, pause: float) -> Found:
    while True:
        found = _look(check, target, env)
        if found[0] in (State.OK, State.NOT_VERIFIED) or time.monotonic() + pause > deadline:
            return found
        time.sleep(pause)


def _look(check: Check, target: Target, env: Environment) -> Found:
    """State, detail, and the hint of an error of the core ("" where there is none)."""
    bad = State.FAILED if check.fatal else State.WARNING
    try:
        return State.OK, check.find(target, env), ""
    except Failed as failed:
        return bad, str(failed), ""
    except NotVerified as unknown:
        return State.NOT_VERIFIED, str(unknown), ""
    except (Unreachable, Forbidden) as error:
        return State.NOT_VERIFIED, error.message, error.hint
    except MeshwrightError as error:
        return bad, error.message, error.hint
