"""What a run may not do, whoever approves it."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import environment

from meshwright.admission import admit, within_limits
from meshwright.environment import Environment
from meshwright.errors import Exit, Refused
from meshwright.options import Options
from meshwright.plan import Action, Blocked, Change, Field, Plan


def prod(protected: bool = True, **limits: int) -> Environment:
    env = environment()
    return env.model_copy(update={"protected": protected, "limits": env.limits.model_copy(update=limits)})


def plan(*changes: Change, step: str = "resources") -> Plan:
    return Plan(step, "sha256:d", changes)


def changed(name: str = "x", kind: str = "ConfigMap", path: str = "data.k", action: Action = Action.CHANGE) -> Change:
    return Change(action, kind, name, (Field(path, 1, 2),))


def blocked(name: str, patch: Any = None) -> Change:
    return Change(Action.CHANGE, "ConfigMap", name, blocked=Blocked("theirs", "let it go", patch))


def test_one_blocked_change_refuses_the_plan_and_says_how_many_more() -> None:
    admit(plan(changed()), Options())
    with pytest.raises(Refused) as caught:
        admit(plan(changed(), blocked("a"), blocked("b")), Options())
    assert caught.value.message == "ConfigMap a: theirs (and 1 more: the plan shows them with !)"
    assert caught.value.hint == "let it go"
    assert caught.value.exit_code is Exit.REFUSED


def test_the_patches_for_other_repositories_are_printed_as_yaml() -> None:
    patch = {"spec": {"hosts": ["a"], "gateways": None}}
    with pytest.raises(Refused) as caught:
        admit(plan(blocked("a", patch), blocked("b"), blocked("c", {"data": {"k": "v"}})), Options())
    assert caught.value.hint.splitlines() == [
        "let it go",
        "What is wanted of ConfigMap a, as a merge patch:",
        "  spec:",
        "    hosts:",
        "    - a",
        "    gateways: null",
        "What is wanted of ConfigMap c, as a merge patch:",
        "  data:",
        "    k: v",
    ]


def test_what_must_be_recreated_needs_the_word() -> None:
    again = plan(Change(Action.RECREATE, "Cluster", "mw", why="ports differ"))
    with pytest.raises(Refused, match="Cluster mw must be recreated: ports differ"):
        admit(again, Options())
    admit(again, Options(allow_recreate=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([changed(action=Action.DESTROY)] * 3, "deletes 3 things, limits.deletions allows 2"),
        (
            [changed(action=Action.DESTROY)] * 2 + [changed(action=Action.RECREATE)],
            "deletes 3 things, limits.deletions allows 2",
        ),
        ([changed()] * 5, "changes 5 things, limits.changes allows 4"),
        (
            [changed(kind="Deployment", path="spec.template.spec.containers[app].image")] * 2,
            "restarts the pods of 2 things, limits.restarts allows 1",
        ),
    ],
)
def test_too_much_at_a_time_is_refused_where_protected(changes: list[Change], said: str) -> None:
    env = prod(deletions=2, changes=4, restarts=1)
    with pytest.raises(Refused) as caught:
        within_limits([plan(*changes[:-1]), plan(changes[-1], step="istio")], env)
    assert caught.value.message == f"lab is protected: this plan {said} (default)"
    assert "raise limits." in caught.value.hint
    within_limits([plan(*changes[1:])], env)
    within_limits([plan(*changes)], prod(protected=False, deletions=0, changes=0, restarts=0))


@pytest.mark.parametrize(
    "harmless",
    [
        changed(action=Action.ADD),
        Change(Action.ADD, "Deployment", "d", (Field("spec.template", None, {}),)),
    ],
)
def test_new_things_are_not_counted(harmless: Change) -> None:
    within_limits([plan(*[harmless] * 50)], prod(deletions=0, changes=0, restarts=0))


def test_a_new_number_of_replicas_restarts_nothing() -> None:
    within_limits([plan(changed(kind="Deployment", path="spec.replicas"))], prod(restarts=0))
