"""What a run may not do, whoever approves it: blocked changes, recreation unasked, too much at a time (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from meshwright.environment import Environment
from meshwright.errors import Refused
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan

__all__ = ["admit", "within_limits"]

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_TEMPLATE = "spec.template"


def admit(plan: Plan, options: Options) -> None:
    """Raises Refused: a change of `plan` is blocked, or is a recreation that was not allowed."""
    blocked = [change for change in plan.changes if change.blocked]
    if blocked:
        raise _refusal(blocked)
    for change in plan.changes:
        if change.action is Action.RECREATE and not options.allow_recreate:
            raise Refused(
                f"{change.kind} {change.name} must be recreated: {change.why}",
                hint="Everything in it is lost. If that is wanted, run again with --allow-recreate",
            )


def _refusal(blocked: Sequence[Change]) -> Refused:
    """The first in full, the rest by name, and the patches for whoever keeps a thing elsewhere."""
    first = blocked[0]
    assert first.blocked is not None
    more = f" (and {len(blocked) - 1} more: the plan shows them with !)" if len(blocked) > 1 else ""
    lines = [first.blocked.hint]
    for change in blocked:
        if change.blocked and change.blocked.patch:
            lines.append(f"What is wanted of {change.kind} {change.name}, as a merge patch:")
            text = yaml.safe_dump(change.blocked.patch, sort_keys=False, allow_unicode=True)
            lines += [f"  {line}" for line in text.splitlines()]
    return Refused(f"{first.kind} {first.name}: {first.blocked.reason}{more}", hint="\n".join(lines))


def within_limits(plans: Iterable[Plan], env: Environment) -> None:
    """Raises Refused: `plans`, all of one run, do more to a protected environment than its `limits` allow.

    Neither an approval nor a saved plan lifts them: a person who has read a hundred changes has read none.
    """
    if not env.protected:
        return
    changes = [change for plan in plans for change in plan.changes]
    counts = {
        "deletions": ("deletes", sum(c.action in (Action.DESTROY, Action.RECREATE) for c in changes)),
        "changes": ("changes", sum(c.action is Action.CHANGE for c in changes)),
        "restarts": ("restarts the pods of", sum(map(_restarts, changes))),
    }
    for key, (verb, count) in counts.items():
        most = getattr(env.limits, key)
        if count > most:
            raise Refused(
                f"{env.name} is protected: this plan {verb} {count} things, limits.{key} allows {most} "
                f"({env.where('limits', key)})",
                hint=f"Apply it in parts, or raise limits.{key} of {env.name} for this one and take it back afterwards",
            )


def _restarts(change: Change) -> bool:
    return (
        change.kind in _WORKLOADS
        and change.action is Action.CHANGE
        and any(field.path.startswith(_TEMPLATE) for field in change.fields)
    )
