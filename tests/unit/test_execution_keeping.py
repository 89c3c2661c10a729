"""What a run keeps of what it applies, and how the next one sees an interrupted one through."""

from __future__ import annotations

import pytest
from fakes import FakeSession, FakeTarget, Object, environment

from meshwright import applied, cluster, objects
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, Unverified
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.plan import Plan
from meshwright.records.history import of
from meshwright.step import Step
from meshwright.target import Target

ENV = environment()


def config(name: str = "a", **data: str) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Making:
    """A step that brings objects into the cluster, and then maybe finds that they do not hold."""

    def __init__(self, session: FakeSession, host: FakeTarget) -> None:
        self.session, self.host = session, host
        self.wanted = [config()]
        self.fails: MeshwrightError | None = None
        self.waited: list[bool] = []
        self.step = Step("resources", self._plan, self._apply)

    def _plan(self, _target: Target, _env: Environment) -> Plan:
        changes = objects.compare(self.session, self.wanted).changes
        return Plan("resources", "d", changes, checked=1, objects=tuple(self.wanted))

    def _apply(self, _target: Target, _env: Environment, plan: Plan) -> None:
        objects.apply(self.session, plan.changes)
        self.waited.append(plan.unfinished)
        if self.fails:
            raise self.fails

    def execution(self) -> Execution:
        return Execution(self.host, ENV, [self.step], Options())

    def run(self) -> Plan:
        execution = self.execution()
        plan = execution.begin(self.step)
        if not plan.empty:
            execution.apply(self.step, plan)
        return plan

    def state(self) -> applied.State:
        return applied.states(self.session, "lab").get("resources", applied.State())


@pytest.fixture
def making(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> Making:
    session = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    return Making(session, host)


def test_the_record_names_the_set_that_was_applied(making: Making) -> None:
    making.run()
    [record] = of([making.host], ENV).records
    last = making.state().last
    assert last is not None
    assert (last.record, last.by, last.digest) == (record.id, "resources", record.steps[0]["kept"])


def test_a_converged_run_writes_nothing(making: Making) -> None:
    making.run()
    before = len(making.session.writes)
    assert making.run().empty
    assert len(making.session.writes) == before


def test_a_step_that_applies_no_objects_keeps_none(making: Making) -> None:
    [plan] = making.execution().preview()
    step = Step("other", lambda _t, _e: Plan("other", "d", plan.changes), making._apply)
    execution = Execution(making.host, ENV, [step], Options())
    execution.apply(step, execution.begin(step))
    assert applied.states(making.session, "lab") == {}


def test_what_did_not_hold_is_waited_for_by_the_next_run(making: Making) -> None:
    making.fails = Unverified("Deployment shop/d is not ready after 300 s")
    with pytest.raises(Unverified):
        making.run()
    assert making.state().last is None
    assert making.state().applying is not None
    [shown] = making.execution().preview()
    assert (shown.changes, shown.unfinished, shown.empty) == ((), True, False)
    with pytest.raises(Unverified):
        making.run()
    making.fails = None
    assert making.run().unfinished
    assert making.waited == [False, True, True]
    assert making.state().applying is None
    assert making.run().empty


def test_another_set_takes_the_place_of_one_that_was_interrupted(making: Making) -> None:
    making.run()
    making.fails = Unverified("no")
    making.wanted = [config(x="1")]
    with pytest.raises(Unverified):
        making.run()
    making.fails = None
    making.wanted = [config(x="2")]
    plan = making.run()
    assert (plan.unfinished, len(plan.changes)) == (True, 1)
    assert [len(making.state().applied), making.state().applying] == [2, None]


def test_without_the_right_to_keep_it_nothing_is_applied(making: Making) -> None:
    making.session.failing["create ConfigMap applied"] = Forbidden("no right to create ConfigMaps")
    with pytest.raises(Forbidden):
        making.run()
    assert ("v1", "ConfigMap", "shop", "a") not in making.session.objects


def test_what_was_applied_is_asked_for_once_by_a_plan(making: Making) -> None:
    more = Step("more", lambda t, e: Plan("more", "d", objects=making._plan(t, e).objects), making._apply)
    execution = Execution(making.host, ENV, [making.step, more], Options())
    making.session.asked.clear()
    execution.preview()
    assert making.session.asked.count("get ConfigMap applied-lab") == 1


def test_a_mark_survives_what_somebody_wrote_beside_it(making: Making) -> None:
    making.run()
    key = "v1", "ConfigMap", "meshwright", "applied-lab"
    making.session.objects[key]["data"]["theirs"] = "not ours"
    making.wanted = [config(x="1")]
    making.run()
    assert len(making.state().applied) == 2
    assert making.session.objects[key]["data"]["theirs"] == "not ours"
