"""Whether an istiod has read what was written, and the number of a push that surely has it in it.

That an istiod shows an object says only that it has read it. It pushes later, when it has noticed no further change for
a while, and one push at a time; a push that was under way may not have the object. So the number is taken

- when nothing was noticed any more for as long as istiod waits for, and a push has had the time to begin; or,
- where there is always something, when three pushes have ended since; the second of them began after the object was
  read.

A proxy whose state in istiod is from that push or a later one has been told. A push of endpoints alone leaves that
state as it is (pushConnectionDelta in pilot/pkg/xds). So where the number is that of such a push, proxies have been
told when it is known that the turn of each in it has come (`served`): they wait in line, each of them at most once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import istiods, pods
from meshwright.concerned import of_istio
from meshwright.errors import Unreachable, Unverified
from meshwright.istiods import Counters, Istiod
from meshwright.kube import Session

__all__ = ["Expected", "Push", "expected", "key", "push", "served"]

Object = dict[str, Any]

_FEW = 8
_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# What lies between noticing a change and counting the push, beside the time to prepare it.
_MARGIN, _SLOWER = 0.05, 10
_PUSHES = 3
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Expected:
    """An object as the API server has it: what an istiod must have read, or a later version of it. `uid` and `version`
    of a deleted one are those that must be gone; `revision` is that of the only istiods that read it ("": all)."""

    group: str
    kind: str
    namespace: str
    name: str
    uid: str
    version: str
    revision: str
    deleted: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Push:
    """The number of the push, how many turns had come when it was taken, the objects that the istiod had read, its
    mesh's root namespace, and what it says its version is. `unread` are the kinds that it does not show at all."""

    number: int
    turns: int
    objects: Sequence[Object]
    root: str
    version: str
    unread: frozenset[str]


def expected(session: Session, written: Iterable[Object], deleted: Iterable[Object]) -> list[Expected]:
    """The versions that the API server has now of what was written, and what was deleted.

    Raises Unverified: an object that was written is gone again.
    """
    written = [obj for obj in written if of_istio(obj)]
    live = {key(obj): obj for obj in _metadata(session, written)}
    for obj in written:
        if key(obj) not in live:
            raise Unverified(
                f"{_named(obj, {})} was deleted by somebody else since it was written",
                hint="`meshwright drift` shows what others change",
            )
    gone = [_named(obj, obj["metadata"], deleted=True) for obj in deleted if of_istio(obj)]
    return [*(_named(obj, live[key(obj)]["metadata"]) for obj in written), *gone]


def _metadata(session: Session, objects: Sequence[Object]) -> list[Object]:
    if len(objects) <= _FEW:

        def get(obj: Object) -> Object | None:
            metadata = obj["metadata"]
            return session.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))

        return [obj for obj in session.map(get, objects) if obj is not None]
    kinds = sorted({(obj["apiVersion"], obj["kind"]) for obj in objects})
    listed = session.map(lambda kind: session.list(*kind, metadata_only=True), kinds)
    return [obj for found in listed for obj in found]


def key(obj: Object) -> tuple[str, str, str, str]:
    """What names an object, whatever version of its kind it is in: group, kind, namespace, name."""
    metadata = obj["metadata"]
    # Not by version: istiod may show an object in another one.
    return obj["apiVersion"].rpartition("/")[0], obj["kind"], metadata.get("namespace") or "", metadata["name"]


def _named(obj: Object, metadata: Object, *, deleted: bool = False) -> Expected:
    revision = (metadata.get("labels") or {}).get("istio.io/rev") or ""
    return Expected(*key(obj), metadata.get("uid") or "", metadata.get("resourceVersion") or "", revision, deleted)


def push(session: Session, istiod: Istiod, wanted: Sequence[Expected], deadline: float) -> Push | None:
    """The push of `istiod` that has all of `wanted` in it; None when the istiod has gone. Waits until the deadline, a
    time.monotonic().

    Raises Unreachable: not by then.
    """
    pause = _PAUSE
    kinds: set[tuple[str, str]] | None = None
    ours = [each for each in wanted if each.revision in ("", istiod.revision)]
    while True:
        try:
            objects = istiods.configuration(session, istiod, _left(deadline))
            missing = _missing(objects, ours)
            if missing and kinds is None:
                kinds = istiods.kinds_read(session, istiod, _left(deadline))
                ours = [each for each in ours if (each.group, each.kind) in kinds]
                continue
            if not missing:
                counted, root = _pushed(session, istiod, deadline)
                unread = frozenset(e.kind for e in wanted if kinds is not None and (e.group, e.kind) not in kinds)
                return Push(counted.pushes, counted.turns, objects, root, counted.version, unread)
            why = f"{istiod} has not read {missing} yet"
        except Unreachable as error:
            if not _there(session, istiod):
                return None
            why = error.message
        if time.monotonic() + pause > deadline:
            raise Unreachable(why, hint="istiod reads only the namespaces that its discoverySelectors select")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def served(push: Push, before: int, now: int, proxies: int) -> bool:
    """Whether the turn of each proxy has come that waited in line when the number was taken. `before` and `now` are the
    turns at two times after that, at least a tenth of a second apart; `proxies` is how many are connected."""
    return now == before or now - push.turns >= proxies


def _left(deadline: float) -> float:
    return max(1.0, min(_TIMEOUT, deadline - time.monotonic()))


def _there(session: Session, istiod: Istiod) -> bool:
    pod = session.get("v1", "Pod", istiod.pod, istiod.namespace)
    return pod is not None and pod["metadata"]["uid"] == istiod.uid and pods.ready(pod)


def _missing(objects: Iterable[Object], wanted: Iterable[Expected]) -> str:
    """What an istiod has not read of `wanted`, "" when nothing."""
    there = {key(obj): obj["metadata"] for obj in objects}
    for each in wanted:
        found = there.get((each.group, each.kind, each.namespace, each.name))
        if each.deleted:
            if found is not None and (not each.uid or found.get("uid") == each.uid):
                return f"that {each} is deleted"
        elif found is None or not _at_least(found.get("resourceVersion") or "", each.version):
            return str(each)
    return ""


def _at_least(found: str, version: str) -> bool:
    # Kubernetes lets the versions of one kind be compared as numbers (KEP-5504).
    if found.isdigit() and version.isdigit():
        return int(found) >= int(version)
    return found == version


def _pushed(session: Session, istiod: Istiod, deadline: float) -> tuple[Counters, str]:
    """The counters once a push of everything that was noticed until now has begun; and, since there is time, the root
    namespace."""
    first = before = istiods.counters(session, istiod, _left(deadline))
    since = time.monotonic()
    root = istiods.root_namespace(session, istiod, _left(deadline))
    while True:
        quiet = istiod.debounce + max(_MARGIN, _SLOWER * before.preparing)
        time.sleep(max(0.0, since + quiet - time.monotonic()))
        now = istiods.counters(session, istiod, _left(deadline))
        if now.noticed == before.noticed or now.debounced >= first.debounced + _PUSHES:
            return now, root
        if time.monotonic() > deadline:
            raise Unreachable(f"{istiod} has not pushed what it has read")
        before, since = now, time.monotonic()
