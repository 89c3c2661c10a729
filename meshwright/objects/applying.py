"""Writing what a comparison has found: in order, at a pace, each write bound to what was looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from itertools import groupby

from meshwright import difference
from meshwright.errors import Refused
from meshwright.kube import ApiError, Session
from meshwright.objects import adoption, conflicts
from meshwright.objects.comparing import MANAGER, fenced, outcome
from meshwright.objects.names import Object, key, named, title
from meshwright.plan import Change

__all__ = ["Beat", "apply"]

_TRIES = 5
_FENCES = ("resourceVersion", "uid")
# Seconds between the tries of a write whose webhook cannot be called: istiod restarts in less.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


def apply(
    session: Session,
    changes: Iterable[Change],
    *,
    manager: str = MANAGER,
    force: bool = False,
    adopt: Collection[str] = (),
    pace: float | None = None,
) -> None:
    """Applies the payloads of `changes`, kind by kind in order, several of a kind at once.

    `force` and `adopt` are those of the comparison. `pace` is the most writes a second; None: as fast as the API server
    takes them. A write whose webhook cannot be called is tried again for a quarter of a minute. Raises Refused
    (conflict, or changed since it was looked at), BadInput (the API server refuses it) and what a session raises.
    """
    beat = Beat(pace)

    def write(change: Change) -> None:
        obj = change.payload
        adopted = named(obj) in adopt
        for _ in range(_TRIES):
            beat.wait()
            try:
                after = _patiently(session, obj, manager, force or adopted)
            except ApiError as error:
                if error.reason != "Conflict" or error.causes:
                    raise conflicts.explained(error, obj) from None
            else:
                if not force:
                    _take_over(session, after, manager, adopted, beat)
                return
            # Its version has changed. A status is written all the time; only another change than the one that was
            # approved is a reason to stop.
            now = session.get(*key(obj)[:2], obj["metadata"]["name"], obj["metadata"].get("namespace"))
            if now is None or not _still(session, now, obj, change, manager, force, adopted):
                break
            obj = fenced(obj, now)
        raise Refused(
            f"{obj['kind']} {title(obj)} was changed by somebody else since its plan was made",
            hint="Look at the new plan",
        )

    for _, same in groupby(changes, key=lambda change: change.kind):
        session.map(write, list(same))


def _patiently(session: Session, obj: Object, manager: str, force: bool) -> Object:
    for pause in (*_PAUSES, None):
        try:
            return session.apply(obj, manager=manager, force=force)
        except ApiError as error:
            if not error.webhook or pause is None:
                raise
        time.sleep(pause)
    raise AssertionError


def _still(
    session: Session, now: Object, obj: Object, change: Change, manager: str, force: bool, adopted: bool
) -> bool:
    """Whether an apply would still make the change that was approved, and no other."""
    wanted = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in _FENCES}}
    try:
        found = outcome(session, now, wanted, manager, force=force, adopt=adopted)
    except ApiError as error:
        raise conflicts.explained(error, obj) from None
    return found.conflict is None and difference.between(now, found.after) == change.fields


def _take_over(session: Session, after: Object, manager: str, everyone: bool, beat: Beat) -> None:
    """Takes what was applied out of the claims of others; see `adoption`."""
    obj: Object | None = after
    for _ in range(_TRIES):
        if obj is None or not adoption.taken(obj, obj, manager, everyone=everyone):
            return
        api, kind, namespace, name = key(after)
        body = adoption.patch(obj, manager, everyone=everyone)
        beat.wait()
        try:
            session.patch(api, kind, name, namespace or None, body=body, content_type=adoption.JSON_PATCH)
            return
        except ApiError as error:
            if error.reason != "Conflict":
                raise conflicts.explained(error, after) from None
        obj = session.get(api, kind, name, namespace or None)
    raise Refused(
        f"{after['kind']} {title(after)} was written, but others change it so often that their claims to its fields "
        "could not be taken over",
        hint="Run the same command again",
    )


class Beat:
    """Spreads calls of `wait` from several threads over time: at most `pace` a second; None: no limit."""

    def __init__(self, pace: float | None) -> None:
        self._gap = 1 / pace if pace else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when it is this caller's turn."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)
