"""The checks of an environment, in the order in which they are made, and the step that makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from meshwright import check
from meshwright.check import Check
from meshwright.checks import (
    addons,
    control_plane,
    credentials,
    data_plane,
    gateway,
    host,
    kubernetes,
    limits,
    programs,
    sample,
    telemetry,
)
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.journal import Journal
from meshwright.plan import Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["CHECKS", "GROUPS", "WHEN_ASKED", "chosen", "counts", "hold", "made"]

CHECKS: tuple[Check, ...] = (
    *host.CHECKS,
    *programs.CHECKS,
    *kubernetes.CHECKS,
    *control_plane.CHECKS,
    *data_plane.CHECKS,
    *limits.CHECKS,
    *sample.CHECKS,
    *gateway.CHECKS,
    *credentials.CHECKS,
)
"""A check comes after those that it needs."""

WHEN_ASKED: tuple[Check, ...] = (*addons.CHECKS, *telemetry.CHECKS)
"""Those of groups that are made only when somebody names them: a deploy of its own brings up what they look at."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(each.group for each in (*CHECKS, *WHEN_ASKED)))
"""The groups, in order."""

_PATIENCE = 6.0
"""At the end of a deploy: what it changed, such as a restarted istiod, may still be settling."""


def chosen(groups: Sequence[str]) -> list[Check]:
    """The checks of `groups` and those that they need, in order; no groups: all but those that are made when asked."""
    if not groups:
        return list(CHECKS)
    known = [*CHECKS, *WHEN_ASKED]
    wanted: set[str] = set()
    for each in reversed(known):
        if each.group in groups or each.anchor in wanted:
            wanted |= {each.anchor, *each.needs}
    return [each for each in known if each.anchor in wanted]


def counts(results: Sequence[check.Result]) -> dict[str, int]:
    """How many checks were made, and how many ended in each state; the keys of the `--json` summary."""
    by_state = {state.value.replace(" ", "_"): sum(r.state is state for r in results) for state in check.State}
    return {"checked": len(results), **by_state}


def _step(name: str, wanted: Callable[[], Sequence[Check]], *, some: bool) -> Step:
    """The step that makes these checks; with `some`, that none of them applies is an error."""

    def plan(_target: Target, env: Environment) -> Plan:
        return Plan(name, digest([each.anchor for each in wanted() if each.applies(env)]))

    def apply(target: Target, env: Environment, _plan: Plan) -> None:
        if some or any(each.applies(env) for each in wanted()):
            _make(wanted(), target, env)

    return Step(name, plan, apply, check=True)


def _make(made: Sequence[Check], target: Target, env: Environment) -> None:
    journal = Journal.of_process()
    results = []
    for result in check.run(made, target, env, patience=_PATIENCE):
        results.append(result)
        journal.write("check", result=result.as_json())
        if result.state is not check.State.OK:
            target.say(f"{result.state}: {result.check.claim}: {result.detail}")
    failed = [result for result in results if result.fatal]
    if failed:
        first = failed[0]
        raise MeshwrightError(
            f"{len(failed)} of {len(results)} checks do not hold, first: {first.check.claim}: {first.detail}",
            hint=f"{first.check.hint} (docs/checks.md#{first.check.anchor})",
        )
    if not results:
        raise MeshwrightError("0 checks were made, so nothing is known to hold")
    warnings = counts(results)["warning"]
    target.say(
        f"{len(results)} checks were made, {warnings} with a warning" if warnings else f"{len(results)} checks hold"
    )


hold = _step("check", lambda: CHECKS, some=True)
"""Makes all checks. Its plan is always empty; it fails when a fatal check does not hold or could not be verified."""


def made(group: str) -> Step:
    """The step that makes the checks of one group alone, those that they need left out: for the end of the deploy that
    brings up what the group looks at. Nothing is looked at where none of them applies."""
    own = [each for each in (*CHECKS, *WHEN_ASKED) if each.group == group]
    anchors = {each.anchor for each in own}
    kept = [replace(each, needs=tuple(need for need in each.needs if need in anchors)) for each in own]
    return _step(f"check {group}", lambda: kept, some=False)
