"""Changing the root of a mesh, and taking the change back, as steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshwright import cluster
from meshwright.certs import asked, candidate, inventory, moving, phase, readiness, standby, trust
from meshwright.certs.contents import Ca, Case
from meshwright.certs.contents import Step as At
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import session as opened
from meshwright.certs.mesh import true
from meshwright.certs.moving import Mover
from meshwright.certs.phase import Intention, Phase, Position
from meshwright.certs.standby import Standby
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import Exit, Forbidden, MeshwrightError, Refused
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Field, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["rollback", "transition"]

_NAME, _BACK = "certs-transition", "certs-rollback"

_ORDER = (At.OLD, At.BOTH_SIGN_OLD, At.BOTH_SIGN_NEW, At.NEW)
_WAYS = {
    At.OLD: "trust the old root alone",
    At.BOTH_SIGN_OLD: "trust both roots, sign with the old one",
    At.BOTH_SIGN_NEW: "trust both roots, sign with the new one",
    At.NEW: "trust the new root alone",
}
_NOT_MADE = "a new root, made when this is applied"


def _look(live: Session, env: Environment) -> tuple[trust.Report, Position, Intention | None]:
    report = trust.verify(live, env, asked.now())
    meant = phase.intention(live, env.istio.namespace) if report.seen.authority is not None else None
    return report, phase.position(report, meant), meant


def _plan(target: Target, env: Environment) -> Plan:
    live, to = cluster.session(target, env), target.shared.options.to
    if live is None:
        return Plan(_NAME, digest([_NAME, to]), after="cluster")
    report, at, meant = _look(live, env)
    if meant is None and to == asked.FORGET:
        return Plan(_NAME, digest([_NAME, to]), checked=1, notes=("no change of the root is under way",))
    if meant is None:
        return _beginning(target, env, live, report, at, to)
    if to == asked.FORGET:
        return _forgetting(env, at)
    if to and not asked.same(target, to, meant):
        raise Refused(
            f"another change of the root is under way ({at.phase}), so none to {to} can begin",
            hint="Go on with it without --to, or take it back: `meshwright certs rollback`",
        )
    return _going(_NAME, at, meant, _ahead(at, meant.case), report)


def _beginning(target: Target, env: Environment, live: Session, report: trust.Report, at: Position, to: str) -> Plan:
    if not to:
        raise MeshwrightError(
            f"no change of the root of {env.name} is under way, and none was asked for",
            hint=f"Say where to, with --to: {asked.TO}",
            exit_code=Exit.USAGE,
        )
    authority = report.seen.authority
    if authority is None:
        assert report.seen.refused is not None
        raise report.seen.refused
    case = asked.case_of(to, authority)
    new = asked.from_folder(target, to, key=False) if to.startswith(asked.FILES) else None
    if new is not None and authority.roots == {new.root} and at.stable:
        return Plan(_NAME, digest([_NAME, to]), checked=1, notes=("the mesh has this root already",))
    versions = inventory.check(live, env)
    secrets, found = _secrets(live, env)
    found += readiness.findings(case, report, at, versions, secrets)
    found += _live_mode(report, versions)
    if new is not None:
        alone = next(iter(authority.roots)) if len(authority.roots) == 1 else None
        old = Ca(alone, authority.signer or alone, (), "") if alone else None
        found += candidate.findings(new, old, report.seen.now, asked.LEAF_LIFE, case, key=False)
    bad = [each for each in found if each.state in (State.FAILED, State.NOT_VERIFIED)]
    root = next(iter(authority.roots), None)
    steps = [step for step in _ORDER[1:] if not (case is Case.EXTEND and step is At.BOTH_SIGN_NEW)]
    changes = [
        Change(
            Action.ADD, "Secret", f"{env.istio.namespace}/{phase.STANDBY}", why="it keeps both CAs until it is over"
        ),
        *_changes(steps, root.label if root else "?", new.root.label if new else _NOT_MADE),
    ]
    if bad:
        first = Blocked(f"{bad[0].subject}: {bad[0].detail}", bad[0].hint)
        changes[0] = Change(changes[0].action, changes[0].kind, changes[0].name, why=changes[0].why, blocked=first)
    notes = [f"{each.subject}: {each.detail}" for each in found if each.state is State.WARNING]
    notes += [f"{each.subject}: {each.detail}" for each in bad[1:]]
    wanted = digest([_NAME, to, new.root.sha256 if new else "", root.sha256 if root else ""])
    return Plan(_NAME, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))


def _secrets(live: Session, env: Environment) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The CA Secrets without their content, and those of other clusters, which few may list."""
    namespace, found = env.istio.namespace, []
    for name in ("cacerts", "istio-ca-secret"):
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


def _live_mode(report: trust.Report, versions: inventory.Report) -> list[Finding]:
    """Nothing restarts workloads here: so all must take new roots over while they run."""
    without = [part for part in versions.parts if part.kind in ("sidecar", "gateway", "waypoint") and not part.live]
    if true(report.seen.mesh.setting("ISTIO_MULTIROOT_MESH")) and not without:
        return []
    text = f"istiod lacks ISTIO_MULTIROOT_MESH, or proxies PROXY_CONFIG_XDS_AGENT ({len(without)} of them)"
    hint = "Set both in istio.values and istio.meshConfig, apply, and restart the workloads once, before the change"
    return [Finding(State.FAILED, "live change of roots", text, hint)]


def _changes(steps: Sequence[At], old: str, new: str) -> list[Change]:
    trusted = {At.OLD: [old], At.BOTH_SIGN_OLD: [old, new], At.BOTH_SIGN_NEW: [old, new], At.NEW: [new]}
    signs = {At.OLD: old, At.BOTH_SIGN_OLD: old, At.BOTH_SIGN_NEW: new, At.NEW: new}
    return [
        Change(
            Action.CHANGE,
            "Phase",
            step.value,
            (Field("trusted", None, trusted[step]), Field("signs", None, signs[step])),
            f"{_WAYS[step]}; then everything must have followed, seen twice",
        )
        for step in steps
    ]


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


def _going(name: str, at: Position, meant: Intention, steps: list[At], report: trust.Report) -> Plan:
    known = {each.sha256: each.label for each in report.expected.known | report.expected.roots}
    old, new = known.get(meant.old, meant.old[:12]), known.get(meant.new, meant.new[:12])
    changes = _changes(steps, old, new)
    if not at.stable:
        why = f"its gate does not hold yet: {len(at.waiting)} have not followed"
        changes.insert(0, Change(Action.CHANGE, "Phase", f"{_at(at).value} (now)", why=why))
    notes = [f"the mesh stands at {at.phase}"]
    if not changes:
        notes.append(f"the old key waits in Secret {phase.STANDBY}; --to {asked.FORGET} deletes it, and the way back")
    wanted = digest([name, meant.old, meant.new])
    return Plan(name, wanted, tuple(changes), checked=len(report.findings), notes=tuple(notes))


def _forgetting(env: Environment, at: Position) -> Plan:
    name = f"{env.istio.namespace}/{phase.STANDBY}"
    blocked = None
    if at.phase not in (Phase.NEW_ALONE, Phase.REST) or not at.stable:
        blocked = Blocked(
            f"the mesh stands at {at.phase}: the keys in it are still needed", "Finish it, or take it back"
        )
    change = Change(Action.DESTROY, "Secret", name, why="from here nothing leads back", blocked=blocked)
    return Plan(_NAME, digest([_NAME, asked.FORGET]), (change,), checked=1)


def _apply(target: Target, env: Environment, _plan: Plan) -> None:
    live, to, namespace = opened(target, env), target.shared.options.to, env.istio.namespace
    if to == asked.FORGET:
        standby.forget(live, namespace)
        return
    if to and standby.read(live, namespace) is None:
        standby.keep(live, asked.made(target, env, live, to), namespace)
    change = standby.read(live, namespace)
    if change is None:
        raise Refused(
            "the standby Secret is gone: somebody else has ended this change", hint="`meshwright certs status`"
        )
    moving.forward(Mover(live, env, change, target.say))
    target.say(f"the old key waits in Secret {namespace}/{phase.STANDBY} until `--to {asked.FORGET}`")


def _kept(live: Session, namespace: str) -> Standby:
    change = standby.read(live, namespace)
    if change is None:
        hint = "`meshwright certs status` says where the mesh stands"
        raise Refused("the standby Secret is gone: somebody else has ended this change", hint=hint)
    return change


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
    plan = _going(_BACK, at, meant, _behind(at, meant.case), report)
    namespace = env.istio.namespace
    ends = []
    if meant.case == Case.PLUG_IN.name:
        why = "istiod is on its own CA again, and is restarted for that"
        ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/cacerts", why=why))
    ends.append(Change(Action.DESTROY, "Secret", f"{namespace}/{phase.STANDBY}", why="the change is over"))
    return Plan(_BACK, plan.desired, (*plan.changes, *ends), checked=plan.checked, notes=plan.notes[:1])


def _apply_back(target: Target, env: Environment, _plan: Plan) -> None:
    live, namespace = opened(target, env), env.istio.namespace
    change = standby.read(live, namespace)
    if change is None:
        raise Refused(
            "the standby Secret is gone: somebody else has ended this change", hint="`meshwright certs status`"
        )
    mover = Mover(live, env, change, target.say)
    held = moving.back(mover)
    used = held.report.seen.authority
    if change.case is Case.PLUG_IN and used is not None and used.secret == f"{namespace}/cacerts":
        # Here, and only here, a CA Secret is deleted: what istiod falls back to has the same root and key.
        live.delete("v1", "Secret", "cacerts", namespace)
        mover.restart()
        mover.gate(At.OLD)
    standby.forget(live, namespace)


transition = Step(_NAME, _plan, _apply)
"""Changes the root of the mesh, phase by phase; goes on with a change that is under way."""

rollback = Step(_BACK, _plan_back, _apply_back, safe=True)
"""Takes a change of the root back, from any phase."""
