"""The Lease that keeps changing runs on one cluster apart, wherever they run.

Two clocks never agree, so no time that another machine wrote decides anything here. Whoever waits for a Lease measures
by its own clock for how long the Lease has not changed: a holder that lives changes it every few seconds, so one that
has not changed for its whole duration has no living holder, whatever the clocks say. This is the rule of client-go's
leader election. The holder in turn trusts its Lease for less than that, counted from before it sent the last renewal:
it stops before the first moment at which another could begin.

All writes carry the resourceVersion that was read: of two who take a free Lease at once, the API server lets one win.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from meshwright import kube
from meshwright.errors import Forbidden, MeshwrightError, Refused
from meshwright.holder import Holder
from meshwright.kube import ApiError
from meshwright.wording import now

__all__ = ["NAMESPACE", "Lease", "current", "elapsed", "free", "take"]

NAMESPACE = "meshwright"
"""The namespace of our own objects in a cluster."""

_API, _KIND, _NAME = "coordination.k8s.io/v1", "Lease", "meshwright"
_PURPOSE, _PLACE = "meshwright/purpose", "meshwright/place"
_DURATION = 60
_RENEWALS = 4
_LOOK = 1.0
_TRIES = 20
# Longer than any run of ours ever says: somebody wrote that by hand, to keep runs away.
_PATIENCE = 120
_NEXT = "Wait until it has ended, then run this again"
_STOPPED = "This run stopped before its next write; what was done stays done. Run it again: it goes on from there"

Object = dict[str, Any]


def elapsed() -> float:
    """Seconds on a clock of this machine that goes on while the machine sleeps: a laptop that was closed for an hour
    must see that its Lease is over. time.monotonic() stands still meanwhile, on Linux and on darwin."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def current(session: kube.Session) -> Object | None:
    """The Lease as it is, None where there is none."""
    return session.get(_API, _KIND, _NAME, NAMESPACE)


def free(session: kube.Session) -> None:
    """Raises Refused: another run holds the Lease, or may. What a session raises."""
    if (there := current(session)) is not None and _busy(there, Holder.here()):
        raise _refused(there)


class Lease:
    """A Lease that is held, and renewed by a thread until it is released or lost.

    `elsewhere` is true when the last holder was not under the file lock that this run has: it may have changed the
    cluster since this run looked at it.
    """

    def __init__(
        self, session: kube.Session, held: Object, sent: float, clock: Callable[[], float], *, elsewhere: bool
    ) -> None:
        self.elsewhere = elsewhere
        self._session = session
        self._clock = clock
        self._me = held["spec"]["holderIdentity"]
        self._duration = float(held["spec"]["leaseDurationSeconds"])
        self._lost = ""
        self._using = threading.RLock()
        self._over = threading.Event()
        self._renewed(held, sent)
        # Under gevent, as in pyinfra, this is a greenlet: it runs whenever the steps wait for a process or a socket.
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def guard(self) -> None:
        """Raises Refused when this run may not write any more. Asks nobody: it stands before every single write."""
        if not self._lost and self._clock() >= self._end:
            self._lost = (
                "the Lease of this cluster ended before it could be renewed: this machine slept, or the API server "
                f"gave no answer for {self._duration - self._margin:.0f} s"
            )
        if self._lost:
            raise Refused(self._lost, hint=_STOPPED)

    def held(self) -> None:
        """Asks the API server whether this run still holds the Lease.

        Raises Refused: it does not; Unreachable, Forbidden.
        """
        with self._using:
            self.guard()
            self._look()
            self.guard()

    def release(self) -> None:
        """Lets go, so that the next run need not wait. A Lease that was lost is not touched."""
        self.abandon()
        with self._using:
            if self._lost:
                return
            free = copy.deepcopy(self._held)
            free["spec"]["holderIdentity"] = ""
            try:
                self._session.replace(free)
            except MeshwrightError:
                return  # it ends by itself, or whoever takes it next sees that this process has ended

    def abandon(self) -> None:
        """Renews it no more and leaves it as it is (its cluster is gone)."""
        self._over.set()

    # Inside

    @property
    def _margin(self) -> float:
        """Seconds between the moment at which this holder stops and the first at which another may begin: time for a
        write that was sent before to arrive."""
        return self._duration / _RENEWALS

    def _renewed(self, held: Object, sent: float) -> None:
        self._held = held
        self._end = sent + self._duration - self._margin

    def _keep(self) -> None:
        pause = self._duration / _RENEWALS
        while not self._over.wait(pause) and not self._lost:
            pause = self._duration / _RENEWALS if self._renew() else self._duration / _RENEWALS / 5

    def _renew(self) -> bool:
        """Renews it once; whether that is done."""
        with self._using:
            if self._over.is_set() or self._lost:
                return False
            sent = self._clock()
            wanted = copy.deepcopy(self._held)
            wanted["spec"]["renewTime"] = now("microseconds")
            try:
                self._renewed(self._session.replace(wanted), sent)
            except MeshwrightError as error:
                if isinstance(error, ApiError) and error.status in (404, 409):
                    with contextlib.suppress(MeshwrightError):  # the next renewal, or the end of the Lease, tells
                        self._look()
                return False
            return True

    def _look(self) -> None:
        """Sees who holds it now. Only we ever write our own name: while it is there, nobody else was in between."""
        now = current(self._session)
        if now is None:
            self._lost = "the Lease of this cluster was deleted while this run held it"
        elif _spec(now).get("holderIdentity") != self._me:
            self._lost = f"this run has lost the Lease of its cluster: {_holder(now)}"
        else:
            self._held = now


def take(
    session: kube.Session,
    purpose: str,
    *,
    place: str = "",
    say: Callable[[str], None] = lambda _sentence: None,
    holder: Holder | None = None,
    duration: int = _DURATION,
    clock: Callable[[], float] = elapsed,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Takes the Lease of the cluster for `purpose` ("lab: site").

    A free one, and one whose holder has provably ended on this machine, is taken at once. One of another machine is
    watched: as soon as it changes, its holder lives and this run is refused; when it has not changed for its
    duration, it is taken over. `place` names the file lock that this run has.

    Raises Refused: another run holds it. Forbidden: no right to Leases. What a session raises.
    """
    me = holder or Holder.here()
    watched, since = "", 0.0
    tries = 0
    while tries < _TRIES:
        there = _allowed(lambda: current(session))
        if there is not None and _busy(there, me):
            version = there["metadata"]["resourceVersion"]
            if _alive(there) or _length(there) > _PATIENCE or watched not in ("", version):
                raise _refused(there)
            if not watched:
                watched, since = version, clock()
                say(f"waiting to see whether another run still lives: {_holder(there)}")
            if clock() - since < _length(there):
                sleep(_LOOK)
                continue
            say("it does not: its Lease is taken over")
        sent = clock()
        taken = _allowed(partial(_write, session, there, _wanted(there, me, purpose, place, duration)))
        if taken is not None:
            elsewhere = there is not None and _annotations(there).get(_PLACE) != place
            return Lease(session, taken, sent, clock, elsewhere=elsewhere)
        tries += 1
    raise MeshwrightError(
        f"the Lease {NAMESPACE}/{_NAME} cannot be taken: it is changed or deleted each time before it is written",
        hint=f"See who does that: kubectl get lease -n {NAMESPACE} {_NAME} -o yaml --show-managed-fields",
    )


def _busy(there: Object, me: Holder) -> bool:
    """Whether somebody else holds it, or may."""
    name = _spec(there).get("holderIdentity") or ""
    found = Holder.read(name)
    return name not in ("", str(me)) and not (found is not None and found.alive is False)


def _alive(there: Object) -> bool:
    """Whether its holder is a process of this machine; `_busy` has told those that have ended."""
    found = Holder.read(_spec(there)["holderIdentity"])
    return found is not None and found.alive is True


def _length(there: Object) -> float:
    return float(_spec(there).get("leaseDurationSeconds") or _DURATION)


def _wanted(there: Object | None, me: Holder, purpose: str, place: str, duration: int) -> Object:
    before = there or {"metadata": {}, "spec": {}}
    notes = {**_annotations(before), _PURPOSE: purpose, _PLACE: place}
    metadata = {**before["metadata"], "name": _NAME, "namespace": NAMESPACE, "annotations": notes}
    at = now("microseconds")
    spec = {
        "holderIdentity": str(me),
        "leaseDurationSeconds": duration,
        "acquireTime": at,
        "renewTime": at,
        "leaseTransitions": (_spec(before).get("leaseTransitions") or 0) + (1 if there else 0),
    }
    return {"apiVersion": _API, "kind": _KIND, "metadata": metadata, "spec": spec}


def _write(session: kube.Session, there: Object | None, wanted: Object) -> Object | None:
    """The Lease as written; None where somebody else was quicker, or our namespace had to be made first."""
    try:
        return session.create(wanted) if there is None else session.replace(wanted)
    except ApiError as error:
        if error.status == 404 and there is None:
            session.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            return None
        if error.status in (404, 409):
            return None
        raise


def _allowed(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Forbidden as error:
        raise Forbidden(
            f"without the Lease that keeps two runs apart nothing is changed: {error.message}",
            hint=f"A run that changes a cluster needs get, create and update of Leases in namespace {NAMESPACE}, and "
            "that namespace; ask whoever runs the cluster for both",
        ) from None


def _spec(there: Object) -> Object:
    return there.get("spec") or {}


def _annotations(there: Object) -> dict[str, str]:
    return there["metadata"].get("annotations") or {}


def _refused(there: Object) -> Refused:
    return Refused(f"another run is changing this cluster: {_holder(there)}", hint=_NEXT)


def _holder(there: Object) -> str:
    """Who holds it, for what and since when; the time is the holder's own, in UTC, and only told."""
    spec = _spec(there)
    name = spec.get("holderIdentity") or ""
    if not name:
        return "another run has had it meanwhile and has let it go"
    found = Holder.read(name)
    words = [_annotations(there).get(_PURPOSE, ""), found.words if found else name]
    since = str(spec.get("acquireTime") or "")[:19].replace("T", " ")
    return ", ".join(filter(None, words)) + (f", since {since} UTC" if since else "")
