"""Changing the root of a mesh, and taking the change back, as steps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from meshwright import cluster
from meshwright.certs import asked, backup, beginning, enabling, going, modes, moving, phase, standby, trust, waivers
from meshwright.certs.authority import PLUGGED_SECRET
from meshwright.certs.contents import Case
from meshwright.certs.contents import Step as At
from meshwright.certs.mesh import look
from meshwright.certs.moving import Mover
from meshwright.certs.phase import Intention, Phase, Position
from meshwright.certs.standby import Standby
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Refused
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["leave", "made", "mover", "rollback", "transition"]

_NAME, _BACK = "certs-transition", "certs-rollback"


def _look(target: Target, live: Session, env: Environment) -> tuple[trust.Report, Position, Intention | None]:
    """One look, with the waivers that are kept with the change and those that this run adds."""
    report = trust.verify(live, env, asked.now())
    meant = phase.intention(live, env.istio.namespace) if report.seen.authority is not None else None
    waived = dict(meant.waived) if meant else {}
    waived |= waivers.asked(target.shared.options, report.seen.mesh, waived)
    report = trust.report(report.seen, waived) if waived else report
    return report, phase.position(report, meant), meant


def _plan(target: Target, env: Environment) -> Plan:
    live, to = cluster.session(target, env), target.shared.options.to
    if live is None:
        return Plan(_NAME, digest([_NAME, to]), after="cluster")
    report, at, meant = _look(target, live, env)
    mode = modes.mode_of(target.shared.options.mode, meant.mode if meant else "")
    if meant is None and to == asked.FORGET:
        return Plan(_NAME, digest([_NAME, to]), checked=1, notes=("no change of the root is under way",))
    if meant is None:
        return beginning.plan(_NAME, target, env, live, report, at, to, mode)
    if to == asked.FORGET:
        return _forgetting(env, at)
    if to and not asked.same(target, to, meant):
        raise Refused(
            f"another change of the root is under way ({at.phase}), so none to {to} can begin",
            hint="Go on with it without --to, or take it back: `meshwright certs rollback`",
        )
    return going.plan(_NAME, live, at, meant, going.ahead(at, meant.case), report, mode)


def _forgetting(env: Environment, at: Position) -> Plan:
    name = f"{env.istio.namespace}/{phase.STANDBY}"
    blocked = None
    if at.phase not in (Phase.NEW_ALONE, Phase.REST) or not at.stable:
        blocked = Blocked(
            f"the mesh stands at {at.phase}: the keys in it are still needed", "Finish it, or take it back"
        )
    change = Change(Action.DESTROY, "Secret", name, why="from here nothing leads back", blocked=blocked)
    return Plan(_NAME, digest([_NAME, asked.FORGET]), (change,), checked=1)


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    live, to, namespace = cluster.answering(target, env), target.shared.options.to, env.istio.namespace
    if to == asked.FORGET:
        standby.forget(live, namespace)
        return
    if plan.payload == enabling.ENABLE:
        enabling.restart(target, env, live, target.shared.options.waive)
        return
    if to and standby.read(live, namespace) is None:
        standby.keep(live, made(target, env, live, to), namespace)
    moving.forward(mover(target, env, live))
    target.say(f"the old key waits in Secret {namespace}/{phase.STANDBY} until `--to {asked.FORGET}`")


def made(target: Target, env: Environment, live: Session, to: str) -> Standby:
    """The change to `to`, as it is kept: both CAs with their keys, the mode and the waivers of this run. Raises as
    `asked.made` and `waivers.asked` do."""
    mode = modes.mode_of(target.shared.options.mode)
    return replace(asked.made(target, env, live, to), mode=mode, waived=_waived(target, env, live))


def mover(target: Target, env: Environment, live: Session) -> Mover:
    """What moves the change that was begun, in the mode that is asked for. Raises Refused: there is none."""
    change: Standby | None = standby.read(live, env.istio.namespace)
    if change is None:
        hint = "`meshwright certs status` says where the mesh stands"
        raise Refused("the standby Secret is gone: somebody else has ended this change", hint=hint)
    mode = modes.mode_of(target.shared.options.mode, change.mode)
    waived = {**change.waived, **_waived(target, env, live, change.waived)}
    if mode is not change.mode or waived != change.waived:
        standby.follow(live, env.istio.namespace, mode, waived)
    found = Mover(live, env, replace(change, mode=mode, waived=waived), target.say)
    found.safe_point = target.shared.safe_point
    return found


def _waived(target: Target, env: Environment, live: Session, already: Collection[str] = ()) -> dict[str, str]:
    """What this run waives. Raises as `waivers.asked` does."""
    options = target.shared.options
    return waivers.asked(options, look(live, env), already) if options.waive else {}


def _plan_back(target: Target, env: Environment) -> Plan:
    live = cluster.session(target, env)
    if live is None:
        return Plan(_BACK, digest([_BACK]), after="cluster")
    report, at, meant = _look(target, live, env)
    if meant is None:
        raise MeshwrightError(
            f"no change of the root of {env.name} is under way, so there is nothing to take back",
            hint=f"It needs Secret {phase.STANDBY}, which a change keeps until `--to {asked.FORGET}`",
        )
    mode = modes.mode_of(target.shared.options.mode, meant.mode)
    plan = going.plan(_BACK, live, at, meant, going.behind(at, meant.case), report, mode)
    namespace = env.istio.namespace
    ends = []
    if meant.case == Case.PLUG_IN.name:
        why = "istiod is on its own CA again, and is restarted for that"
        ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/{PLUGGED_SECRET}", why=why))
    ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/{phase.STANDBY}", why="the change is over"))
    told = [note for note in plan.notes if asked.FORGET not in note]
    return replace(plan, changes=(*plan.changes, *ends), notes=tuple(told))


def _apply_back(target: Target, env: Environment, _plan: Plan) -> None:
    found = mover(target, env, cluster.answering(target, env))
    leave(found, moving.back(found).report)


def leave(found: Mover, report: trust.Report) -> None:
    """Ends a change that was taken back: `report` has seen the old root alone."""
    live, namespace, used = found.session, found.env.istio.namespace, report.seen.authority
    if found.change.case is Case.PLUG_IN and used is not None and used.secret == f"{namespace}/{PLUGGED_SECRET}":
        # Here, and only here, a CA Secret is deleted: what istiod falls back to has the same root and key.
        live.delete("v1", "Secret", PLUGGED_SECRET, namespace)
        found.restart(f"{At.OLD}-without-{used.used.version if used.used else PLUGGED_SECRET}")
        found.gate(At.OLD)
    standby.forget(live, namespace)


transition = backup.before(Step(_NAME, _plan, _apply, pauses=True))
"""Changes the root of the mesh, phase by phase; goes on with a change that is under way."""

rollback = Step(_BACK, _plan_back, _apply_back, safe=True)
"""Takes a change of the root back, from any phase."""
