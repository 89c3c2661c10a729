"""A record: what one changing run did, put together from what was written while it ran.

A run that is killed cannot write how it ended, and what was written is never edited. So a record is written as several
entries that share its id: `started` before the first write, `step` before each step that changes something (in the
file only), `ended` at the end. A record without an end is that of a run that goes on or was interrupted.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from meshwright import wording
from meshwright.plan import Action, Plan, total

__all__ = ["Entry", "Record", "Result", "joined", "new_id", "now", "row"]

Entry = dict[str, Any]
"""One entry, as JSON: `id`, `entry` (started, step, ended), `at` (UTC, ISO 8601), and, of

- started: environment, cluster (uid or null), holder, who {user, sudo_user, machine, kubernetes}, commit {id, dirty} or
  null, reason, approved (digest or null), program, deploy, steps (names), plan (rows); where there are windows, window
  (how they stood) and override (whether that did not matter); where values were applied, release (the digest of
  `meshwright.release`); of a promotion, promotion {from, skip, approved_by}
- step: host, step, plan (rows that are new)
- ended: result, message, hint, steps [{host, step, state, seconds, kept}], plan (rows that are new), checks, cluster,
  kubernetes

`kept` is the digest of the set of objects that a step has applied, where it applies any (`meshwright.applied`).
A row of a plan is {host, step, known_after, changes, unfinished}; the changes are as `--json` shows them. `note` says
what was left out of an entry that was too long."""


class Result(StrEnum):
    """How a run ended. RUNNING and UNKNOWN are of records without an end: whether that run lives can, or cannot, be
    seen from here."""

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    UNKNOWN = "unknown"


def now() -> str:
    """The time of an entry: UTC, ISO 8601, milliseconds."""
    return wording.now("milliseconds")


def new_id(at: str) -> str:
    """The id of a record that begins at `at`: sorted as text it is sorted by time, and no two runs have the same."""
    return f"{at[:19].replace('-', '').replace(':', '').replace('T', '-')}-{secrets.token_hex(3)}"


def row(host: str, plan: Plan) -> dict[str, Any]:
    """A step's plan as records keep it. Payloads, which may have secrets, are not in a plan's JSON."""
    said = plan.as_json()
    kept = ("step", "known_after", "changes", *(("unfinished",) if plan.unfinished else ()))
    return {"host": host, **{key: said[key] for key in kept}}


@dataclass(frozen=True)
class Record:
    """What one changing run did. Times are UTC in ISO 8601; see `Entry` for the shapes within."""

    id: str
    environment: str
    started: str
    ended: str | None
    result: Result
    message: str
    hint: str
    who: dict[str, str | None]
    cluster: str | None
    commit: dict[str, Any] | None
    reason: str
    approved: str | None
    program: str
    deploy: str
    steps: tuple[dict[str, Any], ...]
    """How each step ended; of a run without an end, the steps that it had begun to change something in."""
    plan: tuple[dict[str, Any], ...]
    checks: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    window: str = ""
    """How the environment's windows stood when it began; empty where there are none."""
    override: bool = False
    release: str = ""
    """The digest of the release whose values were applied; empty where none were."""
    promotion: dict[str, Any] | None = None
    """Of a promotion: from which environment, who approved it, and why one was left out."""

    @property
    def seconds(self) -> float | None:
        """How long it took, None without an end."""
        if self.ended is None:
            return None
        took = dt.datetime.fromisoformat(self.ended) - dt.datetime.fromisoformat(self.started)
        return round(took.total_seconds(), 1)

    @property
    def plans(self) -> list[Plan]:
        """The plan as values again."""
        return [Plan.of_json(each) for each in self.plan]

    @property
    def summary(self) -> dict[str, int]:
        """How many things the plan adds, changes and destroys."""
        plans = self.plans
        return {
            "add": total(plans, Action.ADD),
            "change": total(plans, Action.CHANGE),
            "destroy": total(plans, Action.DESTROY),
        }

    def as_json(self) -> dict[str, Any]:
        """The record as one JSON value of the `--json` output."""
        return {
            "id": self.id,
            "environment": self.environment,
            "cluster": self.cluster,
            "started": self.started,
            "ended": self.ended,
            "seconds": self.seconds,
            "result": self.result.value,
            "message": self.message,
            "hint": self.hint,
            "who": self.who,
            "commit": self.commit,
            "reason": self.reason,
            "override": self.override,
            "window": self.window or None,
            "release": self.release or None,
            "promotion": self.promotion,
            "approved": self.approved,
            "program": self.program,
            "deploy": self.deploy,
            "summary": self.summary,
            "steps": list(self.steps),
            "plan": list(self.plan),
            "checks": list(self.checks),
            "notes": list(self.notes),
        }


def joined(entries: Iterable[Entry], unended: Callable[[str], Result]) -> list[Record]:
    """The records that these entries are of, newest first. The same entry may be there twice (from the file and from
    the cluster). `unended` tells, by its holder, how a run without an end stands."""
    by_id: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_id[str(entry["id"])].append(entry)
    records = [_record(name, found, unended) for name, found in by_id.items()]
    return sorted(records, key=lambda record: (record.started, record.id), reverse=True)


def _result(end: Entry) -> Result:
    try:
        return Result(end.get("result") or "")
    except ValueError:
        return Result.UNKNOWN  # of a newer version


def _record(name: str, entries: list[Entry], unended: Callable[[str], Result]) -> Record:
    # A whole entry before one that was cut to fit: what comes first counts.
    entries = sorted(entries, key=lambda entry: bool(entry.get("note")))
    start: Entry = next((entry for entry in entries if entry["entry"] == "started"), {})
    end: Entry = next((entry for entry in entries if entry["entry"] == "ended"), {})
    begun = [entry for entry in entries if entry["entry"] == "step"]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in (start, *begun, end):
        rows.update({(each["host"], each["step"]): each for each in entry.get("plan") or ()})
    result = _result(end) if end else unended(str(start.get("holder") or ""))
    message = end.get("message") or ""
    steps = end.get("steps") or [
        {"host": e["host"], "step": e["step"], "state": "begun", "seconds": None} for e in begun
    ]
    if not end and begun and result is not Result.RUNNING:
        message = f"it has no end; the last step that it began was {begun[-1]['step']}"
    known = {**(start.get("who") or {})}
    known["kubernetes"] = known.get("kubernetes") or end.get("kubernetes")
    return Record(
        id=name,
        environment=str(start.get("environment") or end.get("environment") or ""),
        started=str(start.get("at") or entries[0]["at"]),
        ended=end.get("at"),
        result=result,
        message=message,
        hint=end.get("hint") or "",
        who=known,
        cluster=end.get("cluster") or start.get("cluster"),
        commit=start.get("commit"),
        reason=start.get("reason") or "",
        approved=start.get("approved"),
        program=start.get("program") or "",
        deploy=start.get("deploy") or "",
        steps=tuple(steps),
        plan=tuple(rows.values()),
        checks=tuple(end.get("checks") or ()),
        notes=tuple(dict.fromkeys(entry["note"] for entry in (start, end) if entry.get("note"))),
        window=start.get("window") or "",
        override=start.get("override") is True,
        release=start.get("release") or "",
        promotion=start.get("promotion"),
    )
