"""The log of one proxy: what is there, or what comes, through ends of connections, rotations and restarts."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from meshwright import pods
from meshwright.errors import Unreachable
from meshwright.kube import ApiError, Session, following
from meshwright.logs.line import Line, line

__all__ = ["Pod", "follow", "read"]

_NANO = 10**9
_PAUSE = 1.0


@dataclass(frozen=True, order=True)
class Pod:
    """A pod by its namespace, name and uid: one that is made anew under the same name is another one."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass
class _Given:
    """The lines that were handed on last, so that none comes twice and none is left out when a connection is made
    again: the API server counts time in whole seconds, and a log has lines of one instant."""

    since: int
    lines: dict[int, Counter[int]] = field(default_factory=dict)

    def from_here(self) -> int:
        """The second from which to ask again. One more than needed: two streams of a container may be out of order."""
        return max(max(self.lines, default=0) - 1, self.since)

    def add(self, one: Line) -> None:
        second = one.at // _NANO
        newest = max(self.lines, default=0)
        self.lines.setdefault(second, Counter())[hash((one.at, one.text))] += 1
        if second > newest:
            self.lines = {at: seen for at, seen in self.lines.items() if at >= second - 1}

    def again(self) -> dict[int, Counter[int]]:
        """What has to be left out of the next answer."""
        return {second: seen.copy() for second, seen in self.lines.items()}


def _lines(session: Session, pod: Pod, since: int, *, follow: bool) -> Iterator[Line]:
    at = dt.datetime.fromtimestamp(since, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with following.log(session, pod.namespace, pod.name, pods.PROXY, follow=follow, since=at) as raw:
        for text in raw:
            if (found := line(str(pod), text)) is not None:
                yield found


def read(session: Session, pod: Pod, since: float) -> Iterator[Line]:
    """The lines of a pod's proxy since a time (seconds since 1970), up to now.

    Raises what a session raises; a pod that is gone, or whose proxy has not started, has none.
    """
    try:
        yield from (one for one in _lines(session, pod, int(since), follow=False) if one.at >= since * _NANO)
    except ApiError as error:
        if error.status not in (400, 404):
            raise


def follow(
    session: Session, pod: Pod, since: float, stop: threading.Event, say: Callable[[str], None]
) -> Iterator[Line]:
    """The same, going on with new ones until the pod is gone or `stop` is set. Each line comes once, whatever happens
    to connections; `say` is told when the cluster cannot be reached and when it can again.

    Raises Forbidden.
    """
    given, away = _Given(int(since)), False
    while not stop.is_set():
        left_out, trouble = given.again(), ""
        try:
            for one in _lines(session, pod, given.from_here(), follow=True):
                if away:
                    say(f"{pod} answers again")
                    away = False
                seen = left_out.get(one.at // _NANO)
                key = hash((one.at, one.text))
                if seen and seen[key] > 0:
                    seen[key] -= 1
                elif one.at >= since * _NANO:
                    given.add(one)
                    yield one
                if stop.is_set():
                    return
        except ApiError as error:
            if error.status == 404:
                return
            if error.status >= 500:  # its kubelet gives no answer
                trouble = error.message
            elif error.status != 400:  # 400: its container has not started yet
                raise
        except Unreachable:
            # A proxy that has nothing to say looks the same as a connection that has died: the next look tells.
            pass
        try:
            if _ended(session, pod):
                return
        except Unreachable as error:
            trouble = error.message
        if trouble and not away:
            say(f"{pod}: {trouble}; trying again")
            away = True
        stop.wait(_PAUSE if trouble or time.time() - max(given.lines, default=0) > _PAUSE else 0)


def _ended(session: Session, pod: Pod) -> bool:
    """Whether a pod is provably gone, or will write nothing more. Raises Unreachable."""
    found = session.get("v1", "Pod", pod.name, pod.namespace)
    if found is None or found["metadata"]["uid"] != pod.uid:
        return True
    return found.get("status", {}).get("phase") in ("Succeeded", "Failed")
