"""What is ever pruned: only members of the set that are no longer wanted, never Namespaces and CRDs."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import applyset, objects
from meshwright.errors import Forbidden, Refused
from meshwright.plan import Action, Change

SET = "resources-lab"
ISTIO = "networking.istio.io/v1"


def obj(kind: str = "ConfigMap", name: str = "x", namespace: str | None = "team", api: str = "v1") -> objects.Object:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
    }


def member(*args: Any, **kwargs: Any) -> objects.Object:
    return applyset.member(obj(*args, **kwargs), SET)


def pruned(session: FakeSession, *wanted: objects.Object, allow_empty: bool = False) -> list[Change]:
    found = applyset.kept(session, SET)
    return applyset.pruned(session, SET, found, wanted, allow_empty=allow_empty)


def test_the_id_is_the_one_that_kubectl_would_compute() -> None:
    # KEP-3659: applyset-<base64url(sha256(<name>.<namespace>.<kind>.<group>))>-v1, without padding. The value below was
    # computed with sha256sum and base64 of "resources-lab.meshwright.ConfigMap.".
    assert applyset.identifier(SET) == "applyset-FF7VEq2npqTCe3e5U0zzeDO9MezW_rrFQjkN-W0beME-v1"


def test_the_id_is_a_label_value() -> None:
    for name in ("resources-lab", "resources-a-name-of-20-chars", "x"):
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", applyset.identifier(name))
    assert applyset.identifier("a") != applyset.identifier("b")


def test_a_member_keeps_its_labels_and_the_object_given_stays_as_it_is() -> None:
    given = obj()
    given["metadata"]["labels"] = {"app": "a"}
    before = copy.deepcopy(given)
    assert applyset.member(given, SET)["metadata"]["labels"] == {
        "app": "a",
        "applyset.kubernetes.io/part-of": applyset.identifier(SET),
    }
    assert given == before
    given["metadata"]["labels"] = None
    assert applyset.member(given, SET)["metadata"]["labels"].keys() == {"applyset.kubernetes.io/part-of"}


def test_the_parent_says_what_kubectl_needs_to_find_the_members() -> None:
    parent = applyset.parent(SET, [obj(), obj("VirtualService", "r", "shop", ISTIO), obj("Namespace", "n", None)])
    assert parent["metadata"] == {
        "name": SET,
        "namespace": "meshwright",
        "labels": {"applyset.kubernetes.io/id": applyset.identifier(SET)},
        "annotations": {
            "applyset.kubernetes.io/tooling": "meshwright/v1",
            "applyset.kubernetes.io/contains-group-kinds": "ConfigMap,Namespace,VirtualService.networking.istio.io",
            "applyset.kubernetes.io/additional-namespaces": "shop,team",
        },
    }


def test_until_the_end_the_parent_covers_the_old_members_too() -> None:
    before = applyset.parent(SET, [obj("Secret", "s", "old"), obj()])
    both = applyset.parent(SET, [obj("Service", "s", "new")], also=before)
    annotations = both["metadata"]["annotations"]
    assert annotations["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap,Secret,Service"
    assert annotations["applyset.kubernetes.io/additional-namespaces"] == "new,old,team"


def test_without_a_parent_nothing_is_pruned() -> None:
    session = FakeSession(member())
    assert pruned(session) == []


def test_what_is_no_longer_wanted_is_destroyed_in_reverse_order() -> None:
    gone = [
        member("Service"),
        member("VirtualService", "r", api=ISTIO),
        member("EnvoyFilter", "f", api=ISTIO),
        member(),
    ]
    session = FakeSession(*gone, member(name="stays"), applyset.parent(SET, gone))
    found = pruned(session, member(name="stays"))
    assert [(change.action, change.kind, change.name) for change in found] == [
        (Action.DESTROY, "EnvoyFilter", "team/f"),
        (Action.DESTROY, "VirtualService", "team/r"),
        (Action.DESTROY, "Service", "team/x"),
        (Action.DESTROY, "ConfigMap", "team/x"),
    ]
    assert found[0].payload["metadata"]["uid"]


def test_what_lacks_the_label_or_has_another_ones_is_left_alone() -> None:
    theirs = applyset.member(obj(name="theirs"), "another-set")
    session = FakeSession(obj(name="bare"), theirs, applyset.parent(SET, [obj()]))
    assert pruned(session, allow_empty=True) == []


def test_namespaces_and_crds_are_never_pruned() -> None:
    kept = [member("Namespace", "n", None), member("CustomResourceDefinition", "c", None, "apiextensions.k8s.io/v1")]
    session = FakeSession(*kept, applyset.parent(SET, kept))
    assert pruned(session, allow_empty=True) == []
    assert not [asked for asked in session.asked if asked.startswith("list")]


def test_an_object_that_is_wanted_in_another_version_stays() -> None:
    there = member("VirtualService", "r", api="networking.istio.io/v1beta1")
    session = FakeSession(there, applyset.parent(SET, [there]))
    assert pruned(session, member("VirtualService", "r", api=ISTIO)) == []


def test_kinds_that_the_api_server_no_longer_knows_have_no_objects() -> None:
    session = FakeSession(applyset.parent(SET, [obj("Widget", api="example.io/v1"), obj()]), member())
    session.unknown.add(("example.io/v1", "Widget"))
    assert [change.kind for change in pruned(session, allow_empty=True)] == ["ConfigMap"]


def test_a_kind_that_may_not_be_listed_is_not_an_empty_one() -> None:
    session = FakeSession(applyset.parent(SET, [obj("Secret"), obj()]))
    session.failing["list Secret"] = Forbidden("may not list Secret")
    with pytest.raises(Forbidden):
        pruned(session)


def test_wanting_nothing_needs_to_be_said() -> None:
    session = FakeSession(member(name="a"), member(name="b"), applyset.parent(SET, [obj()]))
    with pytest.raises(Refused) as caught:
        pruned(session)
    assert caught.value.message == ("nothing is wanted any more, which would delete all 2 objects of resources-lab")
    assert "resources.allow_empty" in caught.value.hint
    assert len(pruned(session, allow_empty=True)) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_listed_already_is_not_listed_again(whole: bool) -> None:
    """The kind was listed in all namespaces, or in the one that is wanted now."""
    before = [member(name=name, namespace=where) for name in ("a", "b") for where in ("team", "other")]
    theirs = obj(name="theirs")
    session = FakeSession(*before, theirs, applyset.parent(SET, before))
    where = None if whole else "team"
    lists = {("v1", "ConfigMap", where or ""): session.list("v1", "ConfigMap", where)}
    found = applyset.kept(session, SET)
    session.asked.clear()
    gone = applyset.pruned(session, SET, found, [member(name="a")], allow_empty=False, lists=lists)
    assert sorted(change.name for change in gone) == ["other/a", "other/b", "team/b"]
    assert session.asked == ([] if whole else ["list ConfigMap"])


def test_a_list_of_another_version_or_kind_stands_for_nothing() -> None:
    there = [member("VirtualService", "r", api="networking.istio.io/v1beta1"), member(name="r")]
    session = FakeSession(*there, applyset.parent(SET, there))
    lists: objects.Lists = {(ISTIO, "VirtualService", ""): [], ("v1", "Secret", ""): []}
    found = applyset.kept(session, SET)
    gone = applyset.pruned(session, SET, found, [], allow_empty=True, lists=lists)
    assert [change.kind for change in gone] == ["VirtualService", "ConfigMap"]


def test_the_set_of_another_tool_is_refused() -> None:
    parent = applyset.parent(SET, [obj()])
    parent["metadata"]["annotations"]["applyset.kubernetes.io/tooling"] = "kubectl/v1.35"
    with pytest.raises(Refused, match=r"meshwright/resources-lab is the ApplySet of kubectl/v1.35"):
        applyset.kept(FakeSession(parent), SET)
    parent["metadata"].pop("annotations")
    with pytest.raises(Refused, match=r"is the ApplySet of another tool"):
        applyset.kept(FakeSession(parent), SET)


def test_a_parent_that_is_as_it_should_be_needs_nothing() -> None:
    members = [member(), member("Secret")]
    session = FakeSession()
    session.apply(applyset.parent(SET, members))
    assert applyset.put_right(applyset.kept(session, SET), SET, members) == []
    assert applyset.put_right(None, SET, []) == []


def test_a_parent_that_was_deleted_or_left_too_wide_is_put_right() -> None:
    members = [member()]
    [change] = applyset.put_right(None, SET, members)
    assert (change.action, change.name) == (Action.ADD, "meshwright/resources-lab")
    session = FakeSession()
    session.apply(applyset.parent(SET, [*members, member("Secret")]))
    [change] = applyset.put_right(applyset.kept(session, SET), SET, members)
    assert change.action is Action.CHANGE
    assert [(field.before, field.after) for field in change.fields] == [("ConfigMap,Secret", "ConfigMap")]
    session.apply(change.payload)
    assert applyset.put_right(applyset.kept(session, SET), SET, members) == []


kinds = st.sampled_from(
    [("v1", "ConfigMap"), ("v1", "Secret"), (ISTIO, "VirtualService"), ("v1", "Namespace"),
     ("apiextensions.k8s.io/v1", "CustomResourceDefinition")]
)  # fmt: skip
things = st.lists(
    st.tuples(
        kinds, st.sampled_from("abc"), st.sampled_from(["one", "two"]), st.sampled_from(["ours", "theirs", "bare"])
    ),
    unique_by=lambda thing: thing[:3],
    max_size=12,
)


def made(thing: Any) -> objects.Object:
    (api, kind), name, namespace, whose = thing
    bare = obj(kind, name, None if kind in ("Namespace", "CustomResourceDefinition") else namespace, api)
    return bare if whose == "bare" else applyset.member(bare, SET if whose == "ours" else "theirs")


@given(things, st.data())
def test_laws_of_pruning(there: list[Any], data: st.DataObject) -> None:
    live = {objects.key(made(thing)): made(thing) for thing in there}
    wanted = data.draw(st.lists(st.sampled_from(sorted(live)), unique=True)) if live else []
    session = FakeSession(*live.values(), applyset.parent(SET, [obj("ConfigMap"), *live.values()]))
    found = pruned(session, *(live[key] for key in wanted), allow_empty=True)
    destroyed = {objects.key(change.payload) for change in found}
    ours = {
        key
        for key, each in live.items()
        if (each["metadata"].get("labels") or {}).get("applyset.kubernetes.io/part-of") == applyset.identifier(SET)
    }
    assert destroyed == {key for key in ours - set(wanted) if key[1] not in ("Namespace", "CustomResourceDefinition")}
    assert session.writes == []
    assert session.deletes == []


def test_a_member_that_another_tool_keeps_by_now_is_not_deleted() -> None:
    taken, ours = member(name="theirs"), member(name="ours")
    taken["metadata"]["annotations"] = {"meta.helm.sh/release-name": "shop"}
    session = FakeSession(taken, ours, applyset.parent(SET, [taken, ours]))
    blocked = {change.name: change.blocked for change in pruned(session, member(name="stays"))}
    assert blocked["team/ours"] is None
    assert blocked["team/theirs"] is not None
    assert blocked["team/theirs"].reason == "Helm (release shop) keeps it now"
    assert blocked["team/theirs"].hint == (
        "Let go of it: `kubectl -n team label ConfigMap theirs applyset.kubernetes.io/part-of-`"
    )
