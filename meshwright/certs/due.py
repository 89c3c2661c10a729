"""Whether a change of the root that begins by itself is due: by the days that the root has left.

It has to begin before istiod's own rotator acts, which in the last part of a root's life signs it anew with the same
key, at a moment that nobody chose, and writes one certificate over whatever is in its Secret.
"""

from __future__ import annotations

import datetime as dt

from meshwright.certs import authority as authorities
from meshwright.certs import phase, trust
from meshwright.certs.authority import Authority, Kind
from meshwright.certs.mesh import Mesh, grace, look
from meshwright.environment import Environment
from meshwright.errors import BadInput, Refused
from meshwright.kube import Session

__all__ = ["early_enough", "waits"]

_DAY = dt.timedelta(days=1)


def early_enough(live: Session, env: Environment, days: int) -> None:
    """Raises BadInput: a change that begins when the root has fewer than `days` left comes after istiod's rotator.
    Raises Forbidden, Unreachable, BrokenBundle."""
    mesh = look(live, env)
    _before_the_rotator(authorities.find(live, mesh), mesh, env, days)


def _before_the_rotator(found: Authority, mesh: Mesh, env: Environment, days: int) -> None:
    if found.kind is not Kind.SELF_SIGNED or found.signer is None:
        return  # nobody but who keeps that CA renews it
    life = found.signer.not_after - found.signer.not_before
    last = life * grace(mesh) / 100
    if days * _DAY <= last:
        where = env.where("schedule", "transition", "days")
        place = f" ({where})" if where != "default" else ""
        raise BadInput(
            f"a change below {days} days{place} is too late: in the last {last // _DAY} of a root's {life // _DAY} "
            "days istiod signs it anew by itself",
            hint=f"Let it begin earlier, below {last // _DAY + 1} days or more",
        )


def waits(live: Session, env: Environment, days: int, now: dt.datetime) -> str:
    """Why no change begins now; empty where one is due, or under way.

    Raises BadInput: it would come after istiod's rotator. Refused: a new one is due, and the old key of the one before
    was never forgotten. Raises Forbidden, Unreachable, BrokenBundle.
    """
    mesh = look(live, env)
    found = authorities.find(live, mesh)
    _before_the_rotator(found, mesh, env, days)
    if not found.roots or not found.driven:
        return ""  # what is wrong with that, the plan says
    first = min(found.roots, key=lambda root: root.not_after)
    left = first.days(now)
    meant = phase.intention(live, env.istio.namespace)
    if meant is None:
        return "" if left < days else f"the root has {left} days left; its change begins below {days}"
    if {root.sha256 for root in found.roots} != {meant.new}:
        return ""  # it goes on
    if left < days:
        raise Refused(
            f"the root has {left} days left, fewer than {days}, but the change before is not over: its old key still "
            f"waits in Secret {phase.STANDBY}",
            hint=f"`meshwright certs transition {env.name} --to forget` deletes that key; then this begins",
        )
    if not phase.position(trust.verify(live, env, now), meant).stable:
        return ""
    return f"the root has {left} days left; the old key still waits in Secret {phase.STANDBY}, for `--to forget`"
