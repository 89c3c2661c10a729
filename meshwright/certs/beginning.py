"""The plan of a change of the root that is to begin: what keeps it from beginning, and its phases."""

from __future__ import annotations

from typing import Any

from meshwright.certs import (
    asked,
    candidate,
    enabling,
    injected,
    inventory,
    machines,
    modes,
    phase,
    planning,
    readiness,
    waivers,
)
from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET
from meshwright.certs.contents import Ca, Case
from meshwright.certs.contents import Step as At
from meshwright.certs.modes import Mode
from meshwright.certs.phase import Position
from meshwright.certs.trust import Report
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Plan, digest
from meshwright.target import Target

__all__ = ["plan"]

_AHEAD = (At.BOTH_SIGN_OLD, At.BOTH_SIGN_NEW, At.NEW)
_NOT_MADE = "a new root, made when this is applied"


def plan(
    name: str, target: Target, env: Environment, live: Session, report: Report, at: Position, to: str, mode: Mode
) -> Plan:
    """What is done for `to`, as `asked.TO` has it; another plan where live changes are to be enabled first. Raises
    MeshwrightError (64: nothing was asked for), BadInput, Forbidden, Unreachable."""
    if not to:
        raise MeshwrightError(
            f"no change of the root of {env.name} is under way, and none was asked for",
            hint=f"Say where to, with --to: {asked.TO}",
            exit_code=Exit.USAGE,
        )
    authority, mesh = report.seen.authority, report.seen.mesh
    if authority is None:
        assert report.seen.refused is not None
        raise report.seen.refused
    case = asked.case_of(to, authority)
    new = asked.from_folder(target, to, key=False) if to.startswith(asked.FILES) else None
    if new is not None and authority.roots == {new.root} and at.stable:
        return Plan(name, digest([name, to]), checked=1, notes=("the mesh has this root already",))
    missing = enabling.missing(mesh, env) if mode is Mode.LIVE else []
    if mode is Mode.LIVE and not missing and (without := modes.slow(mesh, report.waived)):
        missing = enabling.opposed(mesh, without)
        if not missing:
            return enabling.plan(name, live, mesh, report)
    found = readiness.findings(case, report, at, inventory.check(live, env), _secrets(live, env))
    found += [*missing, *machines.findings(live, env.certs.vms), *injected.findings(live, mesh)]
    if new is not None:
        alone = next(iter(authority.roots)) if len(authority.roots) == 1 else None
        old = Ca(alone, authority.signer or alone, (), "") if alone else None
        found += candidate.findings(new, old, report.seen.now, asked.LEAF_LIFE, case, key=False)
    root = next(iter(authority.roots), None)
    steps = [step for step in _AHEAD if not (case is Case.EXTEND and step is At.BOTH_SIGN_NEW)]
    ahead = planning.way(live, report, mode, case, steps, planning.written(case, authority))
    why = "it keeps both CAs until it is over"
    bad = [each for each in found if each.state in (State.FAILED, State.NOT_VERIFIED)]
    blocked = Blocked(f"{bad[0].subject}: {bad[0].detail}", bad[0].hint) if bad else None
    changes = [
        Change(Action.ADD, "Secret", f"{env.istio.namespace}/{phase.STANDBY}", why=why, blocked=blocked),
        *waivers.changes(report.waived),
        *planning.phases(ahead, root.label if root else "?", new.root.label if new else _NOT_MADE),
        *planning.restarts(ahead, env.istio.namespace, [plane.name for plane in mesh.planes]),
    ]
    notes = [f"{each.subject}: {each.detail}" for each in found if each.state is State.WARNING]
    notes += [f"{each.subject}: {each.detail}" for each in bad[1:]]
    notes += planning.notes(ahead, report)
    wanted = digest([name, to, mode, new.root.sha256 if new else "", root.sha256 if root else ""])
    return Plan(name, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))


def _secrets(live: Session, env: Environment) -> list[dict[str, Any]]:
    """The CA Secrets without their content."""
    found = []
    for name in (PLUGGED_SECRET, SELF_SIGNED_SECRET):
        secret = live.get("v1", "Secret", name, env.istio.namespace)
        if secret is not None:
            del secret["data"]
            found.append(secret)
    return found
