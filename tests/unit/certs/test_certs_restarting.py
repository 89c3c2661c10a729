"""Restarting: in which order, how many at a time, never against a budget, and never twice for one write."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from fakes import FakeSession

from meshwright.certs import restarting
from meshwright.certs.restarting import Restarter, batches
from meshwright.certs.workloads import Workload
from meshwright.errors import Unverified
from meshwright.foreign import RESTARTED


def workload(name: str, *, gateway: bool = False, at_once: int = 0, obstacle: str = "") -> Workload:
    template = {"metadata": {"labels": {"app": name}}}
    return Workload(gateway, "Deployment", "bookinfo", name, 2, at_once, obstacle, template=template)


def names(wanted: list[Workload]) -> list[list[str]]:
    return [[each.name for each in batch] for batch in batches(wanted)]


def test_gateways_last_and_those_that_are_away_alone() -> None:
    gentle = [workload(name) for name in "edcba"]
    others = [workload("gate", gateway=True), workload("slow", at_once=1), workload("door", gateway=True)]
    assert names([*others, *gentle]) == [["a", "b", "c", "d"], ["e"], ["slow"], ["door"], ["gate"]]
    assert names([]) == []


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *budgets: Any) -> None:
        found = [objects.deployment(name, "bookinfo", {"app": name}) for name in ("a", "b", "gate")]
        self.session, self.now, self.said = FakeSession(*found, *budgets), 0.0, []
        self.waited: list[list[str]] = []
        self.on_sleep: Any = lambda: None

        def ready(_session: Any, refs: Any, **_more: Any) -> None:
            self.waited.append([ref.name for ref in refs])

        monkeypatch.setattr(restarting.wait, "ready", ready)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()

    def restart(self, *wanted: Workload, mark: str = "P1-7") -> list[str]:
        before = len(self.session.patches)
        say: Any = self.said.append
        Restarter(self.session, 30, say, lambda: self.now, self.sleep).restart(wanted, mark)
        return [name for _, _, name, _ in self.session.patches[before:]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_each_is_waited_for_before_the_next(world: World) -> None:
    wanted = [workload("gate", gateway=True), workload("a"), workload("b"), workload("x", obstacle="it is paused")]
    assert world.restart(*wanted) == ["a", "b", "gate"]
    assert world.waited == [["a", "b"], ["gate"]]
    assert world.said[-1] == "restarting Deployment bookinfo/gate (3 of 3)"
    [*_, body] = world.session.patches[0]
    assert body == {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "P1-7"}}}}}


def test_a_run_that_goes_on_restarts_nothing_twice(world: World) -> None:
    assert world.restart(workload("a")) == ["a"]
    assert world.restart(workload("a"), workload("b")) == ["b"]
    assert world.waited[-1] == ["a", "b"]
    assert world.restart(workload("a"), mark="P2-9") == ["a"]


def budget(allowed: int) -> Any:
    return objects.budget("keep", "bookinfo", {"app": "a"}) | {
        "status": {"expectedPods": 2, "desiredHealthy": 1, "disruptionsAllowed": allowed}
    }


def test_a_budget_without_room_now_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, budget(0))
    away = workload("a", at_once=1)

    def recover() -> None:
        if world.now > 5:
            world.session.put(budget(1))

    world.on_sleep = recover
    assert world.restart(away) == ["a"]
    assert 5 < world.now < 8
    assert "PodDisruptionBudget bookinfo/keep allows 0 of 1 pods" in " ".join(world.said)


def test_a_budget_that_stays_full_ends_it_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, budget(0))
    with pytest.raises(Unverified, match="Deployment bookinfo/a was not restarted: PodDisruptionBudget bookinfo/keep"):
        world.restart(workload("a", at_once=1))
    assert world.session.patches == []
    # One that surges takes nothing away.
    assert world.restart(workload("a")) == ["a"]
