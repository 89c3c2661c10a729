"""Plans: what a step would change, as values. Printing them is for `meshwright.render`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Action", "Blocked", "Change", "Compared", "Field", "Plan", "approval", "digest", "masked", "total"]


class Action(StrEnum):
    """What a change does to a thing; the values are the signs that plans print."""

    ADD = "+"
    CHANGE = "~"
    DESTROY = "-"
    RECREATE = "-/+"


@dataclass(frozen=True)
class Field:
    """One field of a changed thing: `path` in dots and brackets, JSON values before and after (None: not there).

    A secret is never put in here: use `masked`.
    """

    path: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Blocked:
    """Why a change is shown and an apply refuses it: whose the thing or the field is. `hint` has the choices; `patch`
    is the JSON merge patch (RFC 7386) for whoever keeps the thing elsewhere."""

    reason: str
    hint: str = ""
    patch: Any = None

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"reason": self.reason, "hint": self.hint, "patch": self.patch}


@dataclass(frozen=True)
class Change:
    """One thing that a step would add, change, destroy or recreate.

    `kind` and `name` name it in the user's words ("Deployment", "istio-system/istiod"). `why` is a sentence where the
    fields do not say it all. `payload` is for the step's own apply; it is not shown and not in any digest. An apply
    refuses a plan with a `blocked` change in it.
    """

    action: Action
    kind: str
    name: str
    fields: tuple[Field, ...] = ()
    why: str = ""
    payload: Any = field(default=None, compare=False, repr=False)
    blocked: Blocked | None = None

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows and what an approval covers."""
        said = {
            "action": self.action.name.lower(),
            "kind": self.kind,
            "name": self.name,
            "fields": [{"path": f.path, "before": f.before, "after": f.after} for f in self.fields],
            "why": self.why,
        }
        # Most are not, and records have thousands of changes.
        return {**said, "blocked": self.blocked.as_json()} if self.blocked else said

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> Change:
        """The change that `as_json` gave, without its payload."""
        fields = tuple(Field(**each) for each in said["fields"])
        blocked = Blocked(**said["blocked"]) if "blocked" in said else None
        return cls(Action[said["action"].upper()], said["kind"], said["name"], fields, said["why"], blocked=blocked)


@dataclass(frozen=True)
class Plan:
    """What one step would change, computed against live state.

    `checked` counts the things that were looked at: every desired one and every one to be destroyed. `desired` is the
    digest of the desired state alone. `after` names the step that must run before the rest can be known ("cluster");
    such a plan may list changes that are certain. `unfinished` says that an earlier apply was interrupted before it was
    known that what it had written holds: then apply waits for all of `objects`, not only for what it changes. `notes`
    are sentences for the reader (foreign fields, what could not be looked at). `seen` names what was looked at as
    KIND/NAMESPACE/NAME, where the step knows. `objects` are all the Kubernetes objects that the step wants, as it would
    apply them, and are kept as what was applied last (for drift and rollback); None where it applies none. `payload`
    is for the step's own apply.
    """

    step: str
    desired: str
    changes: tuple[Change, ...] = ()
    checked: int = 0
    after: str = ""
    unfinished: bool = False
    notes: tuple[str, ...] = ()
    seen: tuple[str, ...] = field(default=(), compare=False, repr=False)
    objects: tuple[dict[str, Any], ...] | None = field(default=None, compare=False, repr=False)
    payload: Any = field(default=None, compare=False, repr=False)

    @property
    def empty(self) -> bool:
        """True when there is provably nothing to do."""
        return not self.changes and not self.after and not self.unfinished

    @property
    def digest(self) -> str:
        """What an approval of this plan covers: desired state and shown changes; the desired state alone when the
        changes are only known after another step (DESIGN 3)."""
        shown = [] if self.after else [c.as_json() for c in self.changes]
        return digest([self.step, self.desired, self.after, shown])

    def count(self, action: Action) -> int:
        """How many changes have this action; a recreation counts as one to add and one to destroy."""
        both = (Action.ADD, Action.DESTROY)
        return sum(c.action is action or (c.action is Action.RECREATE and action in both) for c in self.changes)

    def as_json(self) -> dict[str, Any]:
        """The plan as one JSON value of the `--json` output."""
        return {
            "step": self.step,
            "digest": self.digest,
            "checked": self.checked,
            "known_after": self.after or None,
            "unfinished": self.unfinished,
            "changes": [c.as_json() for c in self.changes],
            "notes": list(self.notes),
        }

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> Plan:
        """The plan that `as_json` gave, or the part of it that a record keeps; for showing, not for applying."""
        return cls(
            said["step"],
            said.get("digest") or "",
            tuple(Change.of_json(each) for each in said["changes"]),
            checked=said.get("checked") or 0,
            after=said["known_after"] or "",
            unfinished=bool(said.get("unfinished")),
            notes=tuple(said.get("notes") or ()),
        )


@dataclass(frozen=True)
class Compared:
    """What applying as `manager` would change, sentences about fields that are somebody else's, and what was looked
    at, each as KIND/NAMESPACE/NAME; `live` has those of them that are there, by `meshwright.objects.key`, and `lists`
    the LISTs in which they were found."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    seen: tuple[str, ...]
    manager: str = ""
    live: Mapping[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    lists: Mapping[tuple[str, str, str], Sequence[dict[str, Any]]] = field(
        default_factory=dict, compare=False, repr=False
    )


def digest(value: Any) -> str:
    """`sha256:` and the hex digest of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def approval(plans: Iterable[Plan]) -> str:
    """The digest that approves exactly these plans, in this order. The prefix keeps pyinfra's `--data` from reading a
    digest such as 12e45678 as a number."""
    return digest([plan.digest for plan in plans])


def masked(secret: bytes | str) -> str:
    """How a secret value appears in a plan: enough to see that it changes, nothing of it."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return f"(sha256 {hashlib.sha256(raw).hexdigest()[:8]})"


def total(plans: Sequence[Plan], action: Action) -> int:
    """The number of changes with `action` over all plans."""
    return sum(plan.count(action) for plan in plans)
