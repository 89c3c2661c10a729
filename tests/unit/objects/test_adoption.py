"""Taking over what another tool has made."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import managed, objects
from meshwright.errors import Refused
from meshwright.foreign import LAST_APPLIED
from meshwright.kube import ApiError
from meshwright.objects import adoption
from meshwright.plan import Action, Change

Object = dict[str, Any]


def entry(manager: str, *fields: str, operation: str = "Update", **rest: str) -> Object:
    tree = managed.fields({tuple(field.split("|")) for field in fields})
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": tree, **rest}


def ours(*fields: str) -> Object:
    return entry("meshwright", *fields, operation="Apply")


def live(*entries: Object, copied: bool = False, **data: str) -> Object:
    metadata: Object = {"name": "x", "namespace": "team", "resourceVersion": "7", "uid": "u"}
    metadata["managedFields"] = list(entries)
    metadata["annotations"] = {"theirs": "1"} | ({LAST_APPLIED: "{}"} if copied else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


COPY = f"f:metadata|f:annotations|f:{LAST_APPLIED}"


@pytest.mark.parametrize(
    ("who", "everyone", "taken"),
    [
        (entry("kubectl-client-side-apply", "f:data|f:k"), False, True),
        (entry("before-first-apply", "f:data|f:k"), False, True),
        (entry("kubectl-create", "f:data|f:k"), False, True),
        (entry("OpenAPI-Generator", "f:data|f:k"), False, True),
        (entry("helm", "f:data|f:k"), False, True),
        (entry("kubectl-client-side-apply", COPY), False, True),
        (entry("kubectl-client-side-apply", "f:data|f:other"), False, False),
        # These come back: they are taken over when that was asked for.
        (entry("kubectl-edit", "f:data|f:k"), False, False),
        (entry("kubectl-edit", "f:data|f:k"), True, True),
        (entry("kubectl", "f:data|f:k", operation="Apply"), False, False),
        (entry("kubectl", "f:data|f:k", operation="Apply"), True, True),
        (entry("somebody", "f:data|f:other"), True, False),
        # Never.
        (entry("kube-controller-manager", "f:data|f:k"), True, False),
        (entry("somebody", "f:data|f:k", subresource="status"), True, False),
        (entry("meshwright", "f:data|f:k"), True, False),
    ],
)
def test_whose_claims_are_taken(who: Object, everyone: bool, taken: bool) -> None:
    obj = live(who, ours("f:data|f:k"))
    found = adoption.taken(obj, obj, "meshwright", everyone=everyone)
    assert found == ((who["manager"],) if taken else ())


def test_what_only_the_other_has_stays_its_own() -> None:
    theirs = entry(
        "kubectl-client-side-apply", "f:data", "f:data|f:k", "f:data|f:theirs", "f:metadata|f:annotations", COPY
    )
    bystanders = [entry("someone", "f:data|f:k"), entry("k3s", "f:status", subresource="status")]
    obj = live(theirs, *bystanders, ours("f:data|f:k"), copied=True)
    version, claims, annotation = adoption.patch(obj, "meshwright", everyone=False)
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    left = {**theirs, "fieldsV1": {"f:data": {"f:theirs": {}}}}
    assert claims == {
        "op": "replace",
        "path": "/metadata/managedFields",
        "value": [left, *bystanders, ours("f:data|f:k")],
    }
    assert annotation == {
        "op": "remove",
        "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
    }
    assert adoption.without_copy(obj)["metadata"]["annotations"] == {"theirs": "1"}


def test_a_claim_with_nothing_left_goes() -> None:
    obj = live(entry("kubectl-create", "f:data", "f:data|f:k"), ours("f:data|f:k"))
    _, claims = adoption.patch(obj, "meshwright", everyone=False)
    assert claims["value"] == [ours("f:data|f:k")]


names = st.sampled_from(["f:a", "f:b", "f:a|f:c", "f:a|f:d", "f:b|f:c", 'f:l|k:{"n":"x"}', 'f:l|k:{"n":"x"}|f:v'])


@given(st.sets(names, min_size=1), st.sets(names, min_size=1), st.booleans())
def test_after_it_nothing_is_left_to_take_and_nothing_else_is_lost(
    mine: set[str], theirs: set[str], everyone: bool
) -> None:
    obj = live(entry("kubectl-client-side-apply", *theirs), ours(*mine))
    claims = adoption.patch(obj, "meshwright", everyone=everyone)[1]["value"]
    after = copy.deepcopy(obj)
    after["metadata"]["managedFields"] = claims
    assert adoption.taken(after, after, "meshwright", everyone=everyone) == ()
    assert managed.applied(after, "meshwright") == managed.applied(obj, "meshwright")
    left = {path for each in claims for path in managed.paths(each["fieldsV1"])}
    before = {path for each in obj["metadata"]["managedFields"] for path in managed.paths(each["fieldsV1"])}
    # Only claims to things that hold one of our fields are gone altogether.
    assert all(any(other[: len(path)] == path for other in left) for path in before)


class Claims(FakeSession):
    """Answers an apply with the live object and its claims; takes patches of them, and can be changed in between."""

    def __init__(self, obj: Object) -> None:
        super().__init__()
        self.live = obj
        self.patches: list[Any] = []
        self.changes = 0

    def apply(self, obj: Object, **rest: Any) -> Object:
        return copy.deepcopy(self.live)

    def get(self, *rest: Any, **more: Any) -> Object | None:
        return copy.deepcopy(self.live)

    def patch(self, *rest: Any, body: Any, **more: Any) -> Object:
        self.patches.append(body)
        if self.changes:
            self.changes -= 1
            self.live["metadata"]["resourceVersion"] += "0"
        if body[0]["value"] != self.live["metadata"]["resourceVersion"]:
            raise ApiError("modified", status=409, body={"reason": "Conflict"})
        self.live["metadata"]["managedFields"] = body[1]["value"]
        return self.live


def change() -> Change:
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "team"}}
    return Change(Action.CHANGE, "ConfigMap", "team/x", payload=obj)


@pytest.mark.parametrize("changes", [0, 1, 3])
def test_claims_are_taken_at_the_version_that_they_are_of(changes: int) -> None:
    session = Claims(live(entry("kubectl-create", "f:data|f:k"), ours("f:data|f:k")))
    session.changes = changes
    objects.apply(session, [change()])
    assert len(session.patches) == changes + 1
    assert session.live["metadata"]["managedFields"] == [ours("f:data|f:k")]
    objects.apply(session, [change()])
    assert len(session.patches) == changes + 1


def test_an_object_that_changes_all_the_time_is_given_up_on() -> None:
    session = Claims(live(entry("kubectl-create", "f:data|f:k"), ours("f:data|f:k")))
    session.changes = 100
    with pytest.raises(Refused, match="could not be taken over"):
        objects.apply(session, [change()])
    assert len(session.patches) == 5


def test_force_alone_takes_no_claims() -> None:
    session = Claims(live(entry("kubectl-create", "f:data|f:k"), ours("f:data|f:k")))
    objects.apply(session, [change()], force=True)
    assert session.patches == []


def test_what_is_taken_over_is_shown_with_whom_and_with_the_copy_that_goes() -> None:
    obj = live(entry("kubectl-client-side-apply", "f:data|f:k", COPY), ours("f:data|f:k"), copied=True, k="v")
    session = Claims(obj)
    session.objects["v1", "ConfigMap", "team", "x"] = obj
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "team"}}
    [found] = objects.compare(session, [{**wanted, "data": {"k": "v"}}]).changes
    assert found.why == "taken over from kubectl-client-side-apply"
    assert [field.path for field in found.fields] == [f'metadata.annotations."{LAST_APPLIED}"']
    assert found.blocked is None
