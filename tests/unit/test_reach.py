"""A step that writes to several clusters: identity and Leases of all of them, before the first write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import UID, FakeSession, FakeTarget, environment, existing
from living import living

from meshwright import cluster
from meshwright.errors import Forbidden, Refused, Unreachable
from meshwright.execution import Execution
from meshwright.kube import Identity
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step
from meshwright.target import Local, Target

LEASE = ("coordination.k8s.io/v1", "Lease", "meshwright", "meshwright")
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}}


class World:
    """Two clusters, east and west; the step writes a ConfigMap into both. `holders` is who had the Leases then."""

    def __init__(self, host: FakeTarget) -> None:
        self.host, self.other = host, Local(host.project, name="@cluster/west")
        self.east, self.west = FakeSession(), FakeSession()
        self.west.who = Identity("the uid of west", "cd" * 32)
        self.west_env = environment("west")
        self.holders: list[str] = []

    def session(self, target: Target, _env: Any) -> FakeSession:
        return self.west if target is self.other else self.east

    def step(self) -> Step:
        def plan(_target: Target, _env: Any) -> Plan:
            return Plan("both", "d", (Change(Action.ADD, "Thing", "x"),), checked=1)

        def apply(_target: Target, _env: Any, _plan: Plan) -> None:
            for session in (self.west, self.east):
                self.holders.append(session.objects[LEASE]["spec"]["holderIdentity"])
                name = {"name": "written", "namespace": "meshwright"}
                session.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name})

        return Step("both", plan, apply, reach=lambda *_: [(self.host, environment()), (self.other, self.west_env)])

    def go(self) -> None:
        execution = Execution(self.host, environment(), [self.step()], Options())
        step = execution.steps[0]
        execution.apply(step, execution.begin(step))

    def written(self) -> list[bool]:
        return [("v1", "ConfigMap", "meshwright", "written") in each.objects for each in (self.east, self.west)]


@pytest.fixture
def world(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(host)
    monkeypatch.setattr(cluster, "session", made.session)
    monkeypatch.setattr(cluster, "lock_name", lambda target, _env: target.name.replace("/", "_"))
    return made


def test_all_leases_are_held_while_it_writes_and_let_go_of_afterwards(world: World) -> None:
    world.go()
    assert world.written() == [True, True]
    assert len(set(world.holders)) == 1
    assert world.holders[0]
    assert [each.objects[LEASE]["spec"]["holderIdentity"] for each in (world.east, world.west)] == ["", ""]


def test_who_works_on_the_other_one_keeps_it_away_from_both(world: World) -> None:
    with living() as (holder, _):
        world.west.put(NAMESPACE)
        spec = {"holderIdentity": str(holder), "leaseDurationSeconds": 60, "leaseTransitions": 0}
        lease = {"apiVersion": LEASE[0], "kind": "Lease", "metadata": {"namespace": "meshwright", "name": "meshwright"}}
        world.west.put({**lease, "spec": spec})
        with pytest.raises(Refused, match="another run is changing this cluster"):
            world.go()
    assert world.written() == [False, False]
    assert world.east.objects[LEASE]["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("error", [Forbidden("not you"), Unreachable("it is away")])
def test_the_other_one_cannot_be_asked(world: World, error: Any) -> None:
    world.west.failing["get Lease"] = error
    with pytest.raises(type(error)):
        world.go()
    assert world.written() == [False, False]


def test_another_cluster_is_behind_the_other_ones_context(world: World) -> None:
    world.west_env = existing(uid=UID[:-1] + "0").model_copy(update={"protected": False})
    with pytest.raises(Refused, match="this is another cluster than prod means"):
        world.go()
    assert world.written() == [False, False]


def test_steps_of_one_cluster_ask_nobody_else(world: World) -> None:
    execution = Execution(world.host, environment(), [replace(world.step(), reach=None)], Options())
    with pytest.raises(KeyError):
        execution.apply(execution.steps[0], execution.begin(execution.steps[0]))
    assert world.west.asked == []
