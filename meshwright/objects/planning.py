"""What steps that apply a list of objects have in common."""

from __future__ import annotations

from collections.abc import Sequence

from meshwright.environment import Environment
from meshwright.kube import Session
from meshwright.objects.comparing import compare
from meshwright.objects.names import Object
from meshwright.plan import Compared, Plan
from meshwright.target import Target

__all__ = ["back", "plan"]


def plan(step: str, desired: str, target: Target, session: Session, wanted: Sequence[Object]) -> Plan:
    """The plan of the step named `step` that applies `wanted` and deletes nothing. `desired` is the digest of its
    desired state. Raises what `compare` does."""
    compared = compare(session, wanted, adopt=target.shared.options.adopt)
    return Plan(
        step,
        desired,
        compared.changes,
        checked=len(wanted),
        notes=compared.notes,
        seen=compared.seen,
        objects=tuple(wanted),
    )


def back(_target: Target, _env: Environment, session: Session, kept: Sequence[Object]) -> Compared:
    """The `compare` of a step whose objects are Meshwright's own: what brings the live ones back to `kept`."""
    return compare(session, kept, force=True)
