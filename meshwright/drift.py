"""Drift: what was changed from outside since a step was applied last, and by whom.

What was applied is compared with what is there, not the values: changes of one's own that are not applied yet are no
drift, and are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshwright import applied, cluster, difference, foreign, objects
from meshwright.applied import DIGESTS, Mark
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import Session
from meshwright.objects import Key, Object
from meshwright.plan import Action, Change, Plan, masked
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["Drift", "Drifted", "Touched", "of"]

# The API server's name for the fields of an object of which it has no records (any more), its own ones among them.
_NOBODY = "before-first-apply"


@dataclass(frozen=True, order=True)
class Touched:
    """A field that was changed from outside: `before` is what was applied, `after` what is there (None: not there), and
    who wrote it when (RFC 3339; "" where nobody records it, as with what was removed). `added`: nothing was applied
    there."""

    path: str
    before: Any
    after: Any
    manager: str = ""
    time: str = ""
    added: bool = False

    @property
    def how(self) -> str:
        """changed, removed, or added."""
        return "added" if self.added else "removed" if self.after is None else "changed"

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "path": self.path,
            "drift": self.how,
            "before": self.before,
            "after": self.after,
            "manager": self.manager or None,
            "time": self.time or None,
        }


@dataclass(frozen=True)
class Drifted:
    """An object that was changed from outside, or deleted (then no fields are named)."""

    kind: str
    name: str
    fields: tuple[Touched, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether it is gone."""
        return not self.fields

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "kind": self.kind,
            "name": self.name,
            "drift": "deleted" if self.deleted else "changed",
            "fields": [field.as_json() for field in self.fields],
        }


@dataclass(frozen=True)
class Drift:
    """What was found of one step: `last` is what it applied last, `interrupted` what a run began to apply and did not
    end. `pending` counts objects whose values have changed since; None where that is not known. `not_verified` says why
    nothing could be compared."""

    step: str
    last: Mark | None = None
    interrupted: Mark | None = None
    found: tuple[Drifted, ...] = ()
    checked: int = 0
    pending: int | None = None
    notes: tuple[str, ...] = ()
    not_verified: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "step": self.step,
            "applied": self.last and {"record": self.last.record, "time": self.last.at, "digest": self.last.digest},
            "interrupted": self.interrupted and self.interrupted.record,
            "checked": self.checked,
            "objects": [each.as_json() for each in self.found],
            "pending": self.pending,
            "notes": list(self.notes),
            "not_verified": self.not_verified or None,
        }


def of(target: Target, env: Environment, steps: Sequence[Step]) -> Iterator[Drift]:
    """The drift of each of `steps` that applies objects and has applied any.

    Raises MeshwrightError: there is no cluster; Unreachable, Forbidden.
    """
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError(cluster.no_session(target, env), hint=f"`meshwright apply {env.name}` brings it up")
    states = applied.states(session, env.name)
    for step in steps:
        state = states.get(step.name)
        if step.compare is None or state is None:
            continue
        drift = Drift(step.name, state.last, state.applying)
        # The older first. What an interrupted run has written is as good as what was there before it.
        marks = {mark.digest: mark for mark in (state.last, state.applying) if mark is not None}
        kept = {mark: applied.load(session, env.name, step.name, mark.digest) for mark in marks.values()}
        lost = next((mark for mark, objs in kept.items() if objs is None), None)
        if lost is not None:
            why = f"what {lost.record} has applied is no longer kept: somebody has deleted or changed its ConfigMap"
            yield replace(drift, not_verified=why)
        else:
            yield _found(target, env, session, step, drift, [objs for objs in kept.values() if objs is not None])


def _found(
    target: Target, env: Environment, session: Session, step: Step, drift: Drift, kept: Sequence[list[Object]]
) -> Drift:
    notes = []
    try:
        plan: Plan | None = step.plan(target, env)
        # What the API server would not say of these objects for the plan, it does not say here either.
        notes += [note for note in plan.notes if note.startswith("not verified: ")] if plan else []
    except (Unreachable, Forbidden):
        raise
    except MeshwrightError as error:
        plan = None
        notes.append(f"changes of your own could not be counted: {error.message}")
    # Of what was to be made and of what was to go, an interrupted run may or may not have done either.
    certain = set.intersection(*({objects.key(obj) for obj in objs} for objs in kept)) if drift.last else set()
    looks = [_look(target, env, session, step, objs) for objs in kept]
    names = dict.fromkeys(name for look in reversed(looks) for name in look.wanted)
    found, said_by_now = [], 0
    for name in names:
        drifted = _drifted(name, looks, certain)
        if drifted is not None and plan is not None and plan.objects is not None:
            left = _not_in_values(drifted, name, plan, looks[-1])
            said_by_now += left != drifted
            drifted = left
        if drifted is not None:
            found.append(drifted)
    if said_by_now:
        many = "1 object was" if said_by_now == 1 else f"{said_by_now} objects were"
        notes.append(f"{many} changed from outside to what the values say by now")
    found.sort(key=lambda each: (each.kind, each.name))
    pending = _pending(plan, kept[-1])
    return replace(drift, found=tuple(found), checked=len(names), pending=pending, notes=tuple(notes))


@dataclass(frozen=True)
class _Look:
    """One set of objects beside what is there."""

    wanted: Mapping[Key, Object]
    live: Mapping[Key, Object]
    fields: Mapping[Key, tuple[Touched, ...]]
    manager: str


def _look(target: Target, env: Environment, session: Session, step: Step, kept: Sequence[Object]) -> _Look:
    assert step.compare is not None
    wanted = {objects.key(obj): obj for obj in kept}
    secrets = [obj for obj in kept if DIGESTS in obj]
    compared = step.compare(target, env, session, [obj for obj in kept if DIGESTS not in obj])
    live = {**compared.live, **objects.live(session, secrets)}
    fields = {name: _foreign(live[name], obj, compared.manager) for name, obj in wanted.items() if name in live}
    for change in compared.changes:
        name = objects.key(change.payload)
        if change.action is Action.CHANGE and name in live:
            fields[name] = (*_undone(change, live[name]), *fields[name])
    for obj in secrets:
        name = objects.key(obj)
        if name in live:
            fields[name] = (*_of_secret(obj, live[name]), *fields[name])
    return _Look(wanted, live, fields, compared.manager)


def _undone(change: Change, now: Object) -> Iterator[Touched]:
    """What the change would bring back, seen from the other side."""
    for field in change.fields:
        manager, time = foreign.owner_of(now, field.path) or ("", "")
        yield Touched(field.path, field.after, field.before, manager, time)


def _foreign(now: Object, wanted: Object, manager: str) -> tuple[Touched, ...]:
    """What somebody added to the object."""
    secret = DIGESTS in wanted
    return tuple(
        Touched(each.path, None, _shown(each, secret=secret), each.manager, each.time, added=True)
        for each in foreign.fields(now, wanted, manager)
        # Of a Secret there are only digests to compare with: its data is looked at apart.
        if each.manager != _NOBODY and not (secret and each.path.startswith("data"))
    )


def _shown(each: foreign.Foreign, *, secret: bool) -> Any:
    if secret and each.path.startswith("metadata.annotations"):
        return masked(str(each.value))
    return difference.short(each.value)


def _of_secret(kept: Object, now: Object) -> Iterator[Touched]:
    """The differences of a Secret, whose values are digests on both sides."""
    before, after = kept, applied.masked(now)
    for path, old, new in (
        *_pairs("metadata.labels", before["metadata"].get("labels"), after["metadata"].get("labels"), only_old=True),
        *_pairs(
            "metadata.annotations",
            before["metadata"].get("annotations"),
            after["metadata"].get("annotations"),
            only_old=True,
        ),
        *_pairs("data", before[DIGESTS], after[DIGESTS]),
    ):
        manager, time = foreign.owner_of(now, path) or ("", "")
        yield Touched(path, old, new, manager, time, added=old is None)


def _pairs(path: str, old: Any, new: Any, *, only_old: bool = False) -> Iterator[tuple[str, Any, Any]]:
    old, new = old or {}, new or {}
    for name in sorted(old if only_old else old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            text = f'"{name}"' if "." in name or "/" in name else name
            yield f"{path}.{text}", old.get(name), new.get(name)


def _drifted(name: Key, looks: Sequence[_Look], certain: set[Key]) -> Drifted | None:
    """What became of one object; None where it is as any of the sets has it."""
    having = [look for look in looks if name in look.wanted]
    newest = having[-1]
    obj = newest.wanted[name]
    drifted = Drifted(obj["kind"], objects.title(obj))
    if name not in newest.live:
        return drifted if name in certain else None
    fields = min((look.fields[name] for look in having), key=bool)
    if len(having) > 1:
        # What is in either set was added by nobody else.
        paths = [{field.path for field in look.fields[name]} for look in having]
        fields = tuple(f for f in having[-1].fields[name] if fields and f.path in set.intersection(*paths))
    return replace(drifted, fields=fields) if fields else None


def _not_in_values(drifted: Drifted, name: Key, plan: Plan, look: _Look) -> Drifted | None:
    """The drift without what the values say by now."""
    assert plan.objects is not None
    wanted = next((obj for obj in plan.objects if objects.key(obj) == name), None)
    if wanted is None:
        return None if drifted.deleted else drifted
    same = not any(objects.key(c.payload) == name for c in plan.changes if c.payload)
    if drifted.deleted:
        return drifted
    foreign_now = {each.path for each in foreign.fields(look.live[name], wanted, look.manager)}
    left = tuple(field for field in drifted.fields if (field.path in foreign_now if field.added else not same))
    return replace(drifted, fields=left) if left else None


def _pending(plan: Plan | None, kept: Sequence[Object]) -> int | None:
    """How many objects the values want otherwise than they were applied."""
    if plan is None or plan.objects is None or plan.after:
        return None
    wanted, before = ({objects.key(obj): applied.masked(obj) for obj in objs} for objs in (plan.objects, kept))
    return sum(wanted.get(name) != before.get(name) for name in wanted.keys() | before.keys())
