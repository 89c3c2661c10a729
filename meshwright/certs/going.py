"""The plan of a change of the root that is under way, forward or back."""

from __future__ import annotations

from dataclasses import replace

from meshwright.certs import asked, moving, phase, planning, waivers
from meshwright.certs.contents import Case
from meshwright.certs.contents import Step as At
from meshwright.certs.modes import Mode
from meshwright.certs.phase import Intention, Phase, Position
from meshwright.certs.trust import Report
from meshwright.errors import Refused
from meshwright.kube import Session
from meshwright.plan import Plan, digest

__all__ = ["ahead", "behind", "plan"]

_ORDER = (At.OLD, At.BOTH_SIGN_OLD, At.BOTH_SIGN_NEW, At.NEW)


def plan(name: str, live: Session, at: Position, meant: Intention, steps: list[At], report: Report, mode: Mode) -> Plan:
    """What is still ahead of a change in `steps`, which `ahead` or `behind` gave. Raises Refused, Forbidden,
    Unreachable."""
    # What a root is called is known only as long as somebody trusts it.
    old, new = (f"root {root[:12]}" for root in (meant.old, meant.new))
    case, authority = Case[meant.case], report.seen.authority
    now = None if at.stable else _here(at)
    way = planning.way(live, report, mode, case, steps, planning.written(case, authority), now)
    changes = planning.phases(way, old, new)
    namespace = report.seen.mesh.namespace
    changes += planning.restarts(way, namespace, [plane.name for plane in report.seen.mesh.planes])
    changes += waivers.changes({name: why for name, why in report.waived.items() if name not in meant.waived})
    notes = [f"the mesh stands at {at.phase}"]
    if not at.stable:
        notes.append(f"{len(at.waiting)} have not followed yet")
    if changes:
        notes += planning.notes(way, report)
    else:
        notes.append(f"the old key waits in Secret {phase.STANDBY}; --to {asked.FORGET} deletes it, and the way back")
    wanted = digest([name, mode, meant.old, meant.new])
    found = Plan(name, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))
    return replace(found, unfinished=not at.stable)


def ahead(at: Position, case: str) -> list[At]:
    """The steps from here to the new root alone. Raises Refused: it is not known where here is."""
    steps = list(_ORDER[_ORDER.index(_here(at)) + 1 :])
    return [step for step in steps if not (case == Case.EXTEND.name and step is At.BOTH_SIGN_NEW)]


def behind(at: Position, case: str) -> list[At]:
    """The steps from here back to the old root alone. Raises Refused, as `ahead` does."""
    steps = list(reversed(_ORDER[: _ORDER.index(_here(at))]))
    return [step for step in steps if not (case == Case.EXTEND.name and step is At.BOTH_SIGN_OLD)]


def _here(at: Position) -> At:
    if at.phase is Phase.UNKNOWN:
        raise Refused(f"it cannot be said where the mesh stands: {at.why}", hint="`meshwright certs verify` says more")
    return moving.STEPS[at.phase]
