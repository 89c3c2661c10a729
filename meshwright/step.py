"""Steps: what deploys are lists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.environment import Environment
from meshwright.kube import Session
from meshwright.plan import Compared, Plan
from meshwright.target import Target

__all__ = ["Step"]


@dataclass(frozen=True)
class Step:
    """One part of a deploy.

    `plan(target, env)` looks and changes nothing. It is total: what does not exist yet gives a plan, not an error; an
    unreachable or forbidden thing raises (DESIGN 3). `apply(target, env, plan)` does what the plan says, waits until
    it holds, and can be run again after being killed at any instant.

    `check` marks a step that only looks: its plan is always empty, its apply runs at the end of an otherwise
    unchanged run too, and raises when what it checks does not hold.

    `cluster` says whether the step talks to the environment's cluster (then identity and ownership are looked at
    before its first write). `destructive` is for steps such as destroy that a protected environment refuses.

    `safe` is for steps that no window refuses: those that lead back or to a safe point, such as a rollback, and those
    that do not touch the environment itself.

    `pauses` is for steps that stop by themselves at a safe point when a window ends, and are gone on with in the next
    one: they need not fit into the time that is left.

    `reach(target, env)` is there for steps that write to more clusters than the environment's: all of them, each with
    the target that leads to it. Their identity and rights are looked at, and their Leases taken, before any is written.

    `compare(target, env, session, objects)` is there for steps whose plans have `objects`: what it would take to bring
    the live ones back to `objects`, an earlier set of these, by force. Drift is found by it.
    """

    name: str
    plan: Callable[[Target, Environment], Plan]
    apply: Callable[[Target, Environment, Plan], None]
    check: bool = False
    cluster: bool = True
    destructive: bool = False
    safe: bool = False
    pauses: bool = False
    reach: Callable[[Target, Environment], Sequence[tuple[Target, Environment]]] | None = None
    compare: Callable[[Target, Environment, Session, Sequence[dict[str, Any]]], Compared] | None = None
