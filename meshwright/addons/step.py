"""The step that keeps the addons of an environment: those that are on applied and ready, those that are off removed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from meshwright import cluster, ingress, objects, resources, tools
from meshwright.addons import exposure, overlaps, settling, tracing
from meshwright.addons.table import ADDONS
from meshwright.addons.wanted import wanted
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Unverified
from meshwright.kube import Session, wait
from meshwright.plan import Action, Change, Field, Plan, digest, masked
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["install", "urls"]

_STEP = "addons"
_USERS = "inline_string"


def _plan(target: Target, env: Environment) -> Plan:
    if env.addons.sampled and tools.installed(target, env, "istioctl") is None:
        return Plan(_STEP, digest([env.istio.version, env.addons.model_dump()]), after="tools")
    kubectl = tools.installed(target, env, "kubectl") if target.local else shutil.which("kubectl")
    found = wanted(target, env, kubectl=kubectl or "kubectl")
    every = [manifest for of_one in found.values() for manifest in of_one]
    desired = digest([manifest.obj for manifest in every])
    session = cluster.session(target, env)
    if session is None:
        return Plan(_STEP, desired, after="cluster" if every else "")
    adopt, new = target.shared.options.adopt, target.shared.options.approved is None
    made = resources.planned(session, env, every, desired, allow_empty=True, adopt=adopt, try_new=new, component=_STEP)
    if made.after:
        return made
    changes = [*made.changes, *_claims(session, made.changes), *resources.emptied(session, env, made, _STEP)]
    addon_of = {objects.key(manifest.obj): name for name, of_one in found.items() for manifest in of_one}
    return replace(
        made,
        changes=tuple(map(_without_users, _guarded(changes))),
        checked=made.checked + len(changes) - len(made.changes),
        notes=(*made.notes, *overlaps.sentences(session, env), *tracing.sentences(session, env), *urls(target, env)),
        payload=addon_of,
    )


def _claims(session: Session, changes: Sequence[Change]) -> Iterator[Change]:
    """The claims of disk that a StatefulSet leaves when it is removed."""
    for change in changes:
        if change.action is not Action.DESTROY or change.kind != "StatefulSet":
            continue
        gone = change.payload
        names = [each["metadata"]["name"] for each in gone["spec"].get("volumeClaimTemplates") or []]
        own = re.compile(rf"({'|'.join(map(re.escape, names))})-{re.escape(gone['metadata']['name'])}-[0-9]+")
        for claim in session.list("v1", "PersistentVolumeClaim", gone["metadata"]["namespace"]) if names else ():
            if own.fullmatch(claim["metadata"]["name"]):
                why = f"left by {gone['metadata']['name']}; what it has stored is lost"
                yield Change(Action.DESTROY, claim["kind"], objects.title(claim), why=why, payload=claim)


def _guarded(changes: Sequence[Change]) -> list[Change]:
    """A guard comes before what it guards, and goes after it: nobody gets in while an apply is half done."""

    def rank(change: Change) -> int:
        guards = exposure.guards(change.kind)
        return (2 if guards else 1) if change.action is Action.DESTROY else (-1 if guards else 0)

    return sorted(changes, key=rank)


def _without_users(change: Change) -> Change:
    """Names and hashed passwords are in the EnvoyFilter, and not in a plan."""
    if change.kind != "EnvoyFilter":
        return change
    return replace(change, fields=tuple(_hidden(field) for field in change.fields))


def _hidden(field: Field) -> Field:
    if field.path.endswith(_USERS):
        return Field(field.path, *(None if each is None else masked(str(each)) for each in (field.before, field.after)))
    return Field(field.path, _inside(field.before), _inside(field.after))


def _inside(value: Any) -> Any:
    if isinstance(value, list):
        return [_inside(each) for each in value]
    if isinstance(value, dict):
        return {key: masked(str(each)) if key == _USERS else _inside(each) for key, each in value.items()}
    return value


def urls(target: Target, env: Environment) -> list[str]:
    """Where exposed addons are, in sentences."""
    found = exposure.exposed(env)
    if not found:
        return []
    try:
        address = ingress.address(target, env, wait=False)
    except MeshwrightError:
        address = None
    kinds = {
        "none": "without authentication",
        "basic": "by name and password",
        "jwt": "by token",
        "mtls": "by client certificate",
    }
    return [
        f"{ADDONS[each.addon].title} is at {exposure.url(env, each, address)}, "
        f"{kinds[each.exposure.authentication.kind]}"
        for each in found
    ]


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    # It takes a while to import, which only those pay who write.
    from meshwright import taken

    done = resources.write(target, env, plan, component=_STEP)
    waited = wait.refs(done.applied)
    addon_of = {(kind, name, namespace): addon for (_, kind, namespace, name), addon in (plan.payload or {}).items()}
    by_addon: dict[str, list[wait.Ref]] = {}
    for ref in waited:
        by_addon.setdefault(addon_of.get((ref.kind, ref.name, ref.namespace or ""), _STEP), []).append(ref)
    failed = settling.settle(done.session, by_addon, timeout=env.addons.timeout, say=target.say)
    settling.gone(done.session, done.gone, timeout=env.addons.timeout, say=target.say)
    try:
        taken.wait(target, env, done.session, done.applied, done.gone, done.before)
    except Unverified as error:
        if not failed:
            raise
        failed["the proxies"] = error.message
    for sentence in urls(target, env):
        target.say(sentence)
    if failed:
        fine = ", ".join(sorted(ADDONS[addon].title for addon in set(by_addon) - set(failed) if addon in ADDONS))
        raise Unverified(
            "; ".join(f"{ADDONS[addon].title if addon in ADDONS else addon}: {why}" for addon, why in failed.items()),
            hint=f"The rest was applied{f', and is ready: {fine}' if fine else ''}. Mend what is named, and run "
            f"`meshwright apply {env.name} addons` again",
        )


install = Step(_STEP, _plan, _apply, compare=objects.back)
"""Applies the addons that are on, waits until they are ready, and removes those that are off."""
