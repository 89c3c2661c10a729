"""Entries put together to records."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright.plan import Action, Change, Field, Plan
from meshwright.records import Record, Result, model


def one(*entries: Any, unended: Result = Result.UNKNOWN) -> Record:
    [record] = model.joined(entries, lambda _holder: unended)
    return record


def test_ids_are_sorted_by_time_and_differ() -> None:
    made = [model.new_id(f"2026-11-22T17:10:{second:02}.320Z") for second in range(60)]
    assert made == sorted(made)
    assert len({model.new_id(model.now()) for _ in range(50)}) == 50
    assert re.fullmatch(r"20261122-171000-[0-9a-f]{6}", made[0])


def test_times_are_utc_and_iso() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", model.now())


def test_a_run_that_ended(entries: Any) -> None:
    record = one(entries.started(), entries.step(), entries.ended())
    assert (record.result, record.seconds, record.deploy, record.reason) == (Result.OK, 2.1, "site", "because")
    assert record.who == {"user": "op", "sudo_user": None, "machine": "laptop", "kubernetes": "admin"}
    assert record.cluster == "uid"
    assert record.summary == {"add": 1, "change": 0, "destroy": 0}
    assert record.steps[0]["state"] == "changed"
    assert record.as_json()["commit"] == {"id": "a" * 40, "dirty": False}


def test_what_became_known_on_the_way_takes_the_place_of_what_was_shown(entries: Any) -> None:
    shown = {"host": "@local", "step": "istio", "known_after": "cluster", "changes": []}
    known = {
        "host": "@local",
        "step": "istio",
        "known_after": None,
        "changes": [{"action": "destroy", "kind": "A", "name": "b", "fields": [], "why": ""}],
    }
    for later in (entries.step(plan=[known]), entries.ended(plan=[known])):
        record = one(entries.started(plan=[shown]), later)
        assert [plan.after for plan in record.plans] == [""]
        assert record.summary == {"add": 0, "change": 0, "destroy": 1}


@pytest.mark.parametrize("now", [Result.RUNNING, Result.INTERRUPTED, Result.UNKNOWN])
def test_a_run_without_an_end_stands_as_its_holder_does(entries: Any, now: Result) -> None:
    asked: list[str] = []

    def unended(holder: str) -> Result:
        asked.append(holder)
        return now

    [record] = model.joined([entries.started(), entries.step("tools"), entries.step("istio")], unended)
    assert asked == ["laptop/b/s/1/2"]
    assert (record.result, record.ended, record.seconds) == (now, None, None)
    assert [step["step"] for step in record.steps] == ["tools", "istio"]
    hit = "it has no end; the last step that it began was istio"
    assert record.message == ("" if now is Result.RUNNING else hit)


def test_newest_first(entries: Any) -> None:
    made = [
        entries.started(id=f"r{n}", at=f"2026-11-22T17:10:{n:02}.000Z") for n in random.Random(4).sample(range(60), 20)
    ]
    found = model.joined(made, lambda _holder: Result.UNKNOWN)
    assert [record.id for record in found] == sorted((entry["id"] for entry in made), key=lambda i: -int(i[1:]))


def test_an_entry_that_is_whole_counts_before_one_that_was_cut(entries: Any) -> None:
    cut = entries.started(plan=[], note="the fields are left out")
    record = one(cut, entries.started())
    assert record.summary["add"] == 1
    assert record.notes == ()
    assert one(cut).notes == ("the fields are left out",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_same_entries_from_both_places_in_any_order_are_one_record(entries: Any, data: Any) -> None:
    three = [entries.started(), entries.step(), entries.ended()]
    more = data.draw(st.permutations([*three, entries.started(), entries.ended()]))
    assert one(*more).as_json() == one(*three).as_json()


def test_an_end_alone_is_a_record_too(entries: Any) -> None:
    record = one(entries.ended(result="refused", message="no"))
    assert (record.result, record.environment, record.deploy, record.commit) == (Result.REFUSED, "lab", "", None)


def test_a_result_of_a_newer_version_is_unknown(entries: Any) -> None:
    assert one(entries.started(), entries.ended(result="postponed")).result is Result.UNKNOWN


def test_a_row_has_the_plan_as_shown_and_no_payload() -> None:
    secret = {"data": {"key": "c2VjcmV0"}}
    change = Change(Action.CHANGE, "Secret", "a/b", (Field("data.key", "(sha256 1)", "(sha256 2)"),), payload=secret)
    plan = Plan("certs", "d", (change,), checked=3, payload=secret)
    row = model.row("@local", plan)
    assert "c2VjcmV0" not in str(row)
    assert row == {"host": "@local", "step": "certs", "known_after": None, "changes": [change.as_json()]}
    assert Plan.of_json(row).changes == plan.changes


def test_a_plan_is_the_same_after_json() -> None:
    change = Change(Action.RECREATE, "Cluster", "mw-lab", (Field("image", "a", None),), "k3d cannot change this")
    plan = Plan("cluster", "sha256:1", (change,), checked=2, after="tools", notes=("left alone",))
    assert Plan.of_json(plan.as_json()).as_json() | {"digest": ""} == plan.as_json() | {"digest": ""}
