"""Going back to the objects of an earlier apply."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from fakes import FakeSession, FakeTarget, environment

from meshwright import applied, cluster, lease, resources, rollback, tools
from meshwright.applied import Mark, State
from meshwright.errors import BadInput, MeshwrightError, Refused
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.plan import Plan
from meshwright.records.history import of

Object = dict[str, Any]
ENV = environment(resources={"manifests": ["my"]})


def mark(name: str, record: str = "", by: str = "resources") -> Mark:
    return Mark(f"sha256:{name}", record or name, "2026-11-22T19:00:00.000Z", by)


def config(name: str = "a", kind: str = "ConfigMap", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "data": data}


# Which set


STATE = State((mark("c", "r30"), mark("b", "r20"), mark("a", "r10")))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (STATE, "b"),
        # Back and forth: the present set is also an older one.
        (State((mark("b"), mark("c"), mark("b"))), "c"),
        (State((mark("b"),), mark("c")), "b"),
        (State((mark("b"), mark("a")), mark("a", by="rollback")), "a"),
    ],
)
def test_without_a_record_it_is_the_last_that_was_another_one(state: State, expected: str) -> None:
    assert rollback.chosen(state, "", ()).digest == f"sha256:{expected}"


@pytest.mark.parametrize("state", [State((mark("a"),)), State((), mark("a"))])
def test_nothing_to_go_back_to(state: State) -> None:
    with pytest.raises(MeshwrightError, match="there is nothing to go back to"):
        rollback.chosen(state, "", ())


@pytest.mark.parametrize(
    ("to", "expected"), [("r10", "a"), ("r1", "a"), ("r20", "b"), ("r25", "b"), ("r31", "c"), ("r30", "c")]
)
def test_a_record_is_the_state_at_its_end(to: str, expected: str) -> None:
    # r25 and r31 have applied no resources.
    assert rollback.chosen(STATE, to, ["r25", "r31", "r05"]).digest == f"sha256:{expected}"


@pytest.mark.parametrize(
    ("to", "said", "hint"),
    [
        ("x", "no record begins with 'x'", "Kept is what these have applied: r30, r20, r10"),
        ("r3", "2 records begin with 'r3'", "Say more of it: r30, r31"),
        ("r05", "what was applied when r05 had ended is no longer kept", "r30, r20, r10"),
    ],
)
def test_what_cannot_be_meant_names_what_can(to: str, said: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        rollback.chosen(STATE, to, ["r25", "r31", "r05"])
    assert caught.value.message == said
    assert hint in caught.value.hint


def test_an_id_that_begins_another_one_is_itself() -> None:
    state = State((mark("b", "r1-2"), mark("a", "r1")))
    assert rollback.chosen(state, "r1", ()).digest == "sha256:a"


# Plan and apply


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    return made


def write(host: FakeTarget, *found: Object) -> None:
    folder = host.project.root / "my"
    folder.mkdir(exist_ok=True)
    (folder / "a.yaml").write_text(yaml.safe_dump_all(found))


def run(host: FakeTarget, step: Any, **options: Any) -> list[Plan]:
    """A whole run of a step, as pyinfra drives it; its plans."""
    execution = Execution(host, ENV, [step], Options(**options), deploy=step.name)
    try:
        plan = execution.begin(step)
        if not plan.empty:
            execution.apply(step, plan)
        return [plan]
    finally:
        execution._run.close()
        host.shared.look_again()


def apply(host: FakeTarget, *found: Object) -> str:
    """Applies resources; the id of the record."""
    write(host, *found)
    run(host, resources.apply_all)
    return of([host], ENV).records[0].id


def planned(host: FakeTarget, to: str = "") -> Plan:
    host.shared.options = Options(to=to)
    return rollback.step.plan(host, ENV)


def said(plan: Plan) -> list[str]:
    return [f"{change.action.value} {change.kind} {change.name}" for change in plan.changes]


def data(session: FakeSession, name: str, kind: str = "ConfigMap") -> Any:
    return (session.objects.get(("v1", kind, "shop", name)) or {}).get("data")


def test_what_was_changed_added_and_pruned_goes_back(host: FakeTarget, session: FakeSession) -> None:
    first = apply(host, config(x="1"), config("pruned", y="1"))
    apply(host, config(x="2"), config("new"))
    plan = planned(host)
    assert said(plan) == ["~ ConfigMap shop/a", "+ ConfigMap shop/pruned", "- ConfigMap shop/new"]
    assert plan.step == "resources"
    assert plan.changes[-1].why == f"not among what {first} has applied"
    assert plan.notes[0].startswith(f"this goes back to what {first} has applied (")
    run(host, rollback.step)
    assert (data(session, "a"), data(session, "pruned"), data(session, "new")) == ({"x": "1"}, {"y": "1"}, None)
    assert planned(host, first).empty
    record = of([host], ENV).records[0]
    assert [(step["step"], "kept" in step) for step in record.steps] == [("rollback", True)]
    state = applied.states(session, "lab")["resources"]
    assert (state.applying, state.last and state.last.by) == (None, "rollback")
    # The values say what they said.
    assert said(resources.apply_all.plan(host, ENV)) == [
        "~ ConfigMap shop/a", "+ ConfigMap shop/new", "- ConfigMap shop/pruned",
    ]  # fmt: skip
    assert "the values still say otherwise" in host.sentences[-1]


def test_a_named_record(host: FakeTarget, session: FakeSession) -> None:
    ids = [apply(host, config(x=str(number))) for number in range(3)]
    run(host, rollback.step, to=ids[0])
    assert data(session, "a") == {"x": "0"}
    run(host, rollback.step, to=ids[1])
    assert data(session, "a") == {"x": "1"}
    with pytest.raises(BadInput, match="no record begins with 'x'"):
        planned(host, "x")


def test_secrets_stay_as_they_are(host: FakeTarget, session: FakeSession) -> None:
    one, two = (base64.b64encode(text).decode() for text in (b"first", b"second"))
    apply(host, config(x="1"), config("s", "Secret", k=one), config("gone", "Secret", k=one))
    apply(host, config(x="2"), config("s", "Secret", k=two), config("later", "Secret", k=one))
    plan = planned(host)
    assert said(plan) == ["~ ConfigMap shop/a"]
    assert plan.notes[1:] == (
        "no values of Secrets are kept, so these stay as they are: shop/later, shop/s",
        "no values of Secrets are kept, so these do not come back: shop/gone",
    )
    run(host, rollback.step)
    assert data(session, "s", "Secret") == {"k": two}
    assert data(session, "later", "Secret") == {"k": one}
    kept = applied.load(session, "lab", "resources", applied.states(session, "lab")["resources"].applied[0].digest)
    assert [obj["metadata"]["name"] for obj in kept or ()] == ["a", "later", "s"]


def test_a_killed_rollback_is_gone_on_with_and_a_killed_apply_undone(host: FakeTarget, session: FakeSession) -> None:
    class Killed(BaseException): ...

    apply(host, config(x="1"), config("b", "Service", x="1"))
    apply(host, config(x="2"), config("b", "Service", x="2"))

    def killed(step: Any) -> None:
        def fail(obj: Object, **rest: Any) -> Object:
            if obj["metadata"]["name"] == "b" and not rest.get("dry_run"):
                raise Killed
            return FakeSession.apply(session, obj, **rest)

        session.apply = fail  # type: ignore[method-assign]
        with pytest.raises(Killed):
            run(host, step)
        del session.apply
        session.guard = lambda: None
        session.delete("coordination.k8s.io/v1", "Lease", "meshwright", lease.NAMESPACE)

    killed(rollback.step)
    assert (data(session, "a"), data(session, "b", "Service")) == ({"x": "1"}, {"x": "2"})
    assert said(planned(host)) == ["~ Service shop/b"]
    [plan] = run(host, rollback.step)
    assert plan.unfinished
    assert data(session, "b", "Service") == {"x": "1"}
    write(host, config(x="3"), config("b", "Service", x="3"))
    killed(resources.apply_all)
    assert data(session, "a") == {"x": "3"}
    assert said(planned(host)) == ["~ ConfigMap shop/a"]
    run(host, rollback.step)
    assert data(session, "a") == {"x": "1"}
    assert applied.states(session, "lab")["resources"].applying is None


def test_a_set_that_was_deleted_is_told(host: FakeTarget, session: FakeSession) -> None:
    first = apply(host, config(x="1"))
    apply(host, config(x="2"))
    old = applied.states(session, "lab")["resources"].applied[1].digest
    session.delete("v1", "ConfigMap", f"applied-lab-resources-{old[7:19]}-0", "meshwright")
    with pytest.raises(BadInput, match=f"what {first} has applied is no longer kept"):
        planned(host)


def test_nothing_was_ever_applied(host: FakeTarget, session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeshwrightError, match="no resources were ever applied in lab"):
        planned(host)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    assert planned(host).after == "cluster"


def test_what_somebody_else_has_changed_is_not_taken_by_force(host: FakeTarget, session: FakeSession) -> None:
    apply(host, config(x="1"))
    apply(host, config(x="2"))
    session.apply(config(x="theirs"), manager="kubectl-edit", force=True)
    with pytest.raises(Refused, match="kubectl-edit"):
        run(host, rollback.step)
    assert data(session, "a") == {"x": "theirs"}
