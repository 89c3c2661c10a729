"""What one run holds and writes down, driven by steps on a cluster that is a dict."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, Object, environment, existing
from living import living

from meshwright import cluster, lease, lock, objects
from meshwright.check import Check, State
from meshwright.check import Result as Checked
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, Refused, Unreachable
from meshwright.execution import Execution
from meshwright.holder import Holder
from meshwright.journal import Journal
from meshwright.options import Options
from meshwright.plan import Action, Change, Field, Plan, masked
from meshwright.project import Project
from meshwright.records import Record, Result, file
from meshwright.records.history import of
from meshwright.run import Run
from meshwright.step import Step
from meshwright.target import Target

LEASE = ("coordination.k8s.io/v1", "Lease", "meshwright", "meshwright")
SECRET = "cHJpdmF0ZS1rZXktb2YtdGhlLWNh"


def config(name: str, **data: str) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def making(*wanted: Object, name: str = "resources", **rest: Any) -> Step:
    """A step that brings these objects into the cluster, as the steps of the project do."""

    def plan(target: Target, env: Environment) -> Plan:
        session = cluster.session(target, env)
        if session is None:
            return Plan(name, "d", after="cluster")
        return Plan(name, "d", objects.compare(session, wanted).changes, checked=len(wanted))

    def apply(target: Target, env: Environment, plan: Plan) -> None:
        session = cluster.session(target, env)
        assert session is not None
        objects.apply(session, plan.changes)

    return Step(name, plan, apply, **rest)


def doing(name: str, act: Callable[[], None] = lambda: None, action: Action = Action.CHANGE, **rest: Any) -> Step:
    """A step that always has something to do, on the host or in the cluster."""
    plan = Plan(name, "d", (Change(action, "Thing", name),), checked=1)
    return Step(name, lambda _t, _e: plan, lambda _t, _e, _p: act(), **rest)


def checking(state: State = State.OK) -> Step:
    def apply(_target: Target, _env: Environment, _plan: Plan) -> None:
        found = Checked(Check("data", "it is so", lambda _t, _e: "", "so", "look"), state, "seen", 0.1)
        Journal.of_process().write("check", result=found.as_json())
        if state is not State.OK:
            raise MeshwrightError("1 of 1 checks does not hold")

    return Step("check", lambda _t, _e: Plan("check", "d"), apply, check=True)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


@pytest.fixture
def execution(host: FakeTarget) -> Callable[..., Execution]:
    def execution(*steps: Step, env: Environment | None = None, **options: Any) -> Execution:
        run, deploy = options.pop("run", None), options.pop("deploy", "site")
        target = options.pop("target", host)
        return Execution(
            target, env or environment(), steps, Options(**options), Journal.of_process(), run=run, deploy=deploy
        )

    return execution


Make = Callable[..., Execution]


def drive(execution: Execution) -> None:
    """Drives an execution as the operations do; it is never told that it is at its end."""
    for step in execution.steps:
        plan = execution.begin(step)
        if not plan.empty or step.check:
            execution.apply(step, plan)


def records(host: FakeTarget) -> tuple[Record, ...]:
    return of([host], environment()).records


def entries(host: FakeTarget) -> list[str]:
    return [entry["entry"] for entry in file.read(host, "lab")[0]]


def maps(session: FakeSession) -> list[str]:
    return [name.rpartition("-")[2] for _, _, where, name in sorted(session.objects) if name.startswith("record-")]


def holder(session: FakeSession) -> str:
    return str(session.objects[LEASE]["spec"]["holderIdentity"]) if LEASE in session.objects else "nobody ever"


# Runs that change nothing


def test_a_run_that_changes_nothing_asks_and_writes_nothing(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    step = making(config("a"))
    drive(execution(step))
    session.asked.clear()
    before = len(session.writes)
    run = execution(step, checking())
    run.preview()
    drive(run)
    assert session.asked == ["list ConfigMap", "try ConfigMap a"] * 2
    assert len(session.writes) == before
    assert len(records(host)) == 1


def test_a_plan_is_no_run(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    execution(making(config("a"))).preview()
    assert (entries(host), holder(session)) == ([], "nobody ever")


# Lock, Lease and record of a run that changes something


def test_lease_and_record_span_the_run(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    seen: list[tuple[bool, list[str], list[str]]] = []

    def look() -> None:
        seen.append((holder(session) != "", entries(host), maps(session)))

    drive(execution(doing("first", look), doing("second", look), checking()))
    assert seen == [
        (True, ["started", "step"], ["started"]),
        (True, ["started", "step", "step"], ["started"]),
    ]
    assert holder(session) == ""
    assert entries(host) == ["started", "step", "step", "ended"]
    assert maps(session) == ["ended", "started"]
    [record] = records(host)
    assert record.result is Result.OK
    assert [(step["step"], step["state"]) for step in record.steps] == [
        ("first", "changed"),
        ("second", "changed"),
        ("check", "checked"),
    ]
    assert [check["check"] for check in record.checks] == ["so"]


def test_a_record_says_who_why_and_what(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    run = execution(making(config("a", x="y")), doing("more", cluster=False), approved="sha256:1", reason="the audit")
    run.preview()
    drive(run)
    [record] = records(host)
    assert (record.environment, record.deploy, record.reason, record.approved) == (
        "lab",
        "site",
        "the audit",
        "sha256:1",
    )
    assert record.who["kubernetes"] == "op@example.com"
    assert record.cluster == session.who.uid
    assert [(plan.step, [change.name for change in plan.changes]) for plan in record.plans] == [
        ("resources", ["shop/a"]),
        ("more", ["more"]),
    ]
    assert record.plans[0].changes[0].fields


def test_what_was_shown_is_in_the_record_even_if_it_was_never_reached(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    run = execution(doing("first", failing(MeshwrightError("the disk is full", hint="Make room"))), doing("second"))
    run.preview()
    with pytest.raises(MeshwrightError):
        drive(run)
    [record] = records(host)
    assert [plan.step for plan in record.plans] == ["first", "second"]
    assert (record.result, record.message, record.hint) == (Result.FAILED, "the disk is full", "Make room")
    assert [(step["step"], step["state"]) for step in record.steps] == [("first", "failed")]
    assert holder(session) == ""


def test_what_could_only_be_planned_on_the_way_is_in_the_record(
    host: FakeTarget, session: FakeSession, execution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    up: list[bool] = []
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session if up else None)
    run = execution(doing("cluster", lambda: up.append(True), cluster=False), making(config("a")))
    assert run.preview()[1].after == "cluster"
    drive(run)
    [record] = records(host)
    assert [(plan.step, plan.after, len(plan.changes)) for plan in record.plans] == [
        ("cluster", "", 1),
        ("resources", "", 1),
    ]
    assert record.cluster == session.who.uid
    assert record.who["kubernetes"] == "op@example.com"
    assert maps(session) == ["ended", "started"]


def test_without_a_cluster_there_is_a_lock_and_a_file(
    host: FakeTarget, execution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    monkeypatch.setattr(cluster, "no_session", lambda _target, _env: "there is none")
    drive(execution(doing("tools", cluster=False)))
    [record] = records(host)
    assert (record.result, record.cluster) == (Result.OK, None)


def test_a_check_that_does_not_hold_is_in_the_record(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    with pytest.raises(MeshwrightError):
        drive(execution(doing("first"), checking(State.FAILED)))
    [record] = records(host)
    assert record.result is Result.FAILED
    assert [(check["check"], check["state"], check["detail"]) for check in record.checks] == [("so", "failed", "seen")]


def test_a_refusal_after_the_first_write_is_recorded_as_one(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    with pytest.raises(Refused):
        drive(execution(doing("first"), doing("cluster", action=Action.RECREATE, cluster=False)))
    [record] = records(host)
    assert (record.result, record.message) == (Result.REFUSED, "Thing cluster must be recreated: ")


def test_a_refusal_before_the_first_write_is_no_record(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    with pytest.raises(Refused):
        drive(execution(doing("cluster", action=Action.RECREATE, cluster=False)))
    assert entries(host) == []
    assert locked(cluster.lock_name(host, environment())) is False


def test_a_defect_is_a_failure_and_its_text_is_not_written_down(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    with pytest.raises(KeyError):
        drive(execution(doing("first", failing(KeyError(SECRET)))))
    [record] = records(host)
    assert (record.result, record.message) == (Result.FAILED, "a defect: KeyError")
    assert holder(session) == ""


def locked(name: str) -> bool:
    script = (
        "import sys; from meshwright import lock; from meshwright.errors import Refused\n"
        "try: lock.acquire(sys.argv[1], 'x')\n"
        "except Refused: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, check=True)
    return done.stdout == "refused\n"


def test_the_lock_is_let_go_at_the_end(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    name = cluster.lock_name(host, environment())
    seen: list[bool] = []
    drive(execution(doing("first", lambda: seen.append(locked(name)))))
    assert seen == [True]
    assert not locked(name)


def test_no_secret_is_written_anywhere(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ca", "namespace": "shop"},
        "data": {"k": SECRET},
    }
    change = Change(
        Action.CHANGE, "Secret", "shop/ca", (Field("data.k", None, masked(SECRET)),), payload={"secret": SECRET}
    )
    own = Plan("certs", "d", (change,), checked=1, payload=SECRET)
    certs = Step("certs", lambda _t, _e: own, lambda _t, _e, _p: None)
    run = execution(certs, making(secret))
    run.preview()
    drive(run)
    written = Path(file.path(host, "lab")).read_text()
    kept = json.dumps([obj for key, obj in session.objects.items() if key[1] == "ConfigMap"])
    assert masked(SECRET) in written
    assert masked(SECRET) in kept
    for text in (written, kept):
        assert SECRET not in text


# Others


def another_holds(session: FakeSession) -> lease.Lease:
    """A run of another machine has the Lease; nobody renews it."""
    held = lease.take(session, "lab: site, by ann", place="theirs", holder=Holder("laptop", "b", "s", 7, "8"))
    held.abandon()
    return held


def ends_while_we_plan(session: FakeSession, other: lease.Lease, *, having_made: Object) -> None:
    """The other run makes an object and lets go after our plan, just before we look at the Lease."""
    begun = session.get

    def get(api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        if kind == "Lease":
            session.get = begun  # type: ignore[method-assign]
            session.apply(having_made)
            other.release()
        return begun(api_version, kind, name, namespace)

    session.get = get  # type: ignore[method-assign]


def test_a_second_run_is_refused_and_leaves_the_first_alone(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    with living() as (other, process):
        lease.take(session, "lab: site, by ann", holder=other).abandon()
        with pytest.raises(Refused, match=f"this cluster: lab: site, by ann, process {process.pid} on "):
            drive(execution(making(config("a"))))
    assert holder(session) == str(other)
    assert entries(host) == []
    assert ("v1", "ConfigMap", "shop", "a") not in session.objects


def test_what_another_machine_did_meanwhile_is_looked_at_again(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    other = another_holds(session)
    step = making(config("a"), config("b"))
    ends_while_we_plan(session, other, having_made=config("a"))
    run = execution(step)
    assert [change.name for change in run.begin(step).changes] == ["shop/b"]
    run.end()


def test_what_another_machine_has_done_needs_not_be_done(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    other = another_holds(session)
    ends_while_we_plan(session, other, having_made=config("a"))
    drive(execution(making(config("a"))))
    assert (entries(host), holder(session)) == ([], "")


def test_what_another_machine_did_meanwhile_was_not_shown(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    other = another_holds(session)
    step = making(config("a", x="1"))
    run = execution(step)
    run.preview()
    ends_while_we_plan(session, other, having_made=config("a", x="2"))
    with pytest.raises(Refused, match="what resources would do has changed since its plan was shown"):
        drive(run)
    assert session.objects["v1", "ConfigMap", "shop", "a"]["data"] == {"x": "2"}


def test_after_a_run_under_the_same_file_lock_nothing_is_looked_at_twice(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    drive(execution(making(config("a"))))
    session.asked.clear()
    drive(execution(making(config("b"))))
    assert session.asked.count("list ConfigMap") == 2, "one to plan, one to find old records"


def test_a_run_that_loses_its_lease_stops_before_its_next_write(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    def lose() -> None:
        session.objects[LEASE]["spec"]["holderIdentity"] = "laptop/b/s/7/8"

    with pytest.raises(Refused, match="this run has lost the Lease of its cluster"):
        drive(execution(doing("first", lose), making(config("a"))))
    assert ("v1", "ConfigMap", "shop", "a") not in session.objects
    assert holder(session) == "laptop/b/s/7/8"
    [record] = records(host)
    assert record.result is Result.REFUSED
    assert maps(session) == ["ended", "started"]


def test_a_run_that_sleeps_past_its_end_stops_in_the_middle_of_a_step(
    host: FakeTarget, session: FakeSession, execution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[Run] = []

    def sleep() -> None:
        [held] = run[0]._leases.values()
        held._clock = lambda: lease.elapsed() + 3600
        session.apply(config("a"))

    made = execution(doing("first", sleep))
    run.append(made._run)
    with pytest.raises(Refused, match="the Lease of this cluster ended before it could be renewed"):
        drive(made)
    assert ("v1", "ConfigMap", "shop", "a") not in session.objects


# What fails


def test_without_the_right_to_a_lease_nothing_is_changed(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    session.failing["create Lease"] = Forbidden("context lab may not create Lease (403: no)")
    with pytest.raises(Forbidden, match="nothing is changed"):
        drive(execution(making(config("a"))))
    assert session.writes == []


@pytest.mark.parametrize("error", [Forbidden("may not create ConfigMap"), Unreachable("no answer")])
def test_without_a_record_in_the_cluster_nothing_is_changed(
    host: FakeTarget, session: FakeSession, execution: Make, error: MeshwrightError
) -> None:
    session.failing["create ConfigMap"] = error
    with pytest.raises(type(error)):
        drive(execution(making(config("a"))))
    assert ("v1", "ConfigMap", "shop", "a") not in session.objects
    assert holder(session) == ""


def test_without_a_record_on_the_host_nothing_is_changed(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    Path(file.path(host, "lab")).mkdir(parents=True)
    with pytest.raises(MeshwrightError, match="cannot write to"):
        drive(execution(making(config("a"))))
    assert ("v1", "ConfigMap", "shop", "a") not in session.objects


def test_an_end_that_cannot_be_written_is_said_and_changes_no_result(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    def cut_off() -> None:
        session.failing["create ConfigMap"] = Unreachable("no answer")

    drive(execution(doing("first", cut_off)))
    assert host.sentences == ["the end of this run's record could not be written to the cluster: no answer"]
    assert [record.result for record in records(host)] == [Result.OK]
    assert holder(session) != "", "nobody waits once more for a cluster that does not answer"


def test_old_records_that_may_not_be_deleted_are_said(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    session.failing["list ConfigMap"] = Forbidden("may not list")
    drive(execution(doing("first")))
    assert host.sentences == ["old records could not be deleted from the cluster: may not list"]
    assert holder(session) == ""


# Several parts of one run


def test_two_lists_of_steps_are_one_run(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    run = Run("lab", program="pyinfra")
    first = execution(doing("first"), run=run, deploy="one")
    second = execution(doing("second"), run=run, deploy="two")
    for each in (first, second):
        each.join()
    drive(first)
    assert holder(session) != ""
    assert entries(host) == ["started", "step"]
    drive(second)
    assert holder(session) == ""
    [record] = records(host)
    assert (record.deploy, record.program) == ("one, two", "pyinfra")
    assert [step["step"] for step in record.steps] == ["first", "second"]


def test_after_a_failure_nothing_more_of_that_host_is_awaited(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    run = Run("lab")
    first = execution(doing("first", failing(MeshwrightError("no"))), doing("never"), run=run)
    second = execution(doing("second"), run=run)
    for each in (first, second):
        each.join()
    with pytest.raises(MeshwrightError):
        drive(first)
    assert holder(session) == ""
    assert [record.result for record in records(host)] == [Result.FAILED]


def test_two_hosts_are_one_run_with_a_file_on_each(
    host: FakeTarget, session: FakeSession, execution: Make, tmp_path: Path
) -> None:
    other = FakeTarget(Project(tmp_path / "other"))
    other.name = "bastion"
    run = Run("lab")
    parts = [execution(doing(f"on {each.name}"), run=run, target=each) for each in (host, other)]
    for part in parts:
        part.join()
    drive(parts[0])
    assert holder(session) != ""
    drive(parts[1])
    assert holder(session) == ""
    history = of([host, other], environment())
    [record] = history.records
    assert [(step["host"], step["step"]) for step in record.steps] == [
        ("@local", "on @local"),
        ("bastion", "on bastion"),
    ]
    assert maps(session) == ["ended", "started"]
    other.close()


def test_one_host_that_fails_does_not_end_the_run_of_the_other(
    host: FakeTarget, session: FakeSession, execution: Make, tmp_path: Path
) -> None:
    other = FakeTarget(Project(tmp_path / "other"))
    other.name = "bastion"
    run = Run("lab")
    bad = execution(doing("a", failing(MeshwrightError("no"))), run=run)
    good = execution(doing("b"), run=run, target=other)
    for part in (bad, good):
        part.join()
    with pytest.raises(MeshwrightError):
        drive(bad)
    assert holder(session) != ""
    drive(good)
    assert holder(session) == ""
    assert [record.result for record in of([host, other], environment()).records] == [Result.FAILED]
    other.close()


# Ends that nobody announces


def test_a_run_that_is_closed_in_the_middle_was_interrupted(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    run = execution(doing("first"), doing("second"))
    step = run.steps[0]
    run.apply(step, run.begin(step))
    run.end()
    [record] = records(host)
    assert (record.result, record.message) == (Result.INTERRUPTED, "it ended before its last step (second)")
    assert holder(session) != "", "what the run has started may still be at work"
    with pytest.raises(Refused, match="this run was interrupted"):
        session.apply(config("a"))


def test_a_run_that_has_ended_is_not_ended_again(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    run = execution(doing("first"))
    drive(run)
    run.end()
    assert entries(host) == ["started", "step", "ended"]
    session.apply(config("a"))


def test_the_next_run_of_the_same_process_goes_on(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    run = Run("lab")
    drive(execution(doing("first"), run=run))
    drive(execution(doing("second"), run=run))
    assert len({record.id for record in records(host)}) == 2


# Clusters that go


def test_destroying_a_cluster_takes_its_lease_and_ends_with_it(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    seen: list[str] = []

    def destroy() -> None:
        seen.append(holder(session))
        session.objects.clear()
        session.failing["replace"] = session.failing["create"] = Unreachable("it is gone")

    drive(execution(doing("destroy", destroy, cluster=False, destructive=True)))
    assert seen[0] not in ("", "nobody ever")
    assert host.sentences == []
    assert [record.result for record in records(host)] == [Result.OK]


def test_a_cluster_that_does_not_answer_can_be_destroyed(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    session.failing["get"] = session.failing["identity"] = Unreachable("no answer")
    drive(execution(doing("destroy", cluster=False, destructive=True)))
    assert entries(host) == ["started", "step", "ended"]


def test_a_cluster_in_which_somebody_is_at_work_is_not_destroyed(
    host: FakeTarget, session: FakeSession, execution: Make
) -> None:
    with living() as (other, _):
        lease.take(session, "dev: site, by ann", holder=other).abandon()
        with pytest.raises(Refused, match="dev: site, by ann"):
            drive(execution(doing("destroy", failing(AssertionError()), cluster=False, destructive=True)))
    assert entries(host) == []


def test_a_cluster_made_anew_has_a_lease_and_a_record_of_its_own(
    host: FakeTarget, session: FakeSession, execution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    new.who = type(new.who)("0" * 8 + "-1111-2222-3333-" + "4" * 12, new.who.ca_sha256)
    now = [session]
    monkeypatch.setattr(cluster, "session", lambda _target, _env: now[0])

    def anew() -> None:
        now[0] = new

    drive(execution(doing("cluster", anew, Action.RECREATE, cluster=False), making(config("a")), allow_recreate=True))
    assert (maps(session), maps(new)) == (["started"], ["ended", "started"])
    assert holder(new) == ""
    now[0] = new
    [record] = records(host)
    assert (record.result, record.cluster) == (Result.OK, new.who.uid)


def test_a_protected_environment_has_its_own_records(host: FakeTarget, session: FakeSession, execution: Make) -> None:
    drive(execution(doing("first"), env=existing(), approved="sha256:1"))
    assert [entry["environment"] for entry in file.read(host, "prod")[0] if entry["entry"] == "started"] == ["prod"]
    assert lock.folder().joinpath("prod.lock").exists()
