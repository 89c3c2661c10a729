"""The logs of many proxies as one, in the order of their times."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.logs.line import Line
from meshwright.logs.reading import Pod, follow, read

__all__ = ["Merger", "followed", "pods_of", "there"]

HOLD = 1.5
"""Seconds that a line is held back, so that one that tells of something earlier can still come before it. Istio's
Envoys write their access logs once a second (--file-flush-interval-msec)."""

_CAPACITY = 50_000
_LOOK = 3.0


def pods_of(listed: Sequence[dict[str, Any]]) -> list[Pod]:
    """Pods as the logs need them."""
    return [Pod(p["metadata"]["namespace"], p["metadata"]["name"], p["metadata"]["uid"]) for p in listed]


def there(session: Session, wanted: Sequence[Pod], since: float) -> Iterator[Line]:
    """The lines that the proxies of `wanted` have written since a time (seconds since 1970), up to now, in the order in
    which what they tell of began. Memory does not grow with them. Raises what a session raises."""
    held: list[tuple[int, int, Line]] = []
    written = heapq.merge(*(read(session, pod, since) for pod in wanted), key=lambda one: one.at)
    for number, line in enumerate(written):
        heapq.heappush(held, (line.when, number, line))
        while held and held[0][0] < line.at - HOLD * 10**9:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


class Merger:
    """Lines of many writers, given in the order of their times after a short wait. Safe to use from several threads.

    A writer waits while `capacity` lines are held: what cannot be printed as fast as it comes stays with its sender.
    """

    def __init__(self, hold: float = HOLD, capacity: int = _CAPACITY) -> None:
        self._hold, self._capacity = hold, capacity
        self._heap: list[tuple[int, int, Line]] = []
        self._arrived: list[tuple[float, int]] = []
        self._count = 0
        self._changed = threading.Condition()

    def put(self, line: Line, now: float | None = None) -> None:
        """Takes a line. `now` is a time.monotonic()."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._heap) < self._capacity)
            self._count += 1
            heapq.heappush(self._heap, (line.when, self._count, line))
            self._arrived.append((time.monotonic() if now is None else now, line.when))

    def due(self, now: float | None = None) -> list[Line]:
        """The lines whose wait is over, and all that are older than one of these."""
        until = (time.monotonic() if now is None else now) - self._hold
        with self._changed:
            count = next((i for i, (at, _) in enumerate(self._arrived) if at > until), len(self._arrived))
            newest = max((at for _, at in self._arrived[:count]), default=None)
            del self._arrived[:count]
            return [] if newest is None else self._pop(newest)

    def rest(self) -> list[Line]:
        """All that are left."""
        with self._changed:
            self._arrived.clear()
            return self._pop(None)

    def _pop(self, newest: int | None) -> list[Line]:
        found = []
        while self._heap and (newest is None or self._heap[0][0] <= newest):
            found.append(heapq.heappop(self._heap)[2])
        self._changed.notify_all()
        return found


def followed(
    session: Session,
    look: Callable[[], Sequence[Pod]],
    since: float,
    stop: threading.Event,
    say: Callable[[str], None],
    beat: float = 0.1,
) -> Iterator[list[Line]]:
    """The lines of the proxies of `look()` since a time (seconds since 1970), in batches, until `stop` is set. Pods
    that come later are followed from their start; `say` is told of those that come and go.

    Raises what the first look raises, and Forbidden.
    """
    merger, failed = Merger(), list[MeshwrightError]()
    running: dict[Pod, threading.Thread] = {}

    def one(pod: Pod, start: float) -> None:
        try:
            for line in follow(session, pod, start, stop, say):
                merger.put(line)
        except MeshwrightError as error:
            failed.append(error)

    def start(pod: Pod, at: float) -> None:
        thread = threading.Thread(target=one, args=(pod, at), name=f"log {pod}", daemon=True)
        running[pod] = thread
        thread.start()

    for pod in look():
        start(pod, since)
    looked = time.monotonic()
    try:
        while not stop.wait(beat):
            if failed:
                raise failed[0]
            yield merger.due()
            if time.monotonic() - looked > _LOOK:
                for pod in _new(look, running, say):
                    say(f"{pod} is new")
                    start(pod, 0)
                looked = time.monotonic()
    finally:
        stop.set()
    yield merger.rest()


def _new(
    look: Callable[[], Sequence[Pod]], running: dict[Pod, threading.Thread], say: Callable[[str], None]
) -> list[Pod]:
    """Pods that are not followed yet; forgets those whose log has ended."""
    try:
        found = list(look())
    except MeshwrightError:
        return []  # its own readers say that the cluster is away; the next look finds what is new
    for pod in [pod for pod, thread in running.items() if not thread.is_alive()]:
        if pod not in found:
            say(f"{pod} is gone")
            del running[pod]
    return [pod for pod in found if pod not in running]
