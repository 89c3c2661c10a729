"""Gates: waiting until everything in a mesh has followed one step of a change, and making it follow sooner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshwright.certs.phase import Phase, Position
from meshwright.certs.trust import Report
from meshwright.errors import Forbidden, MeshwrightError, Refused, Unreachable, Unverified
from meshwright.kube import ApiError, Session

__all__ = ["NUDGED", "Held", "Pace", "behind", "hold", "nudge", "progress"]

NUDGED = "meshwright/nudged-at"
"""The annotation whose change makes a kubelet look at once at the Secrets and ConfigMaps that a pod has mounted; by
itself it does so about once a minute."""

Look = Callable[[], tuple[Report, Position]]


@dataclass(frozen=True)
class Pace:
    """Seconds: `patience` for the whole gate, `apart` between the two looks that must both find it holding, `pause`
    between looks, `every` between nudges. A nudge right after a write can come before the kubelet has heard of the
    write, and is then lost: so they are repeated."""

    patience: float = 300
    apart: float = 2
    pause: float = 0.5
    every: float = 2


@dataclass(frozen=True)
class Held:
    """A gate that held. `seconds` is how long that took, `looks` how often it was looked."""

    report: Report
    position: Position
    seconds: float
    looks: int


def hold(
    look: Look,
    wanted: Phase,
    *,
    nudge: Callable[[Report], None],
    say: Callable[[str], None],
    pace: Pace | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Held:
    """Waits until the gate of the phase `wanted` holds, seen twice and some seconds apart.

    Raises Refused (the CA Secret says another phase: somebody else has written it), Unverified (out of patience, with
    who has not followed), Forbidden. A cluster that gives no answer is asked again until patience ends.
    """
    pace = pace or Pace()
    started = clock()
    nudged, good_since, looks, told = started - pace.every, None, 0, ""
    last: Position | None = None
    while True:
        text = ""
        # The cluster may go away between the look and the nudge too.
        try:
            report, at = look()
            looks, last = looks + 1, at
            if at.phase is not wanted:
                raise Refused(
                    f"the mesh stands at {at.phase}, not at {wanted}: somebody else has written the CA Secret",
                    hint="`meshwright certs status` says where it stands; nothing more was written",
                )
            now = clock()
            if not at.stable:
                good_since, text = None, progress(report)
                if now - nudged >= pace.every:
                    nudge(report)
                    nudged = clock()
            elif good_since is None:
                good_since = now
            elif now - good_since >= pace.apart:
                return Held(report, at, now - started, looks)
        except Forbidden:
            raise
        except Unreachable as error:
            good_since, text = None, f"no answer: {error.message}"
        if text and text != told:
            say(text)
            told = text
        if clock() - started > pace.patience:
            raise _late(last, pace.patience)
        sleep(pace.pause)


def _late(at: Position | None, patience: float) -> MeshwrightError:
    if at is None:
        return Unverified(f"the gate could not be looked at within {patience:g} s", hint="Nothing more was written")
    first = at.waiting[0] if at.waiting else None
    who = f": {len(at.waiting)} have not followed, first {first.subject} ({first.detail})" if first else ""
    hint = (first.hint if first else "") or "`meshwright certs verify` names all, and what to do"
    return Unverified(f"the gate of {at.phase} does not hold after {patience:g} s{who}", hint=hint)


def progress(report: Report) -> str:
    """How many of each kind have followed: `37 of 40 proxies, 8 of 8 files`."""
    names = {"proxy": "proxies", "certificate": "signers"}
    parts = [f"{good} of {whole} {names.get(kind, kind + 's')}" for kind, good, whole in report.tally() if good < whole]
    return f"following: {', '.join(parts)}" if parts else ""


def behind(report: Report) -> list[tuple[str, str]]:
    """The pods whose kubelet should look: (namespace, name) of istiods, which mount the CA Secret, as long as anything
    of istiod's lags, and of the proxies whose mounted roots do."""
    lagging = {each.subject for each in report.laggards}
    own = [place for place in report.seen.places if place.kind in ("istiod", "certificate", "ConfigMap")]
    found = []
    if any(place.label in lagging for place in own):
        found += [(each.namespace, each.pod) for each in report.seen.mesh.istiods]
    for place in report.seen.of("file"):
        if place.label in lagging:
            namespace, _, name = place.name.partition("/")
            found.append((namespace, name))
    return found


def nudge(session: Session, pods: Iterable[tuple[str, str]]) -> None:
    """Writes the annotation on these pods, eight at once. One that is gone is no matter. Raises Forbidden,
    Unreachable, ApiError."""
    stamp = {"metadata": {"annotations": {NUDGED: f"{time.time():.3f}"}}}

    def one(pod: tuple[str, str]) -> None:
        namespace, name = pod
        try:
            session.patch("v1", "Pod", name, namespace, body=stamp)
        except ApiError as error:
            if error.status != 404:
                raise

    session.map(one, pods)
