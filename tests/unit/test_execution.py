"""One run of steps: what was shown is what is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment, existing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright import cluster, journal, lock
from meshwright.environment import Environment
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.execution import Execution
from meshwright.journal import Journal
from meshwright.kube import Identity
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan, approval
from meshwright.step import Step
from meshwright.target import Target


class World:
    """What steps look at and change. `steps` plan to make what `wanted` has and `there` has not."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.done: list[str] = []
        self.action = Action.ADD

    def step(self, name: str, *, wants: str = "", after: str = "", **rest: Any) -> Step:
        """A step that wants `wants`; where `after` is not there, it cannot say more than that."""
        wants = wants or name

        def plan(_target: Target, _env: Environment) -> Plan:
            if after and after not in self.there:
                return Plan(name, f"desired {name}", after=after)
            if wants in self.there:
                return Plan(name, f"desired {name}", checked=1)
            change = Change(self.action, "Thing", wants, why="because")
            return Plan(name, f"desired {name}", (change,), checked=1)

        def apply(_target: Target, _env: Environment, plan: Plan) -> None:
            self.done.append(name)
            self.there.update(change.name for change in plan.changes)

        return Step(name, plan, apply, **rest)


def checking(name: str = "check", *, raises: MeshwrightError | None = None) -> Step:
    def apply(_target: Target, _env: Environment, _plan: Plan) -> None:
        if raises:
            raise raises

    return Step(name, lambda _t, _e: Plan(name, "d"), apply, check=True)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of these tests reaches a cluster, unless the test gives it one."""
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)


Begin = Callable[..., Execution]


@pytest.fixture
def begin(host: FakeTarget) -> Begin:
    def begin(*steps: Step, env: Environment | None = None, **options: Any) -> Execution:
        return Execution(host, env or environment(), steps, Options(**options))

    return begin


def run(execution: Execution) -> list[Plan]:
    """Drives an execution to its end, as the operations do."""
    made = []
    try:
        for step in execution.steps:
            plan = execution.begin(step)
            made.append(plan)
            if not plan.empty or step.check:
                execution.apply(step, plan)
    finally:
        execution.end()
    return made


# Approval


def test_a_run_does_what_its_preview_showed(world: World, begin: Begin) -> None:
    execution = begin(world.step("a"), world.step("b"))
    shown = execution.preview()
    assert [plan.changes[0].name for plan in shown] == ["a", "b"]
    assert world.done == []
    assert [plan.digest for plan in run(execution)] == [plan.digest for plan in shown]
    assert world.done == ["a", "b"]


def test_the_approval_of_this_plan_lets_it_go_on(world: World, begin: Begin) -> None:
    steps = (world.step("a"), world.step("b", after="a"), checking())
    approved = approval(begin(*steps).preview())
    execution = begin(*steps, approved=approved)
    execution.preview()
    execution.approve()
    run(execution)
    assert world.done == ["a", "b"]


def test_an_approval_of_another_plan_is_refused(world: World, begin: Begin) -> None:
    steps = (world.step("a"), world.step("b"))
    approved = approval(begin(*steps).preview())
    world.there.add("a")
    execution = begin(*steps, approved=approved)
    now = approval(execution.preview())
    with pytest.raises(Refused) as caught:
        execution.approve()
    assert caught.value.message == (f"the plan has changed since it was approved ({approved[:15]}, now {now[:15]})")
    assert caught.value.exit_code is Exit.REFUSED


def test_a_protected_environment_needs_an_approval(world: World, begin: Begin) -> None:
    execution = begin(world.step("a"), env=existing())
    execution.preview()
    with pytest.raises(Refused, match=r"^prod is protected and no plan was approved") as caught:
        execution.approve()
    assert caught.value.hint == "Look at `meshwright plan prod` and run `meshwright apply prod`"


def test_a_protected_environment_needs_it_for_each_step_too(world: World, begin: Begin) -> None:
    with pytest.raises(Refused, match="prod is protected and no plan was approved"):
        run(begin(world.step("a"), env=existing()))
    assert world.done == []


def test_a_protected_environment_with_nothing_to_do_needs_none(world: World, begin: Begin) -> None:
    world.there.add("a")
    execution = begin(world.step("a"), checking(), env=existing())
    execution.preview()
    execution.approve()
    run(execution)


def test_without_an_approval_an_ordinary_environment_goes_on(world: World, begin: Begin) -> None:
    execution = begin(world.step("a"))
    execution.preview()
    execution.approve()


def test_what_changed_between_the_preview_and_the_step_is_refused(world: World, begin: Begin) -> None:
    step = world.step("a")
    execution = begin(step)
    execution.preview()
    world.action = Action.DESTROY
    with pytest.raises(Refused) as caught:
        run(execution)
    assert caught.value.message == "what a would do has changed since its plan was shown"
    assert world.done == []


def test_what_somebody_else_has_done_meanwhile_is_no_surprise(world: World, begin: Begin) -> None:
    execution = begin(world.step("a"))
    execution.preview()
    world.there.add("a")
    [plan] = run(execution)
    assert plan.empty
    assert world.done == []


def test_work_that_came_up_after_an_empty_plan_is_refused(world: World, begin: Begin) -> None:
    world.there.add("a")
    execution = begin(world.step("a"))
    execution.preview()
    world.there.clear()
    with pytest.raises(Refused, match="has changed since its plan was shown"):
        run(execution)


def test_what_is_known_later_is_bound_by_its_desired_state(world: World, begin: Begin) -> None:
    execution = begin(world.step("cluster"), world.step("istio", after="cluster"))
    later = execution.preview()[1]
    assert (later.after, later.changes) == ("cluster", ())
    run(execution)
    assert world.done == ["cluster", "istio"]


def test_another_desired_state_is_refused_even_where_it_was_known_later(world: World, begin: Begin) -> None:
    wanted = ["one"]

    def plan(_target: Target, _env: Environment) -> Plan:
        if "cluster" not in world.there:
            return Plan("istio", wanted[0], after="cluster")
        return Plan("istio", wanted[0], (Change(Action.ADD, "A", "b"),))

    istio = Step("istio", plan, lambda _t, _e, _p: None)
    execution = begin(world.step("cluster"), istio)
    execution.preview()
    wanted[0] = "other"
    with pytest.raises(Refused, match="what istio would do has changed"):
        run(execution)


def test_a_step_whose_forerunner_is_not_in_the_deploy_is_not_begun(world: World, begin: Begin) -> None:
    with pytest.raises(MeshwrightError) as caught:
        run(begin(world.step("istio", after="cluster")))
    assert caught.value.message == "istio cannot be done before cluster"
    assert caught.value.hint == ("Put the step `cluster` before `istio` in the deploy, or run that deploy first")
    assert world.done == []


names = st.sampled_from(["a", "b", "c"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(names), st.sets(names))
def test_an_approval_is_for_one_state_of_the_world_only(
    host: FakeTarget, when_approved: set[str], when_run: set[str]
) -> None:
    world = World()
    steps = (world.step("a"), world.step("b", after="a"), world.step("c"))
    world.there = set(when_approved)
    plans = Execution(host, environment(), steps, Options()).preview()
    world.there = set(when_run)
    execution = Execution(host, environment(), steps, Options(approved=approval(plans)))
    now = execution.preview()
    if [plan.as_json() for plan in plans] == [plan.as_json() for plan in now]:
        execution.approve()
    else:
        with pytest.raises(Refused):
            execution.approve()


# Recreation and protection


def test_a_recreation_needs_consent_of_its_own(world: World, begin: Begin) -> None:
    world.action = Action.RECREATE
    with pytest.raises(Refused) as caught:
        run(begin(world.step("cluster")))
    assert caught.value.message == "Thing cluster must be recreated: because"
    assert caught.value.hint == "Everything in it is lost. If that is wanted, run again with --allow-recreate"
    assert world.done == []
    run(begin(world.step("cluster"), allow_recreate=True))
    assert world.done == ["cluster"]


def test_after_a_recreation_nothing_is_known_of_what_the_cluster_will_hold(world: World, begin: Begin) -> None:
    recreated = World()
    recreated.action = Action.RECREATE
    world.there.add("istio")
    execution = begin(
        world.step("tools", cluster=False),
        recreated.step("cluster", cluster=False),
        world.step("config", cluster=False),
        world.step("istio"),
        world.step("namespaces"),
        checking(),
    )
    plans = execution.preview()
    assert [plan.after for plan in plans] == ["", "", "", "cluster", "cluster", ""]
    assert [len(plan.changes) for plan in plans] == [1, 1, 1, 0, 0, 0]


def test_after_a_recreation_the_steps_that_follow_may_do_what_comes_up(world: World, host: FakeTarget) -> None:
    recreated = World()
    recreated.action = Action.RECREATE
    world.there.add("istio")

    def anew(target: Target, env: Environment, plan: Plan) -> None:
        world.there.clear()
        recreated.there.add("cluster")

    cluster_step = Step("cluster", recreated.step("cluster").plan, anew, cluster=False)
    execution = Execution(host, environment(), (cluster_step, world.step("istio")), Options(allow_recreate=True))
    execution.preview()
    run(execution)
    assert world.done == ["istio"]


def test_a_destructive_step_is_never_done_in_a_protected_environment(world: World, begin: Begin) -> None:
    execution = begin(world.step("destroy", destructive=True), env=existing(), allow_recreate=True)
    with pytest.raises(Refused, match=r"^prod is protected: destroy is never done there$"):
        run(execution)
    assert world.done == []


def test_the_cluster_is_asked_who_it_is_before_a_write(
    world: World, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession()
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    execution = begin(world.step("tools", cluster=False), world.step("istio"), env=existing(), approved="sha256:1")
    session.who = Identity("0" * 8 + "-1111-2222-3333-" + "4" * 12, "cd" * 32)
    with pytest.raises(Refused, match="this is another cluster than prod means"):
        run(execution)
    assert world.done == ["tools"]


def test_the_cluster_is_not_asked_where_nothing_is_to_do(
    world: World, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_target: Target, _env: Environment) -> None:
        raise AssertionError("asked for a session")

    monkeypatch.setattr(cluster, "session", never)
    world.there.add("istio")
    run(begin(world.step("istio"), checking()))


# Checks


def test_a_check_runs_although_nothing_is_to_do(begin: Begin) -> None:
    execution = begin(checking(raises=MeshwrightError("it does not hold")))
    with pytest.raises(MeshwrightError, match="it does not hold"):
        run(execution)


def test_a_check_is_no_change_and_needs_no_lock(begin: Begin, host: FakeTarget) -> None:
    name = cluster.lock_name(host, environment())
    held = lock.acquire(name, "another run")
    try:
        execution = begin(checking())
        [plan] = execution.preview()
        assert plan.empty
        run(execution)
    finally:
        held.release()


# Lock and journal


def locked(name: str) -> bool:
    """Whether another process is refused the lock."""
    script = (
        "import sys; from meshwright import lock; from meshwright.errors import Refused\n"
        "try: lock.acquire(sys.argv[1], 'x')\n"
        "except Refused: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, check=True)
    return done.stdout == "refused\n"


def test_the_lock_is_taken_once_and_spans_the_run(world: World, begin: Begin, host: FakeTarget) -> None:
    name = cluster.lock_name(host, environment())
    execution = begin(checking("before"), world.step("a"), world.step("b"))
    before, first, second = execution.steps
    execution.preview()
    execution.begin(before)
    assert not locked(name)
    execution.apply(first, execution.begin(first))
    assert locked(name)
    execution.apply(second, execution.begin(second))
    assert locked(name)
    execution.end()
    assert not locked(name)


def test_a_second_run_is_refused_before_it_has_looked(world: World, begin: Begin, host: FakeTarget) -> None:
    looked: list[int] = []

    def plan(_target: Target, _env: Environment) -> Plan:
        looked.append(1)
        return Plan("a", "d")

    held = lock.acquire(cluster.lock_name(host, environment()), "lab: tools, cluster")
    try:
        with pytest.raises(Refused, match=r"another run is changing mw-lab-.*: lab: tools, cluster, process"):
            run(begin(Step("a", plan, lambda _t, _e, _p: None)))
    finally:
        held.release()
    assert looked == []


def test_a_plan_that_another_run_is_changing_right_now_is_refused_for_that(
    world: World, begin: Begin, host: FakeTarget
) -> None:
    execution = begin(world.step("a"), approved="sha256:another")
    execution.preview()
    held = lock.acquire(cluster.lock_name(host, environment()), "lab: site")
    try:
        with pytest.raises(Refused, match=r"another run is changing mw-lab-.*: lab: site, process"):
            execution.approve()
    finally:
        held.release()
    with pytest.raises(Refused, match="the plan has changed since it was approved"):
        execution.approve()


def test_planning_takes_no_lock(world: World, begin: Begin, host: FakeTarget) -> None:
    begin(world.step("a")).preview()
    assert not locked(cluster.lock_name(host, environment()))


def test_what_begins_is_in_the_journal(world: World, host: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    step = world.step("a")
    run(Execution(host, environment(), [step], Options(), Journal(path)))
    [(event, _)] = journal.read(path)
    assert (event["event"], event["step"], event["state"], event["changes"]) == ("step", "a", "started", 1)


def test_what_was_seen_is_looked_at_again_after_a_change(world: World, begin: Begin, host: FakeTarget) -> None:
    seen: list[str] = []

    def look() -> str:
        seen.append("looked")
        return "view"

    def plan(target: Target, _env: Environment) -> Plan:
        target.shared.get("view", look)
        return Plan("a", "d", (Change(Action.ADD, "A", "b"),))

    def fail(_target: Target, _env: Environment, _plan: Plan) -> None:
        raise MeshwrightError("half of it is done")

    step = Step("a", plan, fail)
    execution = begin(step)
    now = execution.begin(step)
    host.shared.get("view", look)
    assert len(seen) == 1
    with pytest.raises(MeshwrightError, match="half"):
        execution.apply(step, now)
    host.shared.get("view", look)
    assert len(seen) == 2
    execution.end()


def test_what_was_shown_before_a_preview_is_nothing(world: World, begin: Begin) -> None:
    step = world.step("a")
    execution = begin(step)
    assert execution.shown(step) is None
    [plan] = execution.preview()
    assert execution.shown(step) is plan


def test_a_name_that_nothing_has_is_taken_over_from_nobody(world: World, host: FakeTarget) -> None:
    execution = Execution(host, environment(), (world.step("a"),), Options(adopt=frozenset({"ConfigMap/nowhere/x"})))
    with pytest.raises(BadInput, match="--adopt ConfigMap/nowhere/x: this plan has looked at nothing of that name"):
        execution.preview()


def test_what_is_too_much_for_a_protected_environment_is_refused_before_anybody_is_asked(
    world: World, host: FakeTarget
) -> None:
    steps = tuple(world.step(name) for name in "ab")
    env = environment()
    limits = env.limits.model_copy(update={"changes": 0, "deletions": 0})
    execution = Execution(host, env.model_copy(update={"protected": True, "limits": limits}), steps, Options())
    gone = Change(Action.DESTROY, "ConfigMap", "x")
    execution.preview()
    execution._shown["b"] = replace(execution._shown["b"], changes=(gone,))
    with pytest.raises(Refused, match=r"this plan deletes 1 things, limits\.deletions allows 0"):
        execution.admit()
