"""Digests: equal exactly when what they cover is equal."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshwright.plan import Action, Change, Field, Plan, approval, digest, masked, total

texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fields = st.builds(Field, texts, values, values)
changes = st.builds(Change, st.sampled_from(Action), texts, texts, st.tuples() | st.tuples(fields), texts)
plans = st.builds(
    Plan, texts, texts, st.lists(changes, max_size=2).map(tuple), st.integers(0, 9), st.sampled_from(["", "a"])
)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def covered(plan: Plan) -> str:
    """What DESIGN 3 says that an approval covers, written down independently of `Plan.digest`."""
    if plan.after:
        return canonical({"step": plan.step, "desired": plan.desired, "after": plan.after})
    shown = [
        [c.action.name, c.kind, c.name, c.why, [[f.path, f.before, f.after] for f in c.fields]] for c in plan.changes
    ]
    return canonical({"step": plan.step, "desired": plan.desired, "shown": shown})


@given(values, values)
def test_digests_of_values_are_equal_exactly_when_their_json_is(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


@given(st.dictionaries(texts, values, max_size=4))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


@given(plans, plans)
def test_plans_have_one_digest_exactly_when_what_it_covers_is_equal(one: Plan, other: Plan) -> None:
    assert (one.digest == other.digest) == (covered(one) == covered(other))


@given(st.lists(plans, max_size=3), st.lists(plans, max_size=3))
def test_an_approval_covers_every_plan_in_its_order(some: list[Plan], others: list[Plan]) -> None:
    assert (approval(some) == approval(others)) == ([covered(p) for p in some] == [covered(p) for p in others])


def test_a_digest_has_its_prefix_and_never_reads_as_a_number() -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest({}))
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_payloads_notes_and_counts_are_not_covered() -> None:
    change = Change(Action.ADD, "Service", "a/b")
    plan = Plan("istio", "d", (change,))
    same = Plan("istio", "d", (Change(Action.ADD, "Service", "a/b", payload={"x": 1}),), 7, notes=("n",), payload=1)
    assert same.digest == plan.digest
    assert same.changes == plan.changes
    assert "payload" not in repr(same)


def test_a_part_known_later_is_bound_by_its_desired_state_alone() -> None:
    one = Plan("istio", "d", (Change(Action.ADD, "Service", "a/b"),), after="cluster")
    assert one.digest == Plan("istio", "d", after="cluster").digest
    assert one.digest != Plan("istio", "e", after="cluster").digest
    assert one.digest != Plan("istio", "d").digest


def test_empty_means_that_nothing_can_come() -> None:
    assert Plan("x", "d", checked=4, notes=("n",)).empty
    assert not Plan("x", "d", after="cluster").empty
    assert not Plan("x", "d", (Change(Action.CHANGE, "A", "b"),)).empty


def test_a_recreation_counts_as_one_to_add_and_one_to_destroy() -> None:
    plan = Plan("x", "d", tuple(Change(action, "A", "b") for action in Action))
    assert {action: plan.count(action) for action in Action} == {
        Action.ADD: 2,
        Action.CHANGE: 1,
        Action.DESTROY: 2,
        Action.RECREATE: 1,
    }
    assert total([plan, plan], Action.ADD) == 4


def test_the_json_of_a_plan() -> None:
    plan = Plan("istio", "d", (Change(Action.RECREATE, "A", "b", (Field("x", 1, None),), "why"),), 3, notes=("n",))
    assert plan.as_json() == {
        "step": "istio",
        "digest": plan.digest,
        "checked": 3,
        "known_after": None,
        "unfinished": False,
        "changes": [
            {
                "action": "recreate",
                "kind": "A",
                "name": "b",
                "fields": [{"path": "x", "before": 1, "after": None}],
                "why": "why",
            }
        ],
        "notes": ["n"],
    }
    assert Plan("istio", "d", after="cluster").as_json()["known_after"] == "cluster"


@given(st.text(min_size=9, max_size=60, alphabet="ghijklmnopqrstuvwxyz"))
def test_a_masked_secret_shows_nothing_of_it(secret: str) -> None:
    shown = masked(secret)
    assert re.fullmatch(r"\(sha256 [0-9a-f]{8}\)", shown)
    assert shown == masked(secret.encode())
    assert shown != masked(secret + "x")


def test_what_was_interrupted_is_something_to_do() -> None:
    plan = Plan("resources", "d", unfinished=True)
    assert not plan.empty
    assert Plan.of_json(plan.as_json()).unfinished
    # Who approves a plan approves what it writes.
    assert plan.digest == Plan("resources", "d").digest
