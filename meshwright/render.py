"""Plans as text: terraform's signs, one header per thing, changed fields only, one closing line of counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from meshwright.plan import Action, Change, Plan, total

__all__ = ["closing", "plan_lines", "summary"]

_WIDEST_VALUE = 120


def plan_lines(plans: Sequence[Plan]) -> Iterator[str]:
    """The lines of a plan, without colour. Steps that change nothing are not shown; the last line is `closing`."""
    for plan in plans:
        if plan.empty and not plan.notes:
            continue
        yield f"{plan.step}:"
        for change in plan.changes:
            yield from _change(change)
        if plan.after:
            yield f"  known after {plan.after}"
        if plan.unfinished:
            yield "  unfinished: an apply was interrupted, failed, or is at work now; this one sees it through"
        for note in plan.notes:
            yield f"  note: {note}"
    yield closing(plans)


def _change(change: Change) -> Iterator[str]:
    why = f"  ({change.why})" if change.why else ""
    yield f"  {change.action.value} {change.kind} {change.name}{why}"
    for field in change.fields:
        yield f"      {field.path}: {_values(change.action, field.before, field.after)}"
    if change.blocked:
        yield f"      ! {change.blocked.reason}"


def _values(action: Action, before: Any, after: Any) -> str:
    if action is Action.ADD or before is None:
        return _value(after)
    if after is None:
        return f"{_value(before)} -> (removed)"
    return f"{_value(before)} -> {_value(after)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDEST_VALUE else f"{text[: _WIDEST_VALUE - 3]}..."


def summary(plans: Iterable[Plan]) -> dict[str, int]:
    """The counts of a plan, as `--json` shows them."""
    plans = list(plans)
    checked = sum(plan.checked for plan in plans)
    # `checked` counts desired things and things to destroy; what is to be changed in any way is not unchanged.
    touched = sum(len(plan.changes) for plan in plans)
    return {
        "checked": checked,
        "add": total(plans, Action.ADD),
        "change": total(plans, Action.CHANGE),
        "destroy": total(plans, Action.DESTROY),
        "unchanged": max(0, checked - touched),
        "known_later": sum(1 for plan in plans if plan.after),
    }


def closing(plans: Sequence[Plan]) -> str:
    """The last line of a plan: its counts."""
    counts = summary(plans)
    line = f"Plan: {counts['add']} to add, {counts['change']} to change, {counts['destroy']} to destroy"
    blocked = sum(change.blocked is not None for plan in plans for change in plan.changes)
    if blocked:
        line += f"; blocked: {blocked}"
    later = [plan.step for plan in plans if plan.after]
    if later:
        line += f"; known later: {', '.join(later)}"
    unfinished = [plan.step for plan in plans if plan.unfinished]
    if unfinished:
        line += f"; to finish: {', '.join(unfinished)}"
    return line + "."
