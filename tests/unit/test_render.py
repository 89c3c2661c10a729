"""The text of plans, as terminals show it."""

from __future__ import annotations

from meshwright.plan import Action, Blocked, Change, Field, Plan
from meshwright.render import closing, plan_lines, summary

PLANS = [
    Plan("tools", "d", checked=3),
    Plan(
        "cluster",
        "d",
        (
            Change(
                Action.RECREATE,
                "Cluster",
                "mw-lab-1a2b3c4d",
                (Field("agents", 0, 2), Field("disable", ["traefik"], None)),
                "k3d cannot change this in place",
            ),
        ),
        checked=1,
    ),
    Plan("istio", "d", after="cluster"),
    Plan(
        "namespaces",
        "d",
        (
            Change(Action.ADD, "Namespace", "bookinfo", (Field("spec.x", None, "é"),)),
            Change(Action.CHANGE, "Namespace", "team", (Field('metadata.labels."istio.io/rev"', None, "blue"),)),
            Change(Action.DESTROY, "Service", "istio-system/old", why="no longer part of the installation"),
        ),
        checked=7,
    ),
    Plan("bookinfo", "d", checked=15, notes=("2 fields are kept by others",)),
]

TEXT = """\
cluster:
  -/+ Cluster mw-lab-1a2b3c4d  (k3d cannot change this in place)
      agents: 0 -> 2
      disable: ["traefik"] -> (removed)
istio:
  known after cluster
namespaces:
  + Namespace bookinfo
      spec.x: "é"
  ~ Namespace team
      metadata.labels."istio.io/rev": "blue"
  - Service istio-system/old  (no longer part of the installation)
bookinfo:
  note: 2 fields are kept by others
Plan: 2 to add, 1 to change, 2 to destroy; known later: istio.
"""


def test_a_plan_as_text() -> None:
    assert "\n".join(plan_lines(PLANS)) + "\n" == TEXT


def test_a_plan_without_changes_is_its_closing_line() -> None:
    assert list(plan_lines([Plan("a", "d", checked=2), Plan("b", "d")])) == [
        "Plan: 0 to add, 0 to change, 0 to destroy."
    ]


def test_no_steps_at_all() -> None:
    assert closing([]) == "Plan: 0 to add, 0 to change, 0 to destroy."


def test_the_counts_for_programs() -> None:
    assert summary(PLANS) == {
        "checked": 26,
        "add": 2,
        "change": 1,
        "destroy": 2,
        "unchanged": 22,
        "known_later": 1,
    }


def test_unchanged_is_never_below_zero() -> None:
    assert summary([Plan("a", "d", (Change(Action.ADD, "A", "b"),), checked=0)])["unchanged"] == 0


def test_a_long_value_is_cut_to_the_width_of_a_terminal() -> None:
    change = Change(Action.CHANGE, "A", "b", (Field("x", "s" * 200, 1),))
    [_, _, line, _] = plan_lines([Plan("a", "d", (change,))])
    assert line == '      x: "' + "s" * 116 + "... -> 1"


def test_control_characters_of_a_value_do_not_reach_the_terminal() -> None:
    change = Change(Action.CHANGE, "A", "b", (Field("x", "\x1b[2J\n", 1),))
    text = "\n".join(plan_lines([Plan("a", "d", (change,))]))
    assert "\x1b" not in text
    assert '"\\u001b[2J\\n"' in text


def test_a_plan_that_only_finishes_says_so() -> None:
    lines = list(plan_lines([Plan("resources", "d", unfinished=True)]))
    assert lines[0] == "resources:"
    assert "an apply was interrupted" in lines[1]
    assert lines[2] == "Plan: 0 to add, 0 to change, 0 to destroy; to finish: resources."


def test_a_blocked_change_says_why_and_is_counted() -> None:
    stopped = Change(Action.CHANGE, "ConfigMap", "team/x", blocked=Blocked("data.k is of kubectl-edit"))
    lines = list(plan_lines([Plan("resources", "d", (stopped, Change(Action.ADD, "ConfigMap", "team/y")), checked=2)]))
    assert lines[2] == "      ! data.k is of kubectl-edit"
    assert lines[-1] == "Plan: 1 to add, 1 to change, 0 to destroy; blocked: 1."
