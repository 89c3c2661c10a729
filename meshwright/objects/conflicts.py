"""Why an object cannot be applied, in words: a field of another manager, a keeper, a refusal of the API server."""

from __future__ import annotations

import re

from meshwright import difference
from meshwright.errors import BadInput, MeshwrightError, Refused
from meshwright.kube import ApiError
from meshwright.objects.names import Object, named, title
from meshwright.plan import Blocked
from meshwright.wording import some

__all__ = ["conflict", "explained", "is_conflict", "kept"]

# The words of k8s.io/apimachinery, util/managedfields: the manager, and for a write that was no apply its time.
_MANAGER = re.compile(r'"([^"]*)"(?:.* at (\S+))?')

# An apply with a field that the kind does not have: for kinds of CRDs the API server calls that its own failure (500).
_UNTYPED = "failed to create typed patch object"


def is_conflict(error: ApiError) -> bool:
    """Whether another manager owns a field; a changed version is a conflict without causes."""
    return error.reason == "Conflict" and bool(error.causes)


def conflict(error: ApiError, obj: Object, now: Object | None = None, place: str = "") -> Blocked:
    """A conflict: each field with its manager and time. `now` is the live object, `place` where the values have it."""
    times: dict[str, str] = {}
    for entry in (now or {"metadata": {}})["metadata"].get("managedFields") or []:
        times[entry.get("manager")] = max(str(entry.get("time") or ""), times.get(entry.get("manager"), ""))
    said = []
    for cause in error.causes:
        found = _MANAGER.search(str(cause.get("message")))
        manager, time = (found[1], found[2]) if found else (str(cause.get("message")), "")
        time = time or times.get(manager, "")
        field = str(cause.get("field")).removeprefix(".")
        said.append(f"{field} is of {manager}{f' since {time}' if time else ''}")
    return Blocked(
        some(said, between="; "),
        hint=f"Take it over with `--adopt {named(obj)}`, or take the field out of {place or 'your values'}, "
        "or leave both as they are: nothing is applied then",
    )


def kept(keeper: str, now: Object, after: Object, place: str = "") -> Blocked:
    """An object that another tool keeps, with what is wanted of it as a patch for that tool's repository."""
    return Blocked(
        f"{keeper} keeps it, and would take the change back",
        hint=f"Make the change where that tool has it from, and take {named(after)} out of {place or 'your values'}",
        patch=difference.merge_patch(now, after) or None,
    )


def explained(error: ApiError, obj: Object, place: str = "") -> MeshwrightError:
    """The error of an apply or of its dry run, for a person."""
    what = f"{obj['kind']} {title(obj)}"
    if is_conflict(error):
        blocked = conflict(error, obj, place=place)
        return Refused(f"{what}: {blocked.reason}", hint=blocked.hint)
    if error.webhook:
        return MeshwrightError(
            f"istiod is unavailable: its webhook {error.webhook} could not be asked about {what}",
            hint="The object may be fine. `meshwright check` says what is wrong with istiod",
        )
    if error.denied_by or error.status in (400, 422) or _UNTYPED in error.text:
        return BadInput(
            f"{f'{place}: ' if place else ''}the API server refuses {what}: {error.text or error.message}",
            hint="Correct the object",
        )
    return error
