"""A changing run as a whole: the file lock, the Lease and the record that all its operations share.

pyinfra has no hook for the end of a run: its callbacks are for connecting, for single operations and for facts, and a
deploy file may go on with operations of its own after ours. So the end is found from inside: each Execution knows its
list of steps and leaves the run after its last one or at its first failure, and when all have left, the run is over.
What ends in any other way (Ctrl-C, a failed operation of somebody else's between ours) is closed when the process
ends; what is killed is closed by nobody, and needs nobody: the kernel lets go of the file lock, the Lease is taken over
from a dead holder or ends, and a record without an end is shown as that of an interrupted run.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshwright import kube, lock
from meshwright.errors import Refused
from meshwright.plan import Plan, digest
from meshwright.target import Target

if TYPE_CHECKING:
    # Most runs change nothing, and each would pay the 4 ms that these take to import.
    from meshwright.lease import Lease
    from meshwright.records import Recorder
    from meshwright.windows.gate import Gate

__all__ = ["Member", "Run"]

_PATIENCE = 0.5


@dataclass(eq=False)
class Member:
    """A list of steps on one target, as a part of a run. `shown` has the plans that were shown, by step; `session` is
    that with the target's cluster once its Lease is held. `kept` names the places that have the release."""

    target: Target
    deploy: str
    steps: tuple[str, ...]
    shown: Mapping[str, Plan]
    session: kube.Session | None = None
    kept: set[str] = field(default_factory=set)


class Run:
    """What the Executions of one process share. Nothing is taken or written before something is to be changed."""

    def __init__(self, environment: str, *, program: str = "", reason: str = "", approved: str | None = None) -> None:
        self._environment = environment
        self._about: dict[str, Any] = {"program": program, "reason": reason, "approved": approved}
        self._using = threading.RLock()
        self._members: list[Member] = []
        self._clear()

    def _clear(self) -> None:
        self._error: Exception | None = None
        self._token = secrets.token_hex(8)
        self._locks: dict[tuple[str, str], lock.Lock] = {}
        self._leases: dict[str, Lease] = {}
        self._guarded: list[kube.Session] = []
        self._steps: list[dict[str, Any]] = []
        self._checks: list[dict[str, Any]] = []
        self._record: Recorder | None = None
        self._gate: Gate | None = None

    # Who takes part

    def join(self, member: Member) -> None:
        """Counts `member` among those whose end is awaited."""
        with self._using:
            if member not in self._members:
                self._members.append(member)

    def leave(self, member: Member, error: Exception | None = None) -> None:
        """`member` has done its last step, or failed with `error`: then nothing else is done on its target either.
        When it was the last, the run is over: its record is ended, Lease and lock are let go."""
        with self._using:
            gone = [each for each in self._members if each is member or (error and each.target is member.target)]
            self._members = [each for each in self._members if each not in gone]
            self._error = self._error or error
            if not self._members:
                self._end()

    def _end(self) -> None:
        for session in self._guarded:
            # The record of a run that has lost its Lease is written too: it has its own name and changes nothing.
            session.guard = _allow
        answered = self._record.end(self._error, self._steps, self._checks) if self._record else True
        for held in self._leases.values():
            # A cluster that gave no answer would only make the user wait once more; its Lease ends by itself.
            if answered:
                held.release()
            else:
                held.abandon()
        self._let_go()

    def close(self) -> None:
        """The process ends, or nobody drives this run any more. What has not left was interrupted, and the file says
        so. The Lease is kept, because greenlets and processes of this run may be at work until the very end: the next
        run sees that this process has ended, or waits."""
        # Somebody may be waiting for a Lease with this in hand, and will never go on.
        free = self._using.acquire(timeout=_PATIENCE)
        try:
            for session in self._guarded:
                session.guard = _stop
            for held in self._leases.values():
                held.abandon()
            last = ", ".join(dict.fromkeys(member.steps[-1] for member in self._members if member.steps))
            if self._members and self._record:
                self._record.interrupted(f"it ended before its last step ({last})", self._steps, self._checks)
            self._members = []
            self._let_go()
        finally:
            if free:
                self._using.release()

    def _let_go(self) -> None:
        for held in self._locks.values():
            held.release()
        self._clear()

    # What it holds

    def lock(self, member: Member, name: str) -> None:
        """Takes the file lock `name` on the member's host, once. Raises Refused: another run has it."""
        with self._using:
            self.join(member)
            if (member.target.name, name) not in self._locks:
                purpose = f"{self._environment}: {', '.join(member.steps)}"
                self._locks[member.target.name, name] = member.target.lock(name, purpose, self._token)

    def secure(self, member: Member, session: kube.Session, name: str) -> bool:
        """Takes the Lease of the session's cluster for the run, once, and guards the session's writes with it.

        Gives true when whoever had the Lease last was not under the same file lock `name`: then the cluster may have
        been changed since this run looked at it. Raises what `meshwright.lease.take` does.
        """
        from meshwright import lease
        from meshwright.records import origin

        uid = session.identity().uid
        with self._using:
            taken = None
            if uid not in self._leases:
                taken = lease.take(
                    session,
                    f"{self._environment}: {member.deploy or ', '.join(member.steps)}, by {origin.who()['user']}",
                    place=self._place(member, name),
                    say=member.target.say,
                )
                self._leases[uid] = taken
            session.guard = self._leases[uid].guard
            self._guarded.append(session)
            member.session = session
            return taken is not None and taken.elsewhere

    def _place(self, member: Member, name: str) -> str:
        """The file lock of this run, so that two runs under the same one recognise it; nobody else need read it."""
        held = self._locks.get((member.target.name, name))
        return digest(list(held.where())) if held else ""

    def held(self) -> None:
        """Asks whether the run still holds its Leases. Raises Refused: it lost one, and cannot go on."""
        for held in list(self._leases.values()):
            held.held()

    def gone(self, member: Member) -> None:
        """The cluster of `member` was deleted or made anew, with Lease and records in it."""
        with self._using:
            if member.session is not None:
                uid = member.session.identity().uid
                if self._record:
                    self._record.forget(member.session)
                member.session.guard = _allow
                member.session = None
                if uid in self._leases:
                    self._leases.pop(uid).abandon()

    def gate(self, make: Callable[[], Gate]) -> Gate:
        """What the environment's windows allow this run; made once, so that all its parts share one time."""
        with self._using:
            self._gate = self._gate or make()
            return self._gate

    # What it writes down

    def note(self, **about: Any) -> None:
        """What else the beginning of the record has."""
        with self._using:
            self._about.update(about)

    def writing(self, member: Member, plan: Plan) -> None:
        """A step is about to apply `plan`: begins the record where it has not begun. No record, no change: raises what
        writing it raises."""
        from meshwright.records import Recorder

        with self._using:
            if self._record is None:
                about = {
                    **self._about,
                    "deploy": ", ".join(dict.fromkeys(each.deploy for each in self._members if each.deploy)),
                    "steps": [step for each in self._members for step in each.steps],
                }
                shown = [(each.target.name, each_plan) for each in self._members for each_plan in each.shown.values()]
                self._record = Recorder(self._environment, member.target, about, shown)
            self._record.writing(member.target, member.session, plan)

    @property
    def record(self) -> str:
        """The id of the run's record; empty before it has begun."""
        return self._record.id if self._record else ""

    def done(self, member: Member, step: str, state: str, seconds: float, kept: str = "") -> None:
        """A step has ended: unchanged, changed, checked or failed. `kept` is the digest of the objects that it has
        applied, where they are kept."""
        row = {"host": member.target.name, "step": step, "state": state, "seconds": round(seconds, 3)}
        with self._using:
            self._steps.append(row | ({"kept": kept} if kept else {}))

    def checked(self, results: list[dict[str, Any]]) -> None:
        """What checks found, as their JSON."""
        with self._using:
            self._checks += results


def _allow() -> None:
    """The guard of a session that nothing guards."""


def _stop() -> None:
    raise Refused("this run was interrupted")
