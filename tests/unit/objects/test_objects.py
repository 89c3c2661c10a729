"""Desired objects against live ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import objects
from meshwright.errors import BadInput, Exit, Forbidden, MeshwrightError, Refused
from meshwright.kube import ApiError
from meshwright.objects import applying
from meshwright.plan import Action, Blocked, Field

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


def test_a_conflict_blocks_its_change_and_hides_no_other() -> None:
    session = FakeSession()
    session.put(obj(data={"k": "theirs"}), manager="somebody")
    wanted = [obj(name="before"), obj(data={"k": "ours"}), obj(name="z", data={"k": "v"})]
    places = {objects.key(wanted[1]): "manifests/a.yaml:3"}
    first, change, last = objects.compare(session, wanted, places=places).changes
    assert (first.blocked, last.blocked) == (None, None)
    assert change.fields == (Field("data.k", "theirs", "ours"),)
    assert change.blocked == Blocked(
        "data.k is of somebody",
        "Take it over with `--adopt ConfigMap/team/x`, or take the field out of manifests/a.yaml:3, "
        "or leave both as they are: nothing is applied then",
    )
    assert session.writes == []


def test_an_object_that_is_adopted_is_applied_by_force() -> None:
    session = FakeSession()
    session.put(obj(data={"k": "theirs"}), manager="somebody")
    session.put(obj(name="y", data={"k": "theirs"}), manager="somebody")
    wanted = [obj(data={"k": "ours"}), obj(name="y", data={"k": "ours"})]
    one, other = objects.compare(session, wanted, adopt=["ConfigMap/team/x"]).changes
    assert (one.blocked, bool(other.blocked)) == (None, True)
    objects.apply(session, [one], adopt=["ConfigMap/team/x"])
    assert session.objects["v1", "ConfigMap", "team", "x"]["data"] == {"k": "ours"}
    with pytest.raises(Refused) as caught:
        objects.apply(session, [other], adopt=["ConfigMap/team/x"])
    assert caught.value.message == "ConfigMap team/y: data.k is of somebody"
    assert caught.value.exit_code is Exit.REFUSED


def test_what_another_tool_keeps_is_blocked_with_the_patch_for_its_repository() -> None:
    session = FakeSession()
    marks = {"annotations": {"meta.helm.sh/release-name": "shop"}}
    session.put(obj(data={"k": "theirs"}, metadata=marks), manager="helm")
    session.put(obj(name="y", data={"k": "v"}, metadata=marks), manager="helm")
    wanted = [obj(data={"k": "ours"}), obj(name="y", data={"k": "v"})]
    for adopt in ((), ("ConfigMap/team/x",)):
        [change] = objects.compare(session, wanted, adopt=adopt).changes
        assert change.blocked is not None
        assert change.blocked.reason == "Helm (release shop) keeps it, and would take the change back"
        assert change.blocked.patch == {"data": {"k": "ours"}}


def test_a_keeper_of_the_installation_is_not_asked_about_by_the_installer() -> None:
    session = FakeSession()
    session.put(obj(data={"k": "theirs"}, metadata={"annotations": {"meta.helm.sh/release-name": "base"}}))
    [change] = objects.compare(session, [obj(data={"k": "ours"})], manager="istio-operator", force=True).changes
    assert change.blocked is None


# Trying new objects out


def test_new_objects_are_tried_out_and_a_bad_one_is_told_with_its_place() -> None:
    session = FakeSession()
    refused = ApiError("cannot apply", status=422, body={"reason": "Invalid", "message": "spec.hosts: Required value"})
    session.failing["try VirtualService"] = refused
    wanted = [obj(), obj("VirtualService", api=ISTIO)]
    with pytest.raises(BadInput) as caught:
        objects.compare(session, wanted, places={objects.key(wanted[1]): "manifests/a.yaml:7"}, try_new=True)
    assert caught.value.message == (
        "manifests/a.yaml:7: the API server refuses VirtualService team/x: spec.hosts: Required value"
    )
    assert [change.action for change in objects.compare(session, wanted).changes] == [Action.ADD, Action.ADD]


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ApiError("no team", status=404, body={"reason": "NotFound"}), None),
        (Forbidden("may not apply"), "new objects could not be tried out: may not apply"),
        (
            ApiError("no", status=500, body={"message": 'failed calling webhook "validation.istio.io": refused'}),
            "new objects could not be tried out: istiod's webhook validation.istio.io is unavailable",
        ),
    ],
)
def test_new_objects_that_cannot_be_tried_out_are_planned_all_the_same(error: Exception, note: str | None) -> None:
    session = FakeSession()
    session.failing["try ConfigMap"] = error
    compared = objects.compare(session, [obj(), obj(name="y")], try_new=True)
    assert len(compared.changes) == 2
    assert compared.notes == ((note,) if note else ())


def test_very_many_new_objects_are_not_tried_out_and_that_is_said() -> None:
    session = FakeSession()
    compared = objects.compare(session, [obj(name=f"x{i}") for i in range(201)], try_new=True)
    assert session.asked == ["list ConfigMap"]
    assert compared.notes[0].startswith("201 new objects: so many are not tried out")


def test_a_kind_that_is_still_to_come_is_not_tried_out() -> None:
    session = FakeSession()
    session.unknown.add((ISTIO, "Gateway"))
    objects.compare(session, [obj("Gateway", api=ISTIO)], try_new=True)
    assert not any(asked.startswith("try") for asked in session.asked)


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


def test_a_webhook_that_cannot_be_called_is_istiods_fault_not_the_objects(clock: Clock) -> None:
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
    assert sum(clock.slept) == 15.5


def test_a_webhook_that_comes_back_is_waited_for(clock: Clock) -> None:
    class Restarting(FakeSession):
        def apply(self, obj: objects.Object, **rest: Any) -> objects.Object:
            if clock.now < 103:
                body = {"message": 'failed calling webhook "validation.istio.io": connection refused'}
                raise ApiError("no", status=500, body=body)
            return super().apply(obj, **rest)

    session = Restarting()
    objects.apply(session, objects.compare(session, [obj()]).changes)
    assert clock.slept == [0.5, 1.0, 2.0]
    assert len(session.writes) == 1


def test_an_object_that_the_server_refuses_is_told_in_its_words() -> None:
    session = FakeSession(obj(data={"k": "v"}))
    refused = ApiError("cannot apply ConfigMap team/x: too long", status=422, body={"reason": "Invalid"})
    session.failing["try ConfigMap"] = refused
    with pytest.raises(BadInput, match=r"the API server refuses ConfigMap team/x: .*too long"):
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
    with pytest.raises(BadInput):
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
    monkeypatch.setattr(applying, "time", made)
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
    monkeypatch.setattr(applying, "time", frozen)
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


def test_what_is_there_is_given_too() -> None:
    session = FakeSession(obj(data={"k": "v"}))
    compared = objects.compare(session, [obj(data={"k": "v"}), obj(name="new")])
    assert list(compared.live) == [objects.key(obj())]
    assert compared.manager == "meshwright"
