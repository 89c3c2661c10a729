"""What a mode does for the proxies that learn a new root only with their next certificate: restart what keeps them, or
wait. Everybody else has followed first: who is restarted, or asks, then gets what is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from meshwright.certs import machines, modes, waiting, workloads
from meshwright.certs.certificate import Certificate
from meshwright.certs.gates import Held, Look, Pace
from meshwright.certs.modes import Mode
from meshwright.certs.phase import Position
from meshwright.certs.restarting import Restarter
from meshwright.certs.trust import Report
from meshwright.envoys import Proxy
from meshwright.errors import Unverified
from meshwright.kube import Session
from meshwright.windows.words import rough

__all__ = ["Follower"]

# So long none of those that are told of new roots may follow before what keeps the others is restarted as well: on a
# busy machine they take their time, and a restart is not free.
_TOLD = 20.0
# Between looks while hours are waited for, in seconds.
_SLOWLY = 30.0


@dataclass
class Follower:
    """Makes slow proxies follow one step, named `step`. `hold` waits for the gate of the step as a look sees it."""

    session: Session
    mode: Mode
    hold: Callable[[Look, Pace], Held]
    look: Look
    step: str
    say: Callable[[str], None]
    pace: Pace
    timeout: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    safe_point: Callable[[str], None]

    def follow(self) -> None:
        """Returns when the slow have had what they need. Raises what `gates.hold` and `Restarter.restart` do, and
        Refused: the run ends here, at a safe point."""
        report = self.hold(lambda: _without(self.look(), _every), replace(self.pace, apart=0)).report
        if self.mode is Mode.RESTART:
            self._restart(report)
        else:
            self._wait(report)

    def _restart(self, report: Report) -> None:
        report = self._told(report)
        names = modes.lagging(report)
        behind = [proxy for proxy in report.seen.mesh.proxies if str(proxy) in names]
        if not behind:
            return
        roles = {(proxy.namespace, proxy.pod): proxy.role for proxy in behind}
        found = workloads.of_pods(
            modes.pods_of(report.seen.mesh, behind),
            lambda pod: roles[pod["metadata"]["namespace"], pod["metadata"]["name"]] == "gateway",
            workloads.read(self.session),
        )
        for each in found:
            if each.obstacle:
                self.say(f"not restarted: {each}, {each.obstacle}. {each.hint}")
        used = report.seen.authority.used if report.seen.authority else None
        mark = f"{self.step}-{used.version if used else ''}"
        Restarter(self.session, self.timeout, self.say, self.clock, self.sleep).restart(found, mark)

    def _told(self, report: Report) -> Report:
        """Waits for those that are told of new roots, as long as some of them follow; the last look."""
        quick = replace(self.pace, apart=0, patience=min(_TOLD, self.pace.patience))
        behind = modes.lagging(report) - _slow(report)
        while True:
            try:
                return self.hold(lambda: _without(self.look(), _slow), quick).report
            except Unverified:
                report, _ = self.look()
            before, behind = behind, modes.lagging(report) - _slow(report)
            if not behind < before:
                return report

    def _wait(self, report: Report) -> None:
        """Until the last of the slow has asked for its next certificate; whoever looks meanwhile may stop the run."""
        told = ""
        while True:
            leaves = _outdated(report)
            last = waiting.renewed(leaves)
            if last is None:
                return
            text = f"waiting for the next certificates of {len(leaves)} proxies, until {last:%Y-%m-%d %H:%M} UTC"
            if text != told:
                self.say(f"{text}, in {rough(last - report.seen.now)}")
                told = text
            self.safe_point(f"the wait of {self.step}")
            left = (last - report.seen.now).total_seconds()
            if left <= 0:
                return  # the gate itself has patience with the last of them
            self.sleep(min(_SLOWLY, left))
            report, _ = self.look()


def _outdated(report: Report) -> list[Certificate]:
    """What those present that have not followed and will with their next certificate."""
    names = modes.lagging(report) & _slow(report)
    seen = [*report.seen.of("proxy"), *report.seen.of(machines.ENVOY)]
    return [place.chain[0] for place in seen if place.name in names and place.chain]


Left = Callable[[Report], set[str]]


def _every(report: Report) -> set[str]:
    return {proxy.name for kind in ("proxy", machines.ENVOY) for proxy in report.seen.of(kind)}


def _slow(report: Report) -> set[str]:
    """Whether the agent of a machine is told of new roots cannot be seen."""
    found: list[Proxy] = modes.slow(report.seen.mesh, report.waived)
    return {*map(str, found), *(place.name for place in report.seen.of(machines.ENVOY))}


def _without(seen: tuple[Report, Position], left_out: Left) -> tuple[Report, Position]:
    """A look in which these proxies are not waited for."""
    report, at = seen
    names = left_out(report)
    labels = {f"{kind} {name}" for kind in ("proxy", machines.ENVOY, "handshakes with") for name in names}
    waiting_for = tuple(each for each in at.waiting if each.subject not in labels)
    return report, replace(at, stable=not waiting_for, waiting=waiting_for)
