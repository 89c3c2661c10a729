"""`meshwright history` of records that were cut, edited, or written by another version: each is named and left out, and
the others are shown (#7)."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, Object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright import cluster
from meshwright.cli.history import _row, _whole
from meshwright.errors import Exit
from meshwright.records import Result, configmaps, file, shape
from meshwright.records.model import joined

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


CHANGE = {"action": "change", "kind": "Deployment", "name": "a/c", "why": ""}
ROW = {"host": "@local", "step": "istio", "known_after": None}


def started(number: int, **more: Any) -> Object:
    fields = [{"path": "spec.replicas", "before": 1, "after": 2}]
    return {
        "id": f"20261122-1710{number:02}-abcdef",
        "entry": "started",
        "at": f"2026-11-22T17:10:{number:02}.320Z",
        "environment": "lab",
        "holder": "laptop/another-boot/1/7/8",
        "who": {"user": "root", "sudo_user": "op", "machine": "laptop", "kubernetes": "system:admin"},
        "commit": {"id": "0123456789abcdef", "dirty": True},
        "reason": "the audit",
        "approved": "sha256:1",
        "program": "meshwright",
        "deploy": "site",
        "steps": ["istio"],
        "cluster": "uid",
        "plan": [{**ROW, "changes": [{**CHANGE, "fields": fields}]}],
        **more,
    }


def ended(number: int, **more: Any) -> Object:
    return {
        "id": f"20261122-1710{number:02}-abcdef",
        "entry": "ended",
        "at": f"2026-11-22T17:11:{number:02}.320Z",
        "result": "failed",
        "message": "it did not become ready",
        "hint": "Look at its pods",
        "steps": [{"host": "@local", "step": "istio", "state": "failed", "seconds": 59.96, "kept": "sha256:2"}],
        "plan": [],
        "checks": [{"group": "g", "check": "pods", "state": "failed", "fatal": True, "detail": "2", "seconds": 1.0}],
        **more,
    }


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def whole() -> list[Object]:
    """Entries with everything that an entry can have."""
    row = started(1)["plan"][0]
    row = {**row, "unfinished": True, "changes": [{**row["changes"][0], "blocked": {"reason": "r", "hint": "h"}}]}
    return [
        started(
            1,
            plan=[row],
            window="open",
            override=True,
            release="sha256:1",
            promotion={"from": "dev", "skip": None, "approved_by": ["op"]},
            note="n",
        ),
        {"id": "20261122-171001-abcdef", "entry": "step", "at": started(1)["at"], "host": "h", "step": "istio"},
        ended(1, environment="lab", plan=[row], cluster="uid", kubernetes="op", note="n"),
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


def changed(entry: Object, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    made = copy.deepcopy(entry)
    at: Any = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


@settings(max_examples=400)
@given(st.data())
def test_any_value_at_any_place_is_shown_or_left_out(data: st.DataObject) -> None:
    entries = whole()
    number = data.draw(st.integers(0, 2))
    path = data.draw(st.sampled_from(list(places(entries[number]))))
    entries[number] = changed(entries[number], path, data.draw(JSON))
    kept = []
    for entry in entries:
        try:
            kept.append(shape.parsed(json.dumps(entry)))
        except shape.Unreadable:
            continue
    for record in joined(kept, lambda _holder: Result.UNKNOWN):
        json.dumps([record.as_json(), record.seconds], allow_nan=False)
        assert len(_row(record)) == 10
        assert all(isinstance(line, str) for line in _whole(record))


@settings(max_examples=200)
@given(text=st.text() | st.binary(), at=st.integers(0, 400))
def test_anything_in_place_of_a_line_is_an_entry_or_said_not_to_be(text: str | bytes, at: int) -> None:
    for line in (text, json.dumps(whole()[0])[:at]):
        with contextlib.suppress(shape.Unreadable):
            assert isinstance(shape.parsed(line), dict)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("steps", 0, "seconds"), "long", "its steps[0].seconds is not what a record has there"),
        (("plan",), {"a": 1}, "its plan is not what a record has there"),
        (("at",), "yesterday", "its at is not what a record has there"),
        (("at",), "2026-11-22T17:11:01", "its at is not what a record has there"),
        (("entry",), "paused", "it is no entry of a record, or one of a newer version"),
        ((), ["x"], "it is no entry of a record, or one of a newer version"),
        (("checks", 0), {"check": "a"}, "it has no checks[0].state"),
        (("message",), "\ud800", "it has half of a character"),
    ],
)
def test_which_and_why_is_said_and_the_others_are_shown(
    run: Any, host: FakeTarget, session: FakeSession, path: Any, value: Any, why: str
) -> None:
    file.append(host, "lab", started(1), ended(1))
    with Path(file.path(host, "lab")).open("a") as out:
        out.write(json.dumps(changed(ended(2), path, value)) + "\n")
    file.append(host, "lab", started(3), ended(3))
    ran = run("history", "lab")
    assert ran.code == Exit.OK
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == [
        "20261122-171003-abcdef",
        "20261122-171001-abcdef",
    ]
    assert ran.err.splitlines() == [
        f"left out: {file.path(host, 'lab')}:3: {why}",
        "hint: what is left out spoils no other record; it may be deleted",
    ]
    document = run("history", "lab", "--json").document
    assert document["left_out"] == [f"{file.path(host, 'lab')}:3: {why}"]
    assert (document["ok"], document["summary"]["cut"]) == (True, 1)


def test_a_record_of_a_newer_version_is_shown_with_what_is_known_of_it(
    run: Any, host: FakeTarget, session: FakeSession
) -> None:
    configmaps.write(session, "lab", started(1, weather={"rain": 1}))
    configmaps.write(session, "lab", ended(1, result="postponed"))
    ran = run("history", "lab")
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert ran.out.splitlines()[1].split()[5] == "unknown"


def test_many_are_counted(run: Any, host: FakeTarget, session: FakeSession) -> None:
    Path(file.path(host, "lab")).parent.mkdir(parents=True)
    Path(file.path(host, "lab")).write_text("{\n" * 12)
    ran = run("history", "lab")
    assert (ran.code, ran.out) == (Exit.OK, "no run has changed lab yet, as far as is known\n")
    assert len(ran.err.splitlines()) == 7
    assert "left out: 7 more" in ran.err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20)
@given(depth=st.integers(1_000, 200_000))
def test_what_is_nested_without_end_is_left_out(depth: int) -> None:
    with pytest.raises(shape.Unreadable, match=r"nested too deeply|it is no entry"):
        shape.parsed("[" * depth + "]" * depth)
