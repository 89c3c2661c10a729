"""Going back to the objects of an earlier apply of `resources`.

The values are not touched: they still say what they said. What is gone back to is a set that the cluster has kept
(`meshwright.applied`), planned and applied as if the manifests had it. Secrets stay as they are, as no values of theirs
are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from meshwright import applied, cluster, objects, resources
from meshwright.applied import DIGESTS, Mark, State
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session
from meshwright.manifests import Manifest
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["chosen", "step"]

_OF = resources.apply_all.name


def chosen(state: State, to: str, records: Sequence[str]) -> Mark:
    """The set that `to` stands for: the id of a record, or the beginning of one, is what was applied when that run had
    ended; "" is the last set before the present one, or, after a run that was interrupted, the one that it was to
    replace. `records` are the ids of all records that are known.

    Raises BadInput: no record begins like that, several do, or what was applied then is no longer kept.
    """
    return _named(state, to, records) if to else _before(state)


def _before(state: State) -> Mark:
    if state.applying is not None:
        # A rollback that was interrupted is gone on with, an apply is undone.
        mark = state.applying if state.applying.by == step.name else state.last
    else:
        mark = next((m for m in state.applied if state.last and m.digest != state.last.digest), None)
    if mark is None:
        raise MeshwrightError(
            "there is nothing to go back to: no other objects than the present ones are kept",
            hint="A set is kept with each apply of `resources` that changes something",
        )
    return mark


def _named(state: State, to: str, records: Sequence[str]) -> Mark:
    marks = [*state.applied, *filter(None, [state.applying])]
    available = f"Kept is what these have applied: {', '.join(dict.fromkeys(m.record for m in marks))}"
    known = sorted({*records, *(mark.record for mark in marks)})
    found = [to] if to in known else [name for name in known if name.startswith(to)]
    if not found:
        raise BadInput(f"no record begins with {to!r}", hint=available)
    if len(found) > 1:
        raise BadInput(f"{len(found)} records begin with {to!r}", hint=f"Say more of it: {', '.join(found[-5:])}")
    # Ids sort by time. A run that has applied no resources has left those of the one before it.
    exact = next((mark for mark in marks if mark.record == found[0]), None)
    mark = exact or next((mark for mark in state.applied if mark.record < found[0]), None)
    if mark is None:
        raise BadInput(f"what was applied when {found[0]} had ended is no longer kept", hint=available)
    return mark


def _plan(target: Target, env: Environment) -> Plan:
    to = target.shared.options.to
    session = cluster.session(target, env)
    if session is None:
        return Plan(_OF, digest(["rollback", to]), after="cluster")
    state = applied.states(session, env.name).get(_OF)
    if state is None:
        raise MeshwrightError(
            f"there is nothing to go back to: no resources were ever applied in {env.name}, as far as is known",
            hint="A set is kept with each apply of `resources` that changes something",
        )
    mark = chosen(state, to, _records(target, env) if to else ())
    kept = _loaded(session, env, mark)
    secrets = _secrets(session, env, state, kept)
    place = f"what {mark.record} has applied"
    plan = resources.planned(
        session,
        env,
        [Manifest(obj, place) for obj in kept if DIGESTS not in obj],
        digest(["rollback", mark.digest]),
        leave=secrets,
        allow_empty=env.resources.allow_empty,
        adopt=target.shared.options.adopt,
    )
    notes = [f"this goes back to what {mark.record} has applied ({mark.at[:19].replace('T', ' ')} UTC)"]
    if secrets:
        names = ", ".join(map(objects.title, secrets))
        notes.append(f"no values of Secrets are kept, so these stay as they are: {names}")
    lost = sorted({objects.title(obj) for obj in kept if DIGESTS in obj} - set(map(objects.title, secrets)))
    if lost:
        notes.append(f"no values of Secrets are kept, so these do not come back: {', '.join(lost)}")
    changes = tuple(_said(change, mark) for change in plan.changes)
    return replace(plan, changes=changes, notes=(*notes, *plan.notes))


def _records(target: Target, env: Environment) -> list[str]:
    from meshwright.records import history  # only where one is named

    return [record.id for record in history.of([target], env).records]


def _loaded(session: Session, env: Environment, mark: Mark) -> list[objects.Object]:
    kept = applied.load(session, env.name, _OF, mark.digest)
    if kept is None:
        raise BadInput(
            f"what {mark.record} has applied is no longer kept: somebody has deleted or changed its ConfigMap",
            hint=f"`meshwright history {env.name}` lists the records; name another one with --to",
        )
    return kept


def _secrets(session: Session, env: Environment, state: State, kept: list[objects.Object]) -> list[objects.Object]:
    """The Secrets that are there now, as far as is known: those of the present set, and of one that a run has begun."""
    marks = [mark for mark in (state.last, state.applying) if mark is not None]
    sets = [applied.load(session, env.name, _OF, mark.digest) for mark in marks]
    if all(each is None for each in sets):
        sets = [kept]
    found = {objects.key(obj): obj for each in sets for obj in each or () if DIGESTS in obj}
    there = objects.live(session, found.values())
    return [obj for name, obj in found.items() if name in there]


def _said(change: Change, mark: Mark) -> Change:
    if change.action is not Action.DESTROY:
        return change
    return replace(change, why=f"not among what {mark.record} has applied")


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    resources.apply(target, env, plan)
    target.say(
        f"the values still say otherwise: `meshwright plan {env.name} resources` shows what they would bring back"
    )


step = Step("rollback", _plan, _apply, safe=True)
"""Brings back the objects of an earlier apply of `resources`: its plans are plans of `resources`, and what they apply
is kept as such."""
