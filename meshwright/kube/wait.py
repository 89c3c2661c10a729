"""Waiting until what was applied is there: rollouts done, CRDs established."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.errors import Unreachable, Unverified
from meshwright.kube.explain import explain, selector
from meshwright.kube.rollout import KINDS, Progress, progress
from meshwright.kube.session import Session

__all__ = ["Ref", "ready", "refs"]

Object = dict[str, Any]

# How long an API server may give no answer (it restarts, a node is busy) before a wait gives up.
_SILENCE = 30.0
_PAUSE = 0.5
_SAY_AGAIN = 15.0


@dataclass(frozen=True, order=True)
class Ref:
    """The name of an object to wait for; `kind` is one of `meshwright.kube.rollout.KINDS`."""

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def refs(objects: Iterable[Object]) -> list[Ref]:
    """Those of `objects` that can be waited for."""
    return [
        Ref(o["kind"], o["metadata"]["name"], o["metadata"].get("namespace"))
        for o in objects
        if KINDS.get(o.get("kind", "")) == o.get("apiVersion")
    ]


def ready(
    session: Session,
    wanted: Sequence[Ref],
    *,
    timeout: float,
    say: Callable[[str], None] = lambda _sentence: None,
    pause: float = _PAUSE,
) -> None:
    """Returns when all of `wanted` are rolled out (Established, for CRDs). `timeout` is in seconds.

    Raises Unverified when that takes longer, or when one gives up while we look: its message names the object and the
    pod, container, image and reason; its hint has the pods' last events. Raises Unreachable when the API server gives
    no answer for half a minute, and Forbidden.
    """
    deadline = time.monotonic() + timeout
    given_up_before: set[Ref] | None = None
    said = _Said(say, len(wanted))
    answered = time.monotonic()
    waiting: dict[Ref, tuple[Object | None, Progress]] = {}
    while True:
        try:
            waiting = _look(session, wanted)
            answered = time.monotonic()
        except Unreachable:
            if time.monotonic() > min(answered + _SILENCE, deadline):
                raise
            time.sleep(pause)
            continue
        if not waiting:
            if any(ref.kind == "CustomResourceDefinition" for ref in wanted):
                session.forget_kinds()
            return
        failed = {ref for ref, (_, at) in waiting.items() if at.failed}
        if given_up_before is None:
            # An earlier run's failure: this one may be what cures it, so it is given its time.
            given_up_before = failed
        new = sorted(failed - given_up_before)
        if new:
            raise _not_ready(session, new[0], waiting, f"gave up: {waiting[new[0]][1].why}")
        if time.monotonic() + pause > deadline:
            first = next(iter(waiting))
            raise _not_ready(session, first, waiting, f"is not ready after {timeout:g} s: {waiting[first][1].why}")
        said.progress(waiting)
        time.sleep(pause)


def _look(session: Session, wanted: Sequence[Ref]) -> dict[Ref, tuple[Object | None, Progress]]:
    """What of `wanted` is not ready, in its order. One LIST for each kind and namespace."""
    groups = sorted({(ref.kind, ref.namespace or "") for ref in wanted})
    listed = session.map(lambda g: session.list(KINDS[g[0]], g[0], g[1] or None), groups)
    live = {
        Ref(kind, o["metadata"]["name"], namespace or None): o
        for (kind, namespace), objects in zip(groups, listed, strict=True)
        for o in objects
    }
    found: dict[Ref, tuple[Object | None, Progress]] = {}
    for ref in wanted:
        obj = live.get(ref)
        at = progress(obj) if obj else Progress(False, "it does not exist")
        if not at.done:
            found[ref] = (obj, at)
    return found


def _not_ready(
    session: Session, ref: Ref, waiting: dict[Ref, tuple[Object | None, Progress]], sentence: str
) -> Unverified:
    obj = waiting[ref][0]
    lines = explain(session, ref.namespace, selector(obj)) if obj and ref.namespace and selector(obj) else []
    also = [f"also waiting: {other}, {at.why}" for other, (_, at) in waiting.items() if other != ref]
    message = f"{ref} {sentence}; {lines[0]}" if lines else f"{ref} {sentence}"
    details = [*lines[1:], *also]
    return Unverified(message, hint="\n".join(["Seen there:", *details]) if details else "")


class _Said:
    """Says how far a wait is: when that changes, and now and then."""

    def __init__(self, say: Callable[[str], None], total: int) -> None:
        self._say = say
        self._total = total
        self._last = ""
        self._at = 0.0

    def progress(self, waiting: dict[Ref, tuple[Object | None, Progress]]) -> None:
        ref, (_, at) = next(iter(waiting.items()))
        sentence = f"{self._total - len(waiting)} of {self._total} ready, waiting for {ref}: {at.why}"
        now = time.monotonic()
        if sentence != self._last or now - self._at > _SAY_AGAIN:
            self._say(sentence)
            self._last, self._at = sentence, now
