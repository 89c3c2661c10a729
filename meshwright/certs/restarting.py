"""Restarting workloads, so that their proxies begin with new roots or a new certificate.

By the rolling update of each, started by an annotation on its pod template. The annotation's value names the write that
is to be followed, not the run: a run that goes on after a killed one restarts nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from meshwright.certs import workloads
from meshwright.certs.workloads import Workload
from meshwright.errors import Unverified
from meshwright.foreign import RESTARTED
from meshwright.kube import Session, wait

__all__ = ["Restarter", "batches"]

_TOGETHER = 4


@dataclass
class Restarter:
    """Restarts workloads. `timeout` is in seconds, for each of them."""

    session: Session
    timeout: float
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def restart(self, wanted: Sequence[Workload], mark: str) -> None:
        """Restarts those of `wanted` that can be, workloads first and gateways last, and waits for each rollout. Who
        has `mark` already is only waited for. Raises Unverified, Forbidden, Unreachable."""
        able = [each for each in wanted if not each.obstacle]
        done = 0
        for batch in batches(able):
            names = ", ".join(map(str, batch))
            self.say(f"restarting {names} ({done + len(batch)} of {len(able)})")
            for each in batch:
                self._allowed(each)
                stamp = {"metadata": {"annotations": {RESTARTED: mark}}}
                body = {"spec": {"template": stamp}}
                self.session.patch("apps/v1", each.kind, each.name, each.namespace, body=body)
            refs = [wait.Ref(each.kind, each.name, each.namespace) for each in batch]
            wait.ready(self.session, refs, timeout=self.timeout, say=self.say)
            done += len(batch)

    def _allowed(self, workload: Workload) -> None:
        """Waits until the budgets over a workload have room for what its update takes away."""
        if not workload.at_once:
            return
        started, told = self.clock(), False
        while True:
            covering = [
                each
                for each in workloads.budgets(self.session, workload.namespace)
                if each.covers(workload.namespace, workload.labels)
            ]
            full = next((each for each in covering if each.now < workload.at_once), None)
            if full is None:
                return
            text = f"PodDisruptionBudget {full.namespace}/{full.name} allows {full.now} of {workload.at_once} pods"
            if self.clock() - started > self.timeout:
                raise Unverified(
                    f"{workload} was not restarted: {text}, for {self.timeout:g} s",
                    hint="Its other pods are not ready: see to them, and run again. It goes on from here",
                )
            if not told:
                self.say(f"waiting to restart {workload}: {text}")
                told = True
            self.sleep(1)


def batches(wanted: Sequence[Workload]) -> Iterator[tuple[Workload, ...]]:
    """What is restarted at the same time: up to four of those whose old pods stay until new ones are ready; every
    other, and every gateway, alone. Gateways come last."""
    gentle = [each for each in wanted if not each.gateway and not each.at_once]
    gentle.sort()
    for start in range(0, len(gentle), _TOGETHER):
        yield tuple(gentle[start : start + _TOGETHER])
    yield from ((each,) for each in sorted(wanted) if each.gateway or each.at_once)
