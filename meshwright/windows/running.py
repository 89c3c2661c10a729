"""Asking the windows of an environment before each step of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshwright.environment import Environment
from meshwright.plan import Plan
from meshwright.records import history
from meshwright.run import Run
from meshwright.step import Step
from meshwright.target import Target
from meshwright.windows.gate import Gate

__all__ = ["admit"]


def admit(
    run: Run, target: Target, env: Environment, step: Step, following: Sequence[Step], shown: Mapping[str, Plan]
) -> None:
    """`step` is about to change something, then perhaps those `following`, of which `shown` has the plans that are
    known. Notes in the record how the windows stand. Raises Refused where they do not allow it."""
    override = target.shared.options.override
    gate = run.gate(
        lambda: Gate(env, override=override, records=lambda: history.of([target], env).records, say=target.say)
    )
    changing = [each.name for each in following if each.name in shown and not shown[each.name].empty]
    left = [each.name for each in following if each.check or each.name in changing or each.name not in shown]
    fitting = [each.name for each in (step, *following) if each.name in (step.name, *changing) and not each.pauses]
    gate.step(step.name, fitting, [step.name, *left], safe=step.safe)
    target.shared.safe_point = gate.safe_point
    run.note(window=gate.said, override=override)
