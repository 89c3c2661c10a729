"""A part of a plan, for looking at."""

from __future__ import annotations

import pytest

from meshwright.errors import BadInput
from meshwright.plan import Action, Change, Plan
from meshwright.render import summary
from meshwright.selection import looked_at, only

PLANS = [
    Plan(
        "resources",
        "d",
        (
            Change(Action.ADD, "ConfigMap", "team/x"),
            Change(Action.DESTROY, "VirtualService", "team/reviews"),
            Change(Action.CHANGE, "ClusterRole", "reader"),
        ),
        checked=5,
        notes=(
            "ConfigMap team/x: data.k is of kubectl, not of these values; it is left alone",
            "ConfigMap team/xy: data.k is of kubectl, not of these values; it is left alone",
            "something else",
        ),
        seen=("ConfigMap/team/x", "ConfigMap/team/xy", "ClusterRole/reader", "Service/team/same"),
    ),
    Plan("other", "d", (Change(Action.ADD, "File", "a/b/c"),), checked=1),
]


def said(plans: list[Plan]) -> list[str]:
    return [f"{change.kind} {change.name}" for plan in plans for change in plan.changes]


@pytest.mark.parametrize(
    ("names", "shown", "counts"),
    [
        (["ConfigMap/team/x"], ["ConfigMap team/x"], (1, 1, 0, 0, 0)),
        (["VirtualService/team/reviews"], ["VirtualService team/reviews"], (1, 0, 0, 1, 0)),
        (["ClusterRole/reader"], ["ClusterRole reader"], (1, 0, 1, 0, 0)),
        (["Service/team/same"], [], (1, 0, 0, 0, 1)),
        (["File/a/b/c"], ["File a/b/c"], (1, 1, 0, 0, 0)),
        (["File/a/b/c", "ClusterRole/reader"], ["ClusterRole reader", "File a/b/c"], (2, 1, 1, 0, 0)),
    ],
)
def test_only_what_was_named_is_shown_and_counted(names: list[str], shown: list[str], counts: tuple[int, ...]) -> None:
    found = only(PLANS, names)
    assert said(found) == shown
    counted = summary(found)
    assert tuple(counted[key] for key in ("checked", "add", "change", "destroy", "unchanged")) == counts


def test_only_the_notes_about_it_are_shown() -> None:
    assert only(PLANS, ["ConfigMap/team/x"])[0].notes == PLANS[0].notes[:1]
    assert only(PLANS, ["Service/team/same"])[0].notes == ()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VirtualService/team/review", "VirtualService/team/reviews"),
        ("ConfigMap/x", "ConfigMap/team/x"),
        ("configmap/team/xy", "ConfigMap/team/xy"),
    ],
)
def test_what_was_not_looked_at_is_told_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(BadInput) as caught:
        only(PLANS, ["ConfigMap/team/x", name])
    assert caught.value.message == (
        f"--only {name}: this plan has looked at nothing of that name; the nearest is {nearest}"
    )
    assert "KIND/NAMESPACE/NAME" in caught.value.hint


def test_what_is_near_nothing() -> None:
    with pytest.raises(BadInput) as caught:
        only(PLANS, ["?"])
    assert caught.value.message == "--only ?: this plan has looked at nothing of that name"


def test_what_is_only_known_later_may_be_it() -> None:
    later = Plan("later", "d", after="cluster")
    found = only([*PLANS, later], ["Gateway/team/g"])
    assert said(found) == []
    assert found[-1].after == "cluster"


def test_the_names_of_another_option_are_looked_for_in_the_same_way() -> None:
    looked_at(PLANS, frozenset({"Service/team/same", "File/a/b/c"}), "--adopt")
    with pytest.raises(BadInput) as caught:
        looked_at(PLANS, frozenset({"Service/team/sama"}), "--adopt")
    assert caught.value.message == (
        "--adopt Service/team/sama: this plan has looked at nothing of that name; the nearest is Service/team/same"
    )
