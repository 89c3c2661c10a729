"""Desired objects against live ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import objects
from meshwright.errors import Exit, Forbidden, MeshwrightError, Refused
from meshwright.kube import ApiError
from meshwright.plan import Action, Field

ISTIO = "networking.istio.io/v1"


def obj(
    kind: str = "ConfigMap", name: str = "x", namespace: str | None = "team", api: str = "v1", **rest: Any
) -> objects.Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata | rest.pop("metadata", {}), **rest}


def test_names_of_objects() -> None:
    assert objects.key(obj()) == ("v1", "ConfigMap", "team", "x")
    assert objects.key(obj("Namespace", namespace=None)) == ("v1", "Namespace", "", "x")
    assert objects.title(obj()) == "team/x"
    assert objects.title(obj("Namespace", namespace=None)) == "x"


def test_live_objects_come_by_one_list_per_kind() -> None:
    there = [obj(name="a"), obj(name="b"), obj(name="other"), obj(name="a", namespace="two"), obj("Secret", "a")]
    session = FakeSession(*there)
    found = objects.live(session, [obj(name="a"), obj(name="b"), obj(name="a", namespace="two"), obj(name="absent")])
    assert sorted(found) == [
        ("v1", "ConfigMap", "team", "a"),
        ("v1", "ConfigMap", "team", "b"),
        ("v1", "ConfigMap", "two", "a"),
    ]
    assert session.asked == ["list ConfigMap"]


def test_nothing_wanted_asks_nothing() -> None:
    session = FakeSession()
    compared = objects.compare(session, [])
    assert (compared.changes, compared.notes, session.asked) == ((), (), [])


def test_an_absent_object_is_to_add_and_asks_no_more() -> None:
    session = FakeSession()
    wanted = obj(data={"k": "v"})
    [change] = objects.compare(session, [wanted]).changes
    assert (change.action, change.kind, change.name) == (Action.ADD, "ConfigMap", "team/x")
    assert change.fields == (Field("data.k", None, "v"),)
    assert change.payload == wanted
    assert session.asked == ["list ConfigMap"]


def test_a_list_that_is_forbidden_is_not_an_absence() -> None:
    session = FakeSession()
    session.failing["list ConfigMap"] = Forbidden("may not list")
    with pytest.raises(Forbidden):
        objects.compare(session, [obj()])


def test_a_field_that_differs_is_to_change() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old", "gone": "x"}))
    [change] = objects.compare(session, [obj(data={"k": "new"})]).changes
    assert (change.action, change.fields) == (
        Action.CHANGE,
        (Field("data.gone", "x", None), Field("data.k", "old", "new")),
    )


def test_what_the_server_adds_and_others_own_is_no_difference() -> None:
    def defaults(made: objects.Object) -> objects.Object:
        return {"immutable": False} | made

    session = FakeSession(defaults=defaults)
    session.apply(obj(data={"k": "v"}))
    session.apply(obj(data={"theirs": "1"}), manager="somebody")
    assert objects.compare(session, [obj(data={"k": "v"})]).changes == ()


def test_comparing_writes_nothing() -> None:
    session = FakeSession(obj(data={"k": "old"}))
    before = copy.deepcopy(session.objects)
    objects.compare(session, [obj(data={"k": "new"}), obj(name="new")], force=True)
    assert session.objects == before
    assert session.writes == []


def test_a_conflict_names_owner_and_field() -> None:
    session = FakeSession()
    session.put(obj(data={"k": "theirs"}), manager="argocd-controller")
    with pytest.raises(Refused) as caught:
        objects.compare(session, [obj(data={"k": "ours"})])
    assert caught.value.message == (
        'ConfigMap team/x has fields that another manager owns: .data.k: conflict with "argocd-controller"'
    )
    assert caught.value.hint == "Take the field out of your values, or let go of it there"
    assert caught.value.exit_code is Exit.REFUSED


def test_by_force_another_managers_field_is_a_change() -> None:
    session = FakeSession(obj(data={"k": "theirs"}))
    [change] = objects.compare(session, [obj(data={"k": "ours"})], force=True, manager="istio-operator").changes
    assert change.fields == (Field("data.k", "theirs", "ours"),)


def test_istios_own_kinds_are_compared_here() -> None:
    same = obj("VirtualService", api=ISTIO, spec={"hosts": ["*"]}, metadata={"labels": {"a": "1"}})
    live = copy.deepcopy(same)
    live["metadata"]["labels"]["theirs"] = "2"
    live["status"] = {"x": 1}
    session = FakeSession(live)
    assert objects.compare(session, [same]).changes == ()
    assert session.asked == ["list VirtualService"]


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"hosts": ["a"]}},
        {"spec": {"hosts": ["*"], "gateways": ["g"]}},
        {"spec": {"hosts": ["*"]}, "metadata": {"labels": {"a": "2"}}},
        {"spec": {"hosts": ["*"]}, "metadata": {"annotations": {"a": "1"}}},
    ],
)
def test_any_difference_of_istios_kinds_is_asked_for(other: dict[str, Any]) -> None:
    session = FakeSession()
    session.apply(obj("VirtualService", api=ISTIO, spec={"hosts": ["*"]}))
    [change] = objects.compare(session, [obj("VirtualService", api=ISTIO, **other)]).changes
    assert change.action is Action.CHANGE
    assert "try VirtualService x" in session.asked


def test_a_swapped_pair_of_named_routes_is_a_change() -> None:
    one, other = {"name": "one"}, {"name": "other"}
    session = FakeSession()
    session.apply(obj("VirtualService", api=ISTIO, spec={"http": [one, other]}))
    [change] = objects.compare(session, [obj("VirtualService", api=ISTIO, spec={"http": [other, one]})]).changes
    assert change.fields == (Field("spec.http (order)", ["one", "other"], ["other", "one"]),)


def test_the_default_of_a_crd_is_no_difference() -> None:
    wanted = obj(
        "CustomResourceDefinition", namespace=None, api="apiextensions.k8s.io/v1", spec={"group": "networking.istio.io"}
    )
    live = copy.deepcopy(wanted)
    live["spec"]["conversion"] = {"strategy": "None"}
    session = FakeSession(live)
    assert objects.compare(session, [wanted]).changes == ()
    assert session.asked == ["list CustomResourceDefinition"]


def test_what_another_owns_by_rule_is_put_right_first() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "v", "bundle": "live"}))

    def adjust(now: objects.Object, wanted: objects.Object) -> objects.Object:
        return wanted | {"data": wanted["data"] | {"bundle": now["data"]["bundle"]}}

    assert objects.compare(session, [obj(data={"k": "v", "bundle": ""})], adjust=adjust).changes == ()


def test_changes_come_in_the_order_of_applying() -> None:
    wanted = [
        obj("VirtualService", api=ISTIO),
        obj("EnvoyFilter", api="networking.istio.io/v1alpha3"),
        obj("AuthorizationPolicy", api="security.istio.io/v1"),
        obj("Deployment", "b", api="apps/v1"),
        obj("Deployment", "a", api="apps/v1"),
        obj("CustomResourceDefinition", namespace=None, api="apiextensions.k8s.io/v1"),
        obj("Namespace", namespace=None),
    ]
    changes = objects.compare(FakeSession(), wanted).changes
    assert [change.kind + " " + change.name for change in changes] == [
        "Namespace x",
        "CustomResourceDefinition x",
        "Deployment team/b",
        "Deployment team/a",
        "AuthorizationPolicy team/x",
        "VirtualService team/x",
        "EnvoyFilter team/x",
    ]


def test_applying_makes_the_next_plan_empty() -> None:
    session = FakeSession(
        obj(data={"k": "old"}, metadata={"labels": {"theirs": "1"}}), obj("Namespace", namespace=None)
    )
    wanted = [
        obj(data={"k": "new"}),
        obj(name="second", data={"a": "b"}),
        obj("Service", spec={"ports": [{"port": 1}]}),
    ]
    changes = objects.compare(session, wanted, force=True).changes
    objects.apply(session, changes, force=True)
    assert len(session.writes) == 3
    assert objects.compare(session, wanted).changes == ()
    live = session.get("v1", "ConfigMap", "x", "team")
    assert live is not None
    assert live["metadata"]["labels"] == {"theirs": "1"}


def test_only_what_differs_is_written() -> None:
    session = FakeSession()
    session.apply(obj(name="same", data={"a": "1"}))
    session.writes.clear()
    wanted = [obj(name="same", data={"a": "1"}), obj(name="other", data={"a": "1"})]
    objects.apply(session, objects.compare(session, wanted).changes)
    assert [made["metadata"]["name"] for made in session.writes] == ["other"]


def test_a_webhook_that_cannot_be_called_is_istiods_fault_not_the_objects() -> None:
    session = FakeSession()
    session.failing["apply VirtualService"] = ApiError(
        "cannot apply",
        status=500,
        body={
            "reason": "InternalError",
            "message": 'Internal error occurred: failed calling webhook "validation.istio.io": connection refused',
        },
    )
    changes = objects.compare(session, [obj("VirtualService", api=ISTIO)]).changes
    with pytest.raises(MeshwrightError) as caught:
        objects.apply(session, changes)
    assert caught.value.message == (
        "istiod is unavailable: its webhook validation.istio.io could not be asked about VirtualService team/x"
    )
    assert caught.value.hint == "The object may be fine. `meshwright check` says what is wrong with istiod"


def test_an_object_that_the_server_refuses_is_told_in_its_words() -> None:
    session = FakeSession(obj(data={"k": "v"}))
    refused = ApiError("cannot apply ConfigMap team/x: too long", status=422, body={"reason": "Invalid"})
    session.failing["try ConfigMap"] = refused
    with pytest.raises(ApiError, match="too long"):
        objects.compare(session, [obj(data={"k": "w"})])


def test_a_kind_that_the_server_does_not_know_yet_is_to_add() -> None:
    session = FakeSession()
    session.unknown.add((ISTIO, "Gateway"))
    [change] = objects.compare(session, [obj("Gateway", api=ISTIO, spec={"selector": {"istio": "ingress"}})]).changes
    assert change.action is Action.ADD


def test_what_was_looked_at_is_named() -> None:
    session = FakeSession(obj(data={"k": "v"}))
    seen = objects.compare(session, [obj(data={"k": "v"}), obj("Namespace", "n", None)]).seen
    assert seen == ("Namespace/n", "ConfigMap/team/x")


# Bound to what was looked at


def test_what_is_written_is_bound_to_the_version_that_was_looked_at() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old"}))
    [change] = objects.compare(session, [obj(data={"k": "new"})]).changes
    assert change.payload["metadata"]["resourceVersion"] == "1"
    assert change.payload["metadata"]["uid"] == "uid-1"
    # Something that no plan shows has changed meanwhile, such as a status.
    session.objects["v1", "ConfigMap", "team", "x"]["status"] = {"seen": 1}
    session._bump(("v1", "ConfigMap", "team", "x"))
    objects.apply(session, [change])
    live = session.get("v1", "ConfigMap", "x", "team")
    assert live is not None
    assert live["data"] == {"k": "new"}


@pytest.mark.parametrize("theirs", [{"k": "theirs"}, {"k": "old", "k2": "theirs"}, {"k": "new"}])
def test_what_somebody_else_has_changed_since_is_not_overwritten(theirs: dict[str, str]) -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old", "k2": "old"}))
    changes = objects.compare(session, [obj(data={"k": "new", "k2": "new"})]).changes
    # Not by another manager, which would be a conflict: somebody with the same tools.
    session.apply(obj(data={"k2": "old"} | theirs))
    before = len(session.writes)
    with pytest.raises(Refused) as caught:
        objects.apply(session, changes)
    assert caught.value.message == "ConfigMap team/x was changed by somebody else since its plan was made"
    assert len(session.writes) == before


def test_what_somebody_else_has_deleted_since_is_not_made_anew() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old"}))
    changes = objects.compare(session, [obj(data={"k": "new"})]).changes
    session.delete("v1", "ConfigMap", "x", "team")
    with pytest.raises(Refused, match="was changed by somebody else"):
        objects.apply(session, changes)
    assert session.objects == {}


def test_an_object_that_never_stands_still_is_given_up_on() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old"}))
    changes = objects.compare(session, [obj(data={"k": "new"})]).changes
    refused = ApiError("modified", status=409, body={"reason": "Conflict"})
    session.failing["apply ConfigMap"] = refused
    with pytest.raises(Refused, match="was changed by somebody else"):
        objects.apply(session, changes)
    assert session.asked.count("apply ConfigMap x") == 6  # the first is the test's own


def test_a_conflict_on_apply_names_owner_and_field() -> None:
    session = FakeSession()
    session.apply(obj(data={"k": "old"}))
    changes = objects.compare(session, [obj(data={"k": "new", "other": "1"})]).changes
    session.apply(obj(data={"other": "2"}), manager="somebody")
    with pytest.raises(Refused) as caught:
        objects.apply(session, changes)
    assert caught.value.exit_code is Exit.REFUSED


def test_kinds_are_written_in_order_and_a_failure_keeps_the_later_ones_back() -> None:
    session = FakeSession()
    session.failing["apply Service"] = ApiError("no", status=422, body={"reason": "Invalid"})
    wanted = [obj("VirtualService", api=ISTIO), obj("Service"), *(obj(name=f"x{i}") for i in range(20))]
    with pytest.raises(ApiError):
        objects.apply(session, objects.compare(session, wanted).changes)
    assert sorted(made["metadata"]["name"] for made in session.writes) == sorted(f"x{i}" for i in range(20))


# Pace


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(objects, "time", made)
    return made


def test_writes_are_spread_evenly(clock: Clock) -> None:
    beat = objects.Beat(4)
    turns = []
    for _ in range(9):
        beat.wait()
        turns.append(clock.now)
    assert turns == [100 + i / 4 for i in range(9)]


def test_what_took_long_is_not_caught_up_on(clock: Clock) -> None:
    beat = objects.Beat(2)
    beat.wait()
    clock.now += 60
    turns = []
    for _ in range(3):
        beat.wait()
        turns.append(clock.now)
    assert turns == [160, 160.5, 161]


def test_without_a_pace_nobody_waits(clock: Clock) -> None:
    beat = objects.Beat(None)
    for _ in range(100):
        beat.wait()
    assert clock.slept == []


def test_several_threads_share_one_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(Clock):
        def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)

    frozen = Frozen()
    monkeypatch.setattr(objects, "time", frozen)
    beat = objects.Beat(10)
    FakeSession().map(lambda _: beat.wait(), range(40))
    # While the clock stands still, each has a turn of its own.
    assert sorted(round(seconds * 10) for seconds in frozen.slept) == list(range(40))


def test_an_apply_keeps_its_pace(clock: Clock) -> None:
    session = FakeSession()
    changes = objects.compare(session, [obj(name="a"), obj("Service"), obj("VirtualService", api=ISTIO)]).changes
    objects.apply(session, changes, pace=5)
    assert clock.now == pytest.approx(100.4)


data = st.dictionaries(st.sampled_from("abc"), st.text(max_size=2), max_size=3)


@given(data, data, data)
def test_whatever_is_there_one_apply_is_enough(
    first: dict[str, str], theirs: dict[str, str], now: dict[str, str]
) -> None:
    session = FakeSession()
    session.apply(obj(data=first))
    session.apply(obj(data=theirs), manager="somebody", force=True)
    changes = objects.compare(session, [obj(data=now)], force=True).changes
    objects.apply(session, changes, force=True)
    assert objects.compare(session, [obj(data=now)], force=True).changes == ()
