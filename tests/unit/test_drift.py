"""What was changed from outside, told from what one changed oneself."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment

from meshwright import applied, cluster, objects
from meshwright.drift import Drift, of
from meshwright.errors import BadInput, Forbidden, MeshwrightError, Unreachable
from meshwright.plan import Plan
from meshwright.step import Step

Object = dict[str, Any]
TIME = "2026-11-22T19:03:11Z"
ENV = environment()


def config(name: str = "a", kind: str = "ConfigMap", **data: Any) -> Object:
    metadata = {"name": name, "namespace": "shop", "labels": {"ours": "1"}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}


class World:
    """A step that applies `wanted`, in a cluster that is a dict."""

    def __init__(self, session: FakeSession, host: FakeTarget) -> None:
        self.session, self.host = session, host
        self.wanted: list[Object] = []
        self.refuses: MeshwrightError | None = None
        self.step = Step("resources", self._plan, lambda _t, _e, _p: None, compare=self._compare)

    def _plan(self, _target: Any, _env: Any) -> Plan:
        if self.refuses:
            raise self.refuses
        compared = objects.compare(self.session, self.wanted)
        return Plan("resources", "d", compared.changes, notes=compared.notes, objects=tuple(self.wanted))

    def _compare(self, _target: Any, _env: Any, session: Any, kept: Any) -> Any:
        return objects.compare(session, kept, force=True)

    def apply(self, *wanted: Object, record: str = "r1", writes: Iterable[Object] | None = None) -> None:
        """Applies and keeps; with `writes` only these are written before the run is killed."""
        self.wanted = list(wanted)
        run = applied.keeping(self.session, "lab", Plan("resources", "d", objects=wanted), record=record, by="x")
        run.__enter__()
        for obj in wanted if writes is None else writes:
            self.session.apply(obj, force=True)
        if writes is None:
            run.__exit__(None, None, None)

    def edit(self, name: str = "a", kind: str = "ConfigMap", manager: str = "kubectl-edit", **data: Any) -> None:
        """Somebody writes fields of `data`; None takes one away."""
        there = self.session.objects["v1", kind, "shop", name]
        for key, value in data.items():
            there["data"][key] = value
            if value is None:
                del there["data"][key]
        self.signed(there, {"f:data": {f"f:{key}": {} for key, value in data.items() if value is not None}}, manager)

    def signed(self, there: Object, tree: Object, manager: str) -> None:
        entry = {"manager": manager, "operation": "Update", "time": TIME, "fieldsV1": tree}
        there["metadata"].setdefault("managedFields", []).append(entry)

    def drift(self) -> Drift:
        [found] = of(self.host, ENV, [self.step])
        return found

    def lines(self) -> list[str]:
        """KIND NAME for what is deleted, and with a field for the rest."""
        rows = []
        for each in self.drift().found:
            head = f"{each.kind} {each.name}"
            rows += [head] if each.deleted else []
            rows += [f"{head} {f.how} {f.path}: {f.before} -> {f.after} by {f.manager or '?'}" for f in each.fields]
        return rows


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, host: FakeTarget) -> World:
    spaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("meshwright", "shop"))
    session = FakeSession(*spaces)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    return World(session, host)


def test_what_nobody_touched_has_no_drift(world: World) -> None:
    world.apply(config(), config("b"))
    drift = world.drift()
    assert (drift.found, drift.checked, drift.pending, drift.notes) == ((), 2, 0, ())
    assert drift.last is not None
    assert (drift.last.record, drift.interrupted) == ("r1", None)


def test_each_change_from_outside_is_shown_as_what_it_is(world: World) -> None:
    world.apply(config(k="v", gone="1"), config("b"), config("c"))
    world.edit(k="theirs", gone=None, more="2")
    world.session.delete("v1", "ConfigMap", "b", "shop")
    assert world.lines() == [
        "ConfigMap shop/a removed data.gone: 1 -> None by ?",
        "ConfigMap shop/a changed data.k: v -> theirs by kubectl-edit",
        "ConfigMap shop/a added data.more: None -> 2 by kubectl-edit",
        "ConfigMap shop/b",
    ]
    drift = world.drift()
    assert {field.time for each in drift.found for field in each.fields} == {TIME, ""}
    # None of it is a change of one's own.
    assert drift.pending == 0
    assert drift.as_json()["objects"][1] == {"kind": "ConfigMap", "name": "shop/b", "drift": "deleted", "fields": []}
    assert drift.as_json()["objects"][0]["fields"][0] == {
        "path": "data.gone", "drift": "removed", "before": "1", "after": None, "manager": None, "time": None,
    }  # fmt: skip


@pytest.mark.parametrize("manager", ["kube-controller-manager", "before-first-apply"])
def test_what_controllers_and_nobody_write_is_no_drift(world: World, manager: str) -> None:
    world.apply(config(k="v"))
    world.edit(more="2", manager=manager)
    assert world.lines() == []


def test_ones_own_changes_are_counted_and_are_no_drift(world: World) -> None:
    world.apply(config(k="v"), config("b"), config("c"))
    world.wanted = [config(k="new"), config("b"), config("d")]
    drift = world.drift()
    assert (drift.found, drift.pending) == ((), 3)
    world.edit(k="theirs")
    assert world.lines() == ["ConfigMap shop/a changed data.k: v -> theirs by kubectl-edit"]


def test_what_the_values_say_by_now_is_no_drift(world: World) -> None:
    world.apply(config(k="v"), config("b"), config("c", k="v"))
    world.edit(k="theirs", more="2")
    world.session.delete("v1", "ConfigMap", "b", "shop")
    world.edit("c", k="theirs")
    world.wanted = [config(k="theirs"), config("c", k="mine")]
    drift = world.drift()
    assert world.lines() == [
        "ConfigMap shop/a added data.more: None -> 2 by kubectl-edit",
        "ConfigMap shop/c changed data.k: v -> theirs by kubectl-edit",
    ]
    assert drift.notes == ("2 objects were changed from outside to what the values say by now",)


def test_an_interrupted_run_is_no_drift_whatever_it_came_to(world: World) -> None:
    old = [config(k="1"), config("b", k="1"), config("old"), config("touched", k="1")]
    new = [config(k="2"), config("b", k="2"), config("new"), config("touched", k="2")]
    world.apply(*old)
    world.apply(*new, record="r2", writes=new[:1])
    world.session.delete("v1", "ConfigMap", "old", "shop")
    drift = world.drift()
    assert drift.found == ()
    assert drift.interrupted is not None
    assert (drift.interrupted.record, drift.checked) == ("r2", 5)
    world.edit("touched", k="3", more="4")
    world.session.delete("v1", "ConfigMap", "b", "shop")
    assert world.lines() == [
        "ConfigMap shop/b",
        "ConfigMap shop/touched changed data.k: 2 -> 3 by kubectl-edit",
        "ConfigMap shop/touched added data.more: None -> 4 by kubectl-edit",
    ]


def test_a_first_run_that_was_interrupted_deletes_nothing(world: World) -> None:
    world.apply(config(k="1"), config("b"), writes=[config(k="1")])
    assert (world.drift().found, world.drift().last) == ((), None)
    world.edit(k="2")
    assert world.lines() == ["ConfigMap shop/a changed data.k: 1 -> 2 by kubectl-edit"]


def test_a_repair_that_was_interrupted_hides_nothing(world: World) -> None:
    world.apply(config(k="1"), config("b"))
    world.session.delete("v1", "ConfigMap", "b", "shop")
    world.apply(config(k="1"), config("b"), record="r2", writes=[])
    assert world.lines() == ["ConfigMap shop/b"]


def test_the_value_of_a_secret_is_told_by_its_digest(world: World) -> None:
    value, other = (base64.b64encode(text).decode() for text in (b"first", b"other"))
    world.apply(config("s", "Secret", k=value, same=value), config("gone", "Secret", k=value))
    assert world.lines() == []
    world.edit("s", "Secret", k=other, more=other)
    world.session.delete("v1", "Secret", "gone", "shop")
    there = world.session.objects["v1", "Secret", "shop", "s"]
    there["metadata"] |= {"labels": {"ours": "2", "theirs": "3"}, "annotations": {"a": "b"}}
    world.signed(
        there, {"f:metadata": {"f:labels": {"f:ours": {}, "f:theirs": {}}, "f:annotations": {"f:a": {}}}}, "kubectl"
    )
    gone, *lines = world.lines()
    assert gone == "Secret shop/gone"
    assert [line.partition(":")[0] for line in lines] == [
        "Secret shop/s changed metadata.labels.ours",
        "Secret shop/s changed data.k",
        "Secret shop/s added data.more",
        "Secret shop/s added metadata.labels.theirs",
        "Secret shop/s added metadata.annotations.a",
    ]
    assert "(sha256" in lines[1]
    for text in (value, other, "first", "other"):
        assert not any(text in line.partition(":")[2] for line in lines)


def test_who_may_only_look_sees_the_drift_and_what_is_not_verified(world: World) -> None:
    world.apply(config(k="v"))
    world.edit(k="theirs")
    world.session.failing["try ConfigMap a"] = Forbidden("context x may not apply ConfigMap shop/a")
    assert world.lines() == ["ConfigMap shop/a changed data.k: v -> theirs by kubectl-edit"]
    assert [note.partition(" (")[0] for note in world.drift().notes] == ["not verified: ConfigMap/shop/a"]


def test_a_step_that_never_applied_anything_is_left_out(world: World) -> None:
    assert list(of(world.host, ENV, [world.step])) == []
    world.apply(config())
    assert list(of(world.host, ENV, [Step("resources", world.step.plan, world.step.apply)])) == []


def test_a_lost_set_is_not_verified(world: World) -> None:
    world.apply(config())
    [name] = [n for _, _, _, n in world.session.objects if n.startswith("applied-lab-")]
    world.session.delete("v1", "ConfigMap", name, "meshwright")
    drift = world.drift()
    assert "is no longer kept" in drift.not_verified
    assert (drift.checked, drift.found) == (0, ())


def test_values_that_are_wrong_are_said_and_drift_is_shown(world: World) -> None:
    world.apply(config(k="v"))
    world.edit(k="theirs")
    world.refuses = BadInput("my/a.yaml:1: kind is missing or not text")
    drift = world.drift()
    assert (len(drift.found), drift.pending) == (1, None)
    assert drift.notes == ("changes of your own could not be counted: my/a.yaml:1: kind is missing or not text",)


@pytest.mark.parametrize("error", [Unreachable("no answer"), Forbidden("no right")])
@pytest.mark.parametrize("words", ["list ConfigMap", "get ConfigMap applied"])
def test_what_cannot_be_looked_at_stops_it(world: World, error: MeshwrightError, words: str) -> None:
    world.apply(config())
    world.session.failing[words] = error
    with pytest.raises(type(error)):
        world.drift()
    world.session.failing.clear()
    world.refuses = error
    with pytest.raises(type(error)):
        world.drift()


def test_without_a_cluster_there_is_nothing_to_compare_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    monkeypatch.setattr(cluster, "no_session", lambda _target, _env: "the cluster of lab is absent")
    with pytest.raises(MeshwrightError, match="the cluster of lab is absent"):
        world.drift()
