"""Backing the CA of a mesh up, and putting it back, as steps.

A restore is for a CA Secret that is gone. One that is there with another content is not written over: that would be a
change of the root in one step.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Any

from meshwright import cluster
from meshwright.certs import asked, backup, gates, phase, trust
from meshwright.certs.certificate import BrokenBundle, bundle, named
from meshwright.certs.phase import Phase, Position
from meshwright.environment import Environment
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused, Unverified
from meshwright.foreign import RESTARTED
from meshwright.kube import ApiError, Session, wait
from meshwright.plan import Action, Blocked, Change, Plan, digest, masked
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["backup_step", "restore"]

Object = dict[str, Any]

_BACKUP, _RESTORE = "certs-backup", "certs-restore"
_ROOTS = ("root-cert.pem", "ca-cert.pem")


def _plan_backup(target: Target, env: Environment) -> Plan:
    live = cluster.session(target, env)
    if live is None:
        return Plan(_BACKUP, digest([_BACKUP]), after="cluster")
    change = backup.announced(env, "the CA's Secrets as they are now")
    if change is None:
        raise BadInput(backup.NONE, hint="Name who may open it: age-keygen makes a key, and prints its recipient")
    return Plan(_BACKUP, digest([_BACKUP, env.certs.backup.recipients]), (change,), checked=1)


def _apply_backup(target: Target, env: Environment, _plan: Plan) -> None:
    path = backup.make(target.project, env, cluster.answering(target, env), asked.now())
    target.say(f"the CA is backed up in {path}")


def _plan(target: Target, env: Environment) -> Plan:
    name = target.shared.options.to
    if not name:
        raise MeshwrightError(
            "no backup was named", hint="Name its file: meshwright certs restore ENV FILE", exit_code=Exit.USAGE
        )
    wanted = backup.read(target.project, name)
    live = cluster.session(target, env)
    desired = digest([_RESTORE, [masked(str(each["data"])) for each in wanted]])
    if live is None:
        return Plan(_RESTORE, desired, after="cluster")
    changes, notes = [], []
    for each in wanted:
        change = _change(env, each, live.get("v1", "Secret", each["metadata"]["name"], each["metadata"]["namespace"]))
        changes += [change] if change else []
    if not changes:
        notes.append("all of it is there as it was")
    elif not any(change.blocked for change in changes):
        notes.append(
            "an istiod that signs with another CA by now is restarted, and what has not followed is waited for"
        )
    return Plan(_RESTORE, desired, tuple(changes), checked=len(wanted), notes=tuple(notes))


def _change(env: Environment, wanted: Object, there: Object | None) -> Change | None:
    metadata = wanted["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    why, blocked = _about(wanted), None
    if metadata["namespace"] != env.istio.namespace:
        blocked = Blocked(f"the backup is of namespace {metadata['namespace']}", "It is not of this environment's mesh")
    elif there is not None and (there.get("data") or {}) == wanted["data"]:
        return None
    elif there is not None:
        text = "it is there with another content, and writing over it would change the root in one step"
        blocked = Blocked(
            text, "Delete it first, if it is to be replaced; `meshwright certs transition` changes a root"
        )
    return Change(Action.ADD, "Secret", name, why=why, payload=wanted, blocked=blocked)


def _about(wanted: Object) -> str:
    try:
        texts = [base64.b64decode(wanted["data"].get(name) or "", validate=True).decode() for name in _ROOTS]
        roots = next((found for text in texts if (found := bundle(text))), ())
    except (BrokenBundle, binascii.Error, UnicodeDecodeError):
        roots = ()
    return f"with {named(dict.fromkeys(roots))}" if roots else "it keeps the CAs of a change"


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    live = cluster.answering(target, env)
    version = ""
    for change in plan.changes:
        try:
            made = live.create(change.payload)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            raise Refused(f"Secret {change.name} has come since it was looked at", hint="Plan again") from None
        version = str(made["metadata"]["resourceVersion"])
        target.say(f"Secret {change.name} is back")
    _follow(target, env, live, version)


def _follow(target: Target, env: Environment, live: Session, version: str) -> None:
    """Waits until everything trusts and presents what the Secrets say; who does not sign with them is restarted."""

    def look() -> tuple[trust.Report, Position]:
        report = trust.verify(live, env, asked.now())
        at = phase.where(live, report)
        # One root in the Secret, and somebody who still has another: when all have followed it is called rest.
        return report, replace(at, phase=Phase.REST) if at.phase is Phase.NEW_ALONE and not at.sure else at

    report, at = look()
    if at.phase is Phase.UNKNOWN:
        raise Unverified(
            f"it cannot be said where the mesh stands: {at.why}", hint="`meshwright certs verify` says more"
        )
    lagging = {each.subject for each in report.laggards}
    if any(place.label in lagging for kind in ("istiod", "certificate") for place in report.seen.of(kind)):
        _restart(target, env, live, version)
    gates.hold(
        look, at.phase, nudge=lambda found: gates.nudge(live, gates.behind(found)), say=target.say, pace=gates.Pace()
    )
    target.say(f"everything has followed: {at.phase}")


def _restart(target: Target, env: Environment, live: Session, version: str) -> None:
    namespace, refs = env.istio.namespace, []
    for each in live.list("apps/v1", "Deployment", namespace, labels="app=istiod"):
        name = each["metadata"]["name"]
        target.say(f"restarting Deployment {namespace}/{name}")
        stamp = {"metadata": {"annotations": {RESTARTED: f"restore-{version}"}}}
        live.patch("apps/v1", "Deployment", name, namespace, body={"spec": {"template": stamp}})
        refs.append(wait.Ref("Deployment", name, namespace))
    wait.ready(live, refs, timeout=env.istio.timeout)


backup_step = Step(_BACKUP, _plan_backup, _apply_backup, safe=True)
"""Seals the CA's Secrets into a new file."""

restore = Step(_RESTORE, _plan, _apply, safe=True)
"""Puts the CA's Secrets of a backup back where they are gone."""
