"""Saved plans: written and read back, and refused when anything is not as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright.errors import BadInput, Refused
from meshwright.plan import Action, Change, Field, Plan, approval, digest
from meshwright.saved import FORMAT, Saved, content, parse

UID = "6f2d3c1e-8a4b-4f6e-9c0d-1a2b3c4d5e6f"


def add(name: str, value: Any = "v") -> Change:
    return Change(Action.ADD, "ConfigMap", name, (Field("data.k", None, value),))


PLANS = [
    Plan("tools", "sha256:1"),
    Plan("resources", "sha256:2", (add("team/x"), add("team/y")), checked=2, notes=("a note",)),
    Plan("later", "sha256:3", after="resources"),
]


def saved(plans: list[Plan] = PLANS, **over: Any) -> Saved:
    values = {"environment": "lab", "deploy": "site", "cluster": UID, "created": "2026-01-02T03:04:05+00:00"} | over
    return Saved(digest=approval(plans), steps=tuple(plan.as_json() for plan in plans), **values)


def test_what_is_written_is_read_back() -> None:
    assert parse(content(saved()), "p.json") == saved()
    assert parse(content(saved(cluster=None)), "p.json").cluster is None
    assert parse(content(saved(adopt=("ConfigMap/team/x",))), "p.json").adopt == ("ConfigMap/team/x",)
    body = json.loads(content(saved()))
    assert body["format_version"] == FORMAT
    assert [step["step"] for step in body["steps"]] == ["tools", "resources", "later"]


words = st.text(st.characters(codec="utf-8"), max_size=5)
changes = st.builds(
    Change,
    st.sampled_from(Action),
    words,
    words,
    st.lists(st.builds(Field, words, st.none() | st.integers() | words), max_size=2).map(tuple),
    words,
)
plans = st.lists(
    st.builds(
        Plan,
        words,
        words,
        st.lists(changes, max_size=3).map(tuple),
        after=st.sampled_from(["", "x"]),
    ),
    max_size=3,
)  # fmt: skip


@given(plans)
def test_any_plan_is_the_same_plan_afterwards(found: list[Plan]) -> None:
    again = parse(content(saved(found)), "p.json")
    again.same_as(UID, found)
    if found:
        with pytest.raises(Refused):
            again.same_as(UID, [*found, found[0]])


def test_the_same_plan_for_the_same_cluster_is_applied() -> None:
    saved().meant_for("lab", "site")
    saved().same_as(UID, PLANS)
    saved(cluster=None).same_as(None, PLANS)


@pytest.mark.parametrize(("environment", "deploy"), [("prod", "site"), ("lab", "resources")])
def test_a_plan_for_something_else(environment: str, deploy: str) -> None:
    with pytest.raises(Refused) as caught:
        saved().meant_for(environment, deploy)
    assert caught.value.message == f"this plan is for lab site, not for {environment} {deploy}"
    assert "meshwright apply lab site --saved" in caught.value.hint


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (UID, "other", f"made for the cluster with uid {UID}, and what answers now has uid other"),
        (UID, None, f"made for the cluster with uid {UID}, and there is none now"),
        (None, UID, f"made when there was no cluster, and what answers now has uid {UID}"),
    ],
)
def test_another_cluster(before: str | None, now: str | None, words: str) -> None:
    with pytest.raises(Refused) as caught:
        saved(cluster=before).same_as(now, PLANS)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ([PLANS[0], Plan("resources", "sha256:2", checked=2), PLANS[2]], "resources has nothing left to do"),
        (
            [PLANS[0], Plan("resources", "sha256:2", (add("team/x"),)), PLANS[2]],
            "resources differs in ConfigMap team/y",
        ),
        (
            [PLANS[0], Plan("resources", "sha256:2", (add("team/x"), add("team/z"))), PLANS[2]],
            "resources differs in ConfigMap team/y and 1 more",
        ),
        (
            [PLANS[0], Plan("resources", "sha256:2", (add("team/x"), add("team/y", "w"))), PLANS[2]],
            "what resources would do has changed",
        ),
        ([PLANS[0], Plan("resources", "sha256:9", PLANS[1].changes), PLANS[2]], "what resources would do has changed"),
        ([PLANS[0], PLANS[1], Plan("later", "sha256:4", after="resources")], "later is only known after resources"),
        (
            [Plan("tools", "sha256:1", (add("t"),)), Plan("resources", "sha256:2"), PLANS[2]],
            "tools differs in ConfigMap t; resources has nothing left to do",
        ),
        (PLANS[:2], "its steps were tools, resources, later, now they are tools, resources"),
    ],
)
def test_a_stale_plan_says_which_steps_differ(now: list[Plan], words: str) -> None:
    with pytest.raises(Refused) as caught:
        saved().same_as(UID, now)
    assert caught.value.message == f"the saved plan of 2026-01-02T03:04:05+00:00 is stale: {words}"
    assert "meshwright plan lab site --out" in caught.value.hint


def test_notes_and_counts_make_no_plan_stale() -> None:
    saved().same_as(UID, [PLANS[0], Plan("resources", "sha256:2", PLANS[1].changes, checked=9), PLANS[2]])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"words",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"format_version": 1}',
        b'{"checksum": 1}',
        b'{"format_version": "1.0", "checksum": "x"}',
        b'{"format_version": null, "checksum": "x"}',
        b"[" * 100_000,
        content(saved())[:-30],
    ],
)
def test_what_is_no_saved_plan(data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        parse(data, "my/p.json")
    assert caught.value.message == "my/p.json is not a saved plan"


def test_one_of_a_newer_format_is_not_guessed_at() -> None:
    with pytest.raises(BadInput) as caught:
        parse(json.dumps({"format_version": FORMAT + 1, "checksum": "of another kind"}).encode(), "p.json")
    assert (
        caught.value.message
        == f"p.json was saved by a newer Meshwright: its format is {FORMAT + 1}, this one reads {FORMAT}"
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


EDITABLE = [place for place in places(json.loads(content(saved()))) if place not in ((), ("format_version",))]


@given(st.sampled_from(EDITABLE), st.sampled_from(["edited", 7, None, True, [], {}]))
def test_an_edit_anywhere_is_noticed(place: tuple[Any, ...], value: Any) -> None:
    body = json.loads(content(saved()))
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    same = digest(inner[place[-1]]) == digest(value)
    inner[place[-1]] = value
    data = json.dumps(body).encode()
    if same:
        assert parse(data, "p.json") == saved()
    else:
        with pytest.raises(BadInput, match=r"p.json is not as it was saved: its checksum does not match"):
            parse(data, "p.json")


def test_a_file_in_another_layout_is_the_same_plan() -> None:
    body = json.loads(content(saved()))
    assert parse(json.dumps(body, sort_keys=True).encode(), "p.json") == saved()


@pytest.mark.parametrize("over", [{"steps": [{"step": "x"}]}, {"steps": 7}, {"environment": ...}])
def test_a_checksum_does_not_make_a_plan_of_anything(over: dict[str, Any]) -> None:
    body = {**json.loads(content(saved())), **over}
    body = {key: value for key, value in body.items() if key != "checksum" and value is not ...}
    with pytest.raises(BadInput):
        parse(json.dumps({**body, "checksum": digest(body)}).encode(), "p.json")
