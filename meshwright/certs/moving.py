"""Moving a mesh from one phase to the next: one write, what it takes to be noticed, and the gate.

Whoever moves begins by looking, so a run that was killed anywhere is gone on with by running again. Before each write
the gate of the phase that is left has held, and the write carries the version of the Secret that was looked at there:
a Secret that somebody else has written since refuses it.
"""

from __future__ import annotations

import base64
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from meshwright.certs import gates, injected, machines
from meshwright.certs.authority import Kind
from meshwright.certs.contents import Case, Content, Step, content
from meshwright.certs.following import Follower
from meshwright.certs.gates import Held, Pace
from meshwright.certs.modes import Mode, on
from meshwright.certs.phase import Phase, Position, where
from meshwright.certs.readiness import keeper
from meshwright.certs.standby import Standby
from meshwright.certs.trust import Looks, Report, verify
from meshwright.environment import Environment
from meshwright.errors import Refused
from meshwright.foreign import RESTARTED
from meshwright.kube import ApiError, Session, wait

__all__ = ["STEPS", "Mover", "back", "forward"]

Object = dict[str, Any]

STEPS = {
    Phase.REST: Step.OLD,
    Phase.BOTH_SIGN_OLD: Step.BOTH_SIGN_OLD,
    Phase.BOTH_SIGN_NEW: Step.BOTH_SIGN_NEW,
    Phase.NEW_ALONE: Step.NEW,
}
"""Which content the CA Secret has in each phase."""

_PHASES = {step: phase for phase, step in STEPS.items()}


def _silent(_what: str) -> None:
    """No window ends the run."""


@dataclass
class Mover:
    """What moves one mesh. `say` tells a person; `looks` is what each look covers; `safe_point` raises Refused where
    the run is to end, and is called where the mesh may be left as it is."""

    session: Session
    env: Environment
    change: Standby
    say: Callable[[str], None]
    pace: Pace = field(default_factory=Pace)
    looks: Looks = field(default_factory=Looks)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    safe_point: Callable[[str], None] = _silent
    _written: Content | None = None
    _version: str = ""

    def look(self) -> tuple[Report, Position]:
        """One look, and where the mesh stands by it. Raises Refused: the CA Secret is not as this run wrote it."""
        report = verify(self.session, self.env, dt.datetime.now(dt.UTC), self.looks, self.change.waived)
        self._still_ours(report)
        at = where(self.session, report)
        refused = [] if report.seen.mesh.remote else injected.refusals(self.session, report.seen.mesh)
        if refused:
            at = replace(at, stable=False, waiting=(*at.waiting, *refused))
        return report, at

    def here(self) -> tuple[Report, Step]:
        """The step at which the mesh stands. Raises Refused: it stands at none of this change."""
        report, at = self.look()
        if at.phase not in STEPS:
            raise Refused(
                f"it cannot be said where the mesh stands: {at.why}", hint="`meshwright certs verify` says more"
            )
        return report, STEPS[at.phase]

    def gate(self, step: Step) -> Held:
        """Waits until the gate of `step` holds, and does what the mode does for those that are slow to follow. Raises
        as `gates.hold` and `Follower.follow` do."""
        started = self.clock()
        if self.change.mode is not Mode.LIVE:
            self._follower(step).follow()
        held = self._hold(self.look, step, self.pace)
        self.say(f"{_PHASES[step]}: seen twice after {self.clock() - started:.1f} s")
        return held

    def _follower(self, step: Step) -> Follower:
        return Follower(
            self.session,
            self.change.mode,
            lambda look, pace: self._hold(look, step, pace),
            self.look,
            step.value,
            self.say,
            self.pace,
            self.env.istio.timeout,
            self.clock,
            self.sleep,
            self.safe_point,
        )

    def _hold(self, look: gates.Look, step: Step, pace: Pace) -> Held:
        return gates.hold(
            look,
            _PHASES[step],
            nudge=self._nudge,
            say=self.say,
            pace=pace,
            clock=self.clock,
            sleep=self.sleep,
        )

    def _nudge(self, report: Report) -> None:
        """Makes kubelets look, and writes the file of machines outside the cluster."""
        gates.nudge(self.session, gates.behind(report))
        authority, lagging = report.seen.authority, {each.subject for each in report.laggards}
        roots = dict.fromkeys(authority.ordered) if authority is not None else {}
        for name in machines.write(self.env, lagging, roots):
            self.say(f"wrote the roots to machine {name}")

    def move(self, report: Report, step: Step) -> Held:
        """Writes the content of `step` over what `report` has seen, and waits for its gate."""
        authority = report.seen.authority
        live = "" if authority is None else authority.roots_text
        wanted = content(self.change.case, step, self.change.old, self.change.new, live)
        # The gate of the phase that is left has held: here a run may end.
        self.safe_point(f"{_PHASES[STEPS[where(self.session, report).phase]]}")
        self.say(f"writing Secret {self.env.istio.namespace}/{wanted.secret} for {_PHASES[step]}")
        self._write(report, wanted)
        # Whom it trusts as a client istiod reads when it starts; only machines outside the cluster are such clients.
        if self.restarts(report) or (self.env.certs.vms and len(report.expected.roots) == 1):
            self.restart(f"{step}-{self._version}")
        return self.gate(step)

    def _write(self, report: Report, wanted: Content) -> None:
        namespace, authority = self.env.istio.namespace, report.seen.authority
        data = {name: base64.b64encode(text.encode()).decode() for name, text in wanted.files.items()}
        metadata: dict[str, Any] = {"name": wanted.secret, "namespace": namespace}
        try:
            if authority is None or authority.secret != f"{namespace}/{wanted.secret}" or authority.used is None:
                new = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
                self._wrote(wanted, self.session.create(new))
                return
            there = self.session.get("v1", "Secret", wanted.secret, namespace)
            if there is None or there["metadata"].get("resourceVersion") != authority.used.version:
                raise self._taken(wanted)
            there["data"] = {**(there.get("data") or {}), **data}
            self._wrote(wanted, self.session.replace(there))
        except ApiError as error:
            if error.reason in ("Conflict", "AlreadyExists"):
                raise self._taken(wanted) from None
            raise

    def _wrote(self, wanted: Content, answer: Object) -> None:
        self._written, self._version = wanted, str(answer["metadata"]["resourceVersion"])

    def _still_ours(self, report: Report) -> None:
        """Somebody who writes the old content back, or another key, is seen before anything more is written."""
        used = report.seen.authority.used if report.seen.authority else None
        namespace = self.env.istio.namespace
        if self._written is None or used is None or used.version == self._version:
            return
        name = self._written.secret
        if used.secret != f"{namespace}/{name}":
            return  # that is another phase, or the end of a way back
        there = self.session.get("v1", "Secret", name, namespace)
        data = {} if there is None else there.get("data") or {}
        texts = {key: base64.b64encode(text.encode()).decode() for key, text in self._written.files.items()}
        if there is None or any(data.get(key) != text for key, text in texts.items()):
            who, _ = keeper(there) if there is not None else ("", False)
            raise Refused(
                f"Secret {namespace}/{name} is not as this run wrote it: {who or 'somebody'} has written it since",
                hint="Pause that, then `meshwright certs status` says where the mesh stands. Nothing more was written",
            )
        self._version = str(there["metadata"]["resourceVersion"])

    def _taken(self, wanted: Content) -> Refused:
        name = f"{self.env.istio.namespace}/{wanted.secret}"
        return Refused(
            f"Secret {name} was written by somebody else since the gate was looked at",
            hint="Nothing was written. `meshwright certs status` says where the mesh stands now",
        )

    def restarts(self, report: Report) -> bool:
        """Whether istiod must be restarted to notice what is written: one on its own CA looks at its Secret once an
        hour, and one without ISTIO_MULTIROOT_MESH takes no new root over while it runs."""
        authority = report.seen.authority
        watched = authority is not None and authority.kind is Kind.PLUGGED
        return not (watched and on(report.seen.mesh))

    def restart(self, mark: str) -> None:
        """Restarts every istiod that does not have `mark` yet, by the strategy of its Deployment, and waits until it is
        ready. The mark names the write that is to be noticed: a run that goes on restarts nothing twice."""
        namespace = self.env.istio.namespace
        found = self.session.list("apps/v1", "Deployment", namespace, labels="app=istiod")
        stamp = {"metadata": {"annotations": {RESTARTED: mark}}}
        for each in found:
            name = each["metadata"]["name"]
            self.say(f"restarting Deployment {namespace}/{name}")
            self.session.patch("apps/v1", "Deployment", name, namespace, body={"spec": {"template": stamp}})
        refs = [wait.Ref("Deployment", each["metadata"]["name"], namespace) for each in found]
        wait.ready(self.session, refs, timeout=self.env.istio.timeout)

    def settle(self, report: Report, step: Step) -> Held:
        """The gate of the step at which the mesh stands already; an istiod that a killed run left unrestarted is
        restarted first."""
        lagging = {each.subject for each in report.laggards}
        behind = any(place.label in lagging for kind in ("istiod", "certificate") for place in report.seen.of(kind))
        # One that was started before its plugged-in CA came does not watch it.
        late = self.change.case is Case.PLUG_IN and step is Step.BOTH_SIGN_OLD
        clients = self.env.certs.vms and step in (Step.BOTH_SIGN_OLD, Step.BOTH_SIGN_NEW)
        if clients or (step is not Step.OLD and behind and (late or self.restarts(report))):
            used = report.seen.authority.used if report.seen.authority else None
            self.restart(f"{step}-{used.version if used else ''}")
        return self.gate(step)


def forward(mover: Mover) -> Held:
    """From wherever the mesh stands to the new root alone. Raises what `gates.hold` does, and Refused."""
    return _along(mover, [Step.OLD, Step.BOTH_SIGN_OLD, Step.BOTH_SIGN_NEW, Step.NEW], Step.BOTH_SIGN_NEW)


def back(mover: Mover) -> Held:
    """From wherever the mesh stands to the old root alone. For a mesh that is on a plugged-in CA only because of this
    change, taking that Secret away, and restarting istiod, is left to the caller. Raises as `forward` does."""
    return _along(mover, [Step.NEW, Step.BOTH_SIGN_NEW, Step.BOTH_SIGN_OLD, Step.OLD], Step.BOTH_SIGN_OLD)


def _along(mover: Mover, steps: list[Step], left_out: Step) -> Held:
    """`left_out` is the step that a change of one key does without; one that stands there goes on all the same."""
    report, at = mover.here()
    held = mover.settle(report, at)
    for step in steps[steps.index(at) + 1 :]:
        if not (mover.change.case is Case.EXTEND and step is left_out):
            held = mover.move(held.report, step)
    return held
