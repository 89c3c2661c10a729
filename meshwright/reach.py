"""The clusters that one step writes to: the environment's own, and for few steps further ones."""

from __future__ import annotations

from collections.abc import Sequence

from meshwright import access, cluster, identity
from meshwright.environment import Environment
from meshwright.run import Member, Run
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["admit", "secure"]


def _further(step: Step, target: Target, env: Environment) -> Sequence[tuple[Target, Environment]]:
    return step.reach(target, env) if step.reach is not None else ()


def admit(step: Step, target: Target, env: Environment) -> None:
    """Proves of each further cluster that it is the one that is meant, and that these credentials may change it. Raises
    Refused, Forbidden, Unreachable."""
    for through, other in _further(step, target, env):
        session = cluster.answering(through, other)
        identity.verify(through, other, session)
        access.admit(session, other, [], set())


def secure(run: Run, member: Member, step: Step, env: Environment) -> bool:
    """Takes the Leases of all clusters that `step` writes to, before it writes to any; whether one of them may have
    been changed since it was looked at. Raises what `Run.secure` does."""
    session = cluster.session(member.target, env)
    if session is None:
        return False
    taken = run.secure(member, session, cluster.lock_name(member.target, env))
    for through, other in _further(step, member.target, env):
        # The record of the run is in the environment's own cluster, so this one has no part in it but its Lease.
        part = Member(through, member.deploy, member.steps, {})
        taken |= run.secure(part, cluster.answering(through, other), cluster.lock_name(through, other))
    return taken
