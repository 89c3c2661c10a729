"""Changing the root of a mesh, and taking the change back, as steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshwright import cluster
from meshwright.certs import (
    asked,
    backup,
    candidate,
    enabling,
    injected,
    inventory,
    machines,
    modes,
    moving,
    phase,
    planning,
    readiness,
    standby,
    trust,
    workloads,
)
from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET, Authority
from meshwright.certs.contents import Ca, Case
from meshwright.certs.contents import Step as At
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import Mesh
from meshwright.certs.modes import Mode
from meshwright.certs.moving import Mover
from meshwright.certs.phase import Intention, Phase, Position
from meshwright.certs.restarting import Restarter
from meshwright.certs.standby import Standby
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import Exit, Forbidden, MeshwrightError, Refused, Unverified
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["rollback", "transition"]

_NAME, _BACK = "certs-transition", "certs-rollback"

_ORDER = (At.OLD, At.BOTH_SIGN_OLD, At.BOTH_SIGN_NEW, At.NEW)
_NOT_MADE = "a new root, made when this is applied"
_ENABLE = "enable"


def _look(live: Session, env: Environment) -> tuple[trust.Report, Position, Intention | None]:
    report = trust.verify(live, env, asked.now())
    meant = phase.intention(live, env.istio.namespace) if report.seen.authority is not None else None
    return report, phase.position(report, meant), meant


def _plan(target: Target, env: Environment) -> Plan:
    live, to = cluster.session(target, env), target.shared.options.to
    if live is None:
        return Plan(_NAME, digest([_NAME, to]), after="cluster")
    report, at, meant = _look(live, env)
    mode = modes.mode_of(target.shared.options.mode, meant.mode if meant else "")
    if meant is None and to == asked.FORGET:
        return Plan(_NAME, digest([_NAME, to]), checked=1, notes=("no change of the root is under way",))
    if meant is None:
        return _beginning(target, env, live, report, at, to, mode)
    if to == asked.FORGET:
        return _forgetting(env, at)
    if to and not asked.same(target, to, meant):
        raise Refused(
            f"another change of the root is under way ({at.phase}), so none to {to} can begin",
            hint="Go on with it without --to, or take it back: `meshwright certs rollback`",
        )
    return _going(_NAME, live, at, meant, _ahead(at, meant.case), report, mode)


def _beginning(
    target: Target, env: Environment, live: Session, report: trust.Report, at: Position, to: str, mode: Mode
) -> Plan:
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
        return Plan(_NAME, digest([_NAME, to]), checked=1, notes=("the mesh has this root already",))
    missing = enabling.missing(mesh, env) if mode is Mode.LIVE else []
    if mode is Mode.LIVE and not missing and (without := modes.slow(mesh)):
        missing = enabling.opposed(mesh, without)
        if not missing:
            return _enabling(live, mesh, report)
    secrets, found = _secrets(live, env)
    found += readiness.findings(case, report, at, inventory.check(live, env), secrets)
    found += [*missing, *machines.findings(live), *injected.findings(live, mesh)]
    if new is not None:
        alone = next(iter(authority.roots)) if len(authority.roots) == 1 else None
        old = Ca(alone, authority.signer or alone, (), "") if alone else None
        found += candidate.findings(new, old, report.seen.now, asked.LEAF_LIFE, case, key=False)
    root = next(iter(authority.roots), None)
    steps = [step for step in _ORDER[1:] if not (case is Case.EXTEND and step is At.BOTH_SIGN_NEW)]
    ahead = planning.way(live, report, mode, case, steps, _written(case, authority))
    why = "it keeps both CAs until it is over"
    bad = [each for each in found if each.state in (State.FAILED, State.NOT_VERIFIED)]
    blocked = Blocked(f"{bad[0].subject}: {bad[0].detail}", bad[0].hint) if bad else None
    changes = [
        Change(Action.ADD, "Secret", f"{env.istio.namespace}/{phase.STANDBY}", why=why, blocked=blocked),
        *planning.phases(ahead, root.label if root else "?", new.root.label if new else _NOT_MADE),
        *planning.restarts(ahead, env.istio.namespace, [plane.name for plane in mesh.planes]),
    ]
    notes = [f"{each.subject}: {each.detail}" for each in found if each.state is State.WARNING]
    notes += [f"{each.subject}: {each.detail}" for each in bad[1:]]
    notes += planning.notes(ahead, report)
    wanted = digest([_NAME, to, mode, new.root.sha256 if new else "", root.sha256 if root else ""])
    return Plan(_NAME, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))


def _written(case: Case, authority: Authority | None) -> str:
    """The Secret that a change of this kind writes."""
    if case is Case.EXTEND:
        return authority.secret.rpartition("/")[2] if authority else "?"
    return SELF_SIGNED_SECRET if case is Case.IN_PLACE else PLUGGED_SECRET


def _enabling(live: Session, mesh: Mesh, report: trust.Report) -> Plan:
    """Proxies that were started before both settings were there: a plan of its own, and the change comes after it."""
    held = planning.kept(mesh, modes.slow(mesh), workloads.read(live))
    first = Change(
        Action.CHANGE,
        "Mesh",
        mesh.namespace,
        why=f"enabling live changes of the root costs ONE rolling restart of {len(held)} workloads; the change of the "
        "root itself comes after it: run this again then",
    )
    changes = [first, *(planning.restart(each, ["once"]) for each in held)]
    about = [f"{each.subject}: {each.detail}" for each in planning.gateways(held)]
    notes = [*about, "or without it: --mode restart (in every phase), --mode patient (no restarts, and half-lives)"]
    wanted = digest([_NAME, _ENABLE])
    return Plan(_NAME, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes), payload=_ENABLE)


def _enable(target: Target, env: Environment, live: Session) -> None:
    """Restarts who was started without the settings. Raises Unverified: some lack them still."""
    report, _, _ = _look(live, env)
    mesh = report.seen.mesh
    held = planning.kept(mesh, modes.slow(mesh), workloads.read(live))
    Restarter(live, env.istio.timeout, target.say).restart(held, enabling.mark(live, mesh))
    left = modes.slow(trust.verify(live, env, asked.now()).seen.mesh)
    if left:
        raise Unverified(
            f"{len(left)} proxies still lack {modes.XDS_AGENT}, first {left[0]}",
            hint="Restart what keeps them, or change the root with --mode restart",
        )
    target.say("every proxy takes new roots over while it runs: now the root can be changed, by running this again")


def _secrets(live: Session, env: Environment) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The CA Secrets without their content, and those of other clusters, which few may list."""
    namespace, found = env.istio.namespace, []
    for name in (PLUGGED_SECRET, SELF_SIGNED_SECRET):
        secret = live.get("v1", "Secret", name, namespace)
        if secret is not None:
            del secret["data"]
            found.append(secret)
    try:
        found += live.list("v1", "Secret", namespace, labels="istio/multiCluster=true", metadata_only=True)
    except Forbidden:
        text = "it may not be asked whether the mesh has other clusters; if it has, they must be changed with this one"
        return found, [Finding(State.WARNING, "other clusters", text)]
    return found, []


def _ahead(at: Position, case: str) -> list[At]:
    steps = list(_ORDER[_ORDER.index(_at(at)) + 1 :])
    return [step for step in steps if not (case == Case.EXTEND.name and step is At.BOTH_SIGN_NEW)]


def _behind(at: Position, case: str) -> list[At]:
    steps = list(reversed(_ORDER[: _ORDER.index(_at(at))]))
    return [step for step in steps if not (case == Case.EXTEND.name and step is At.BOTH_SIGN_OLD)]


def _at(at: Position) -> At:
    if at.phase is Phase.UNKNOWN:
        raise Refused(f"it cannot be said where the mesh stands: {at.why}", hint="`meshwright certs verify` says more")
    return moving.STEPS[at.phase]


def _going(
    name: str, live: Session, at: Position, meant: Intention, steps: list[At], report: trust.Report, mode: Mode
) -> Plan:
    known = {each.sha256: each.label for each in report.expected.known | report.expected.roots}
    old, new = known.get(meant.old, meant.old[:12]), known.get(meant.new, meant.new[:12])
    case, authority = Case[meant.case], report.seen.authority
    now = None if at.stable else _at(at)
    ahead = planning.way(live, report, mode, case, steps, _written(case, authority), now)
    changes = planning.phases(ahead, old, new)
    notes = [f"the mesh stands at {at.phase}"]
    if not at.stable:
        notes.append(f"{len(at.waiting)} have not followed yet")
    if changes:
        namespace = report.seen.mesh.namespace
        changes += planning.restarts(ahead, namespace, [plane.name for plane in report.seen.mesh.planes])
        notes += planning.notes(ahead, report)
    else:
        notes.append(f"the old key waits in Secret {phase.STANDBY}; --to {asked.FORGET} deletes it, and the way back")
    wanted = digest([name, mode, meant.old, meant.new])
    found = Plan(name, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))
    return replace(found, unfinished=not at.stable)


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
    if plan.payload == _ENABLE:
        _enable(target, env, live)
        return
    if to and standby.read(live, namespace) is None:
        mode = modes.mode_of(target.shared.options.mode)
        standby.keep(live, replace(asked.made(target, env, live, to), mode=mode), namespace)
    moving.forward(_mover(target, env, live))
    target.say(f"the old key waits in Secret {namespace}/{phase.STANDBY} until `--to {asked.FORGET}`")


def _mover(target: Target, env: Environment, live: Session) -> Mover:
    """What moves the change that was begun, in the mode that is asked for. Raises Refused: there is none."""
    change: Standby | None = standby.read(live, env.istio.namespace)
    if change is None:
        hint = "`meshwright certs status` says where the mesh stands"
        raise Refused("the standby Secret is gone: somebody else has ended this change", hint=hint)
    mode = modes.mode_of(target.shared.options.mode, change.mode)
    if mode is not change.mode:
        standby.follow(live, env.istio.namespace, mode)
    mover = Mover(live, env, replace(change, mode=mode), target.say)
    mover.safe_point = target.shared.safe_point
    return mover


def _plan_back(target: Target, env: Environment) -> Plan:
    live = cluster.session(target, env)
    if live is None:
        return Plan(_BACK, digest([_BACK]), after="cluster")
    report, at, meant = _look(live, env)
    if meant is None:
        raise MeshwrightError(
            f"no change of the root of {env.name} is under way, so there is nothing to take back",
            hint=f"It needs Secret {phase.STANDBY}, which a change keeps until `--to {asked.FORGET}`",
        )
    mode = modes.mode_of(target.shared.options.mode, meant.mode)
    plan = _going(_BACK, live, at, meant, _behind(at, meant.case), report, mode)
    namespace = env.istio.namespace
    ends = []
    if meant.case == Case.PLUG_IN.name:
        why = "istiod is on its own CA again, and is restarted for that"
        ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/{PLUGGED_SECRET}", why=why))
    ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/{phase.STANDBY}", why="the change is over"))
    told = [note for note in plan.notes if asked.FORGET not in note]
    return replace(plan, changes=(*plan.changes, *ends), notes=tuple(told))


def _apply_back(target: Target, env: Environment, _plan: Plan) -> None:
    live, namespace = cluster.answering(target, env), env.istio.namespace
    mover = _mover(target, env, live)
    held = moving.back(mover)
    used = held.report.seen.authority
    if mover.change.case is Case.PLUG_IN and used is not None and used.secret == f"{namespace}/{PLUGGED_SECRET}":
        # Here, and only here, a CA Secret is deleted: what istiod falls back to has the same root and key.
        live.delete("v1", "Secret", PLUGGED_SECRET, namespace)
        mover.restart(f"{At.OLD}-without-{used.used.version if used.used else PLUGGED_SECRET}")
        mover.gate(At.OLD)
    standby.forget(live, namespace)


transition = backup.before(Step(_NAME, _plan, _apply, pauses=True))
"""Changes the root of the mesh, phase by phase; goes on with a change that is under way."""

rollback = Step(_BACK, _plan_back, _apply_back, safe=True)
"""Takes a change of the root back, from any phase."""
