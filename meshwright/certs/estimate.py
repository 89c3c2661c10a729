"""How long the steps of a change take, about: said in a plan before anybody agrees to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from meshwright.certs import waiting
from meshwright.certs.certificate import Certificate
from meshwright.certs.contents import Step
from meshwright.certs.modes import Mode
from meshwright.certs.restarting import batches
from meshwright.certs.trust import Report
from meshwright.certs.workloads import Workload
from meshwright.envoys import Proxy
from meshwright.windows.words import rough

__all__ = ["leaves", "of", "seconds"]

# A gate of a mesh that follows while it runs: nudged kubelets, new certificates, two looks (docs/certificates.md).
_GATE = 10.0
_ISTIOD = 25.0


def leaves(report: Report, proxies: Collection[Proxy]) -> list[Certificate]:
    """The certificates that these proxies present now."""
    names = {str(proxy) for proxy in proxies}
    return [place.chain[0] for place in report.seen.of("proxy") if place.name in names and place.chain]


def seconds(kept: Sequence[Workload]) -> float:
    """How long restarting these takes."""
    able = [each for each in kept if not each.obstacle]
    return sum(max(each.seconds for each in batch) for batch in batches(able))


def of(
    steps: Sequence[Step],
    istiod: Collection[Step],
    kept: Sequence[Workload],
    mode: Mode,
    slow: Sequence[Certificate],
    report: Report,
) -> dict[Step, str]:
    """The time of each step in words. In patient mode the first one waits for the certificates `slow` as they are, each
    later one for others that are new when it begins."""
    found: dict[Step, str] = {}
    for step in steps:
        time = dt.timedelta(seconds=_GATE + (_ISTIOD if step in istiod else 0) + seconds(kept))
        if mode is Mode.PATIENT and slow:
            last = waiting.renewed(slow)
            assert last is not None
            first = max(last - report.seen.now, dt.timedelta())
            time += first if not found else max(waiting.half_life(leaf) for leaf in slow)
        found[step] = rough(time)
    return found
