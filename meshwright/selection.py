"""A part of plans, for looking at: the things that a person names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshwright.errors import BadInput
from meshwright.plan import Change, Plan

__all__ = ["looked_at", "only"]


def only(plans: Sequence[Plan], names: Sequence[str]) -> list[Plan]:
    """`plans` with nothing but the things in `names`, each KIND/NAMESPACE/NAME, or KIND/NAME where there is no
    namespace. What is only known after another step stays, as it may concern them.

    Raises BadInput: one names nothing that was looked at.
    """
    looked_at(plans, names, "--only")
    return [_part(plan, set(names)) for plan in plans]


def looked_at(plans: Sequence[Plan], names: Iterable[str], option: str) -> None:
    """Raises BadInput: one of the names given with `option` names nothing that `plans` have looked at. Where a part of
    them is only known after another step, it may be there."""
    known = {name for plan in plans for name in _looked_at(plan)}
    for name in sorted(set(names) - known):
        if not any(plan.after for plan in plans):
            near = difflib.get_close_matches(name, sorted(known), 1, 0.4)
            raise BadInput(
                f"{option} {name}: this plan has looked at nothing of that name"
                + (f"; the nearest is {near[0]}" if near else ""),
                hint="Write KIND/NAMESPACE/NAME, or KIND/NAME where there is no namespace",
            )


def _looked_at(plan: Plan) -> set[str]:
    return {*plan.seen, *map(_name, plan.changes)}


def _name(change: Change) -> str:
    return f"{change.kind}/{change.name}"


def _part(plan: Plan, names: set[str]) -> Plan:
    looked = _looked_at(plan) & names
    # A note about a thing begins with its kind and name, as plans print them.
    heads = tuple(f"{name.replace('/', ' ', 1)}:" for name in looked)
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if _name(change) in looked),
        checked=len(looked),
        notes=tuple(note for note in plan.notes if note.startswith(heads)),
    )
