"""Desired objects against live ones.

Istio's own kinds have no defaults, so they are compared here. For other kinds only the API server knows what it would
make of an object: they are compared with the answer to a dry run (DESIGN 5).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from meshwright import difference, foreign, managed, ownership
from meshwright.errors import Forbidden
from meshwright.kube import ApiError, Session
from meshwright.objects import adoption, conflicts
from meshwright.objects.names import Key, Object, among, in_order, key, listed, named, title
from meshwright.objects.predicted import predicted
from meshwright.plan import Action, Blocked, Change, Compared

__all__ = ["MANAGER", "Adjust", "Outcome", "compare", "fenced", "outcome"]

Adjust = Callable[[Object, Object], Object]
"""`adjust(live, wanted)` gives the wanted object with fields put right that somebody else owns by rule."""

MANAGER = "meshwright"

# More new objects than that are not tried out before they are written: a thousand dry runs take 2.5 s, which is what
# writing them takes, and the apply of so many would last twice as long. Two hundred take half a second.
_MOST_TRIED = 200


@dataclass(frozen=True)
class Outcome:
    """What an apply would make of a live object: the object `after` it, the managers whose claims are `taken`, and the
    `conflict` that stands in its way (`after` is then what force would give). `unverified` is whether the API
    server would not say it."""

    after: Object
    taken: tuple[str, ...] = ()
    conflict: ApiError | None = None
    unverified: bool = False


def compare(
    session: Session,
    wanted: Sequence[Object],
    *,
    manager: str = MANAGER,
    force: bool = False,
    adjust: Adjust | None = None,
    adopt: Collection[str] = (),
    places: Mapping[Key, str] | None = None,
    try_new: bool = False,
) -> Compared:
    """What applying `wanted` as `manager` would change, in the order of applying. The payload of each is the object.

    Objects named in `adopt` (KIND/NAMESPACE/NAME) are taken over from whoever owns their fields; `force` takes the
    fields of all objects, and leaves the claims of others. A change is blocked where another manager owns a field, or
    another tool the object. `places` says where the values have an object. With `try_new`, new objects are tried out
    too. Raises BadInput: the API server refuses an object.
    """
    lists = listed(session, wanted)
    there = among(lists, wanted)
    at = places or {}
    ordered = in_order(wanted)

    unverified: list[str] = []

    def change(obj: Object) -> Change | None:
        now = there[key(obj)]
        put_right = adjust(now, obj) if adjust else obj
        try:
            found = outcome(session, now, put_right, manager, force=force, adopt=named(obj) in adopt)
        except ApiError as error:
            raise conflicts.explained(error, obj, at.get(key(obj), "")) from None
        if found.unverified:
            unverified.append(named(obj))
        if found.after is now:
            return None
        fields = difference.between(now, found.after)
        if not fields and not found.taken:
            return None
        # Whose the installation is, is asked where it is planned.
        keeper = ownership.owner(now) if manager == MANAGER else None
        blocked = _blocked(keeper, found, now, obj, at.get(key(obj), ""))
        why = f"taken over from {', '.join(found.taken)}" if found.taken and not blocked else ""
        return Change(Action.CHANGE, obj["kind"], title(obj), fields, why, payload=fenced(obj, now), blocked=blocked)

    existing = [obj for obj in ordered if key(obj) in there]
    changed = dict(zip(map(key, existing), session.map(change, existing), strict=True))
    new = [obj for obj in ordered if key(obj) not in there]
    notes = [s for obj in existing for s in foreign.sentences(there[key(obj)], obj, manager)]
    if unverified:
        names = sorted(unverified)
        notes.append(
            f"not verified: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''} ({len(names)} in all) compared "
            "without the API server: what it would default or refuse it tells only those who may write"
        )
    if try_new:
        notes += _tried(session, new, manager, at)
    changes = [changed[key(obj)] if key(obj) in there else _added(obj) for obj in ordered]
    return Compared(tuple(filter(None, changes)), tuple(notes), tuple(map(named, ordered)), manager, there, lists)


def _added(obj: Object) -> Change:
    return Change(Action.ADD, obj["kind"], title(obj), difference.added(obj), payload=obj)


def _blocked(keeper: str | None, found: Outcome, now: Object, obj: Object, place: str) -> Blocked | None:
    if keeper:
        return conflicts.kept(keeper, now, found.after, place)
    return conflicts.conflict(found.conflict, obj, now, place) if found.conflict else None


def outcome(
    session: Session, now: Object, wanted: Object, manager: str, *, force: bool = False, adopt: bool = False
) -> Outcome:
    """What an apply of `wanted` would make of the live object `now`. Raises ApiError: it is refused."""
    stopped = None
    if not adopt and _same(now, wanted, manager):
        after = now
    elif session.resource(wanted["apiVersion"], wanted["kind"]) is None:
        return Outcome(wanted)
    else:
        try:
            after = session.apply(wanted, manager=manager, force=force or adopt, dry_run=True)
        except Forbidden:
            # Whoever may only look is shown the differences too, and told that the API server did not say them.
            return Outcome(predicted(now, wanted, manager), unverified=True)
        except ApiError as error:
            if not conflicts.is_conflict(error):
                raise
            stopped = error
            after = session.apply(wanted, manager=manager, force=True, dry_run=True)
    taken = () if force else adoption.taken(now, after, manager, everyone=adopt)
    return Outcome(adoption.without_copy(after) if taken else after, taken, stopped)


def _tried(session: Session, new: Sequence[Object], manager: str, places: Mapping[Key, str]) -> list[str]:
    """Tries new objects out by dry runs; what is to be said of those that could not be tried. Raises BadInput.

    One whose kind or namespace is still to come cannot be tried, and comes in the same apply: nothing is said of it.
    """
    if len(new) > _MOST_TRIED:
        return [f"{len(new)} new objects: so many are not tried out beforehand, each is looked at when it is written"]

    def attempt(obj: Object) -> str:
        if session.resource(obj["apiVersion"], obj["kind"]) is None:
            return ""
        try:
            session.apply(obj, manager=manager, dry_run=True)
        except Forbidden as error:
            return f"new objects could not be tried out: {error.message}"
        except ApiError as error:
            if error.webhook:
                return f"new objects could not be tried out: istiod's webhook {error.webhook} is unavailable"
            if error.status != 404 and not conflicts.is_conflict(error):
                raise conflicts.explained(error, obj, places.get(key(obj), "")) from None
        return ""

    return sorted(set(filter(None, session.map(attempt, new))))[:1]


def fenced(wanted: Object, now: Object) -> Object:
    """The object bound to what was looked at: a write that comes after somebody else's is refused. The version alone
    would not do: where the object is gone, an apply with a version makes it anew, and one with a uid does not."""
    seen = {part: now["metadata"][part] for part in ("resourceVersion", "uid")}
    return {**wanted, "metadata": {**wanted["metadata"], **seen}}


def _same(now: Object, wanted: Object, manager: str) -> bool:
    """True when an apply provably changes nothing and needs no question to the API server: Istio's kinds and CRDs,
    whose content the server stores as it was sent."""
    group = wanted["apiVersion"].partition("/")[0]
    if not (group.endswith("istio.io") or wanted["kind"] == "CustomResourceDefinition"):
        return False
    for part in ("labels", "annotations"):
        have = now["metadata"].get(part) or {}
        want = wanted["metadata"].get(part) or {}
        if any(have.get(k) != v for k, v in want.items()) or _own(now, manager, part) - want.keys():
            return False
    spec = dict(now.get("spec") or {})
    if wanted["kind"] == "CustomResourceDefinition":
        spec.pop("conversion", None)  # the one default that the API server adds
    return spec == (wanted.get("spec") or {})


def _own(now: Object, manager: str, part: str) -> set[str]:
    """The labels or annotations that `manager` has applied: those that an apply without them takes away."""
    return {
        name.removeprefix("f:")
        for entry in managed.entries(now)
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
        for name in ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{part}") or {}
        if name.startswith("f:")
    }
