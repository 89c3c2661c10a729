"""What was applied last: kept in the cluster before, marked as done after; bounded, and without secrets."""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from meshwright import applied
from meshwright.errors import Forbidden
from meshwright.plan import Plan

Object = dict[str, Any]
VALUE = "c2VjcmV0LXZhbHVlLW5vYm9keS1tYXkta25vdw=="


def config(name: str = "a", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"},
        "data": data,
    }


def secret(**data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "shop", "annotations": {"a": VALUE}},
        "data": data,
    }


def plan(*objects: Object, step: str = "resources") -> Plan:
    return Plan(step, "d", objects=objects)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})


def keep(session: FakeSession, *objects: Object, record: str = "r1", step: str = "resources", by: str = "") -> str:
    with applied.keeping(session, "lab", plan(*objects, step=step), record=record, by=by or step) as digest:
        pass
    return digest


def maps(session: FakeSession) -> list[str]:
    return sorted(name for _, kind, _, name in session.objects if kind == "ConfigMap")


def test_what_was_applied_comes_back_and_its_state_says_by_whom(session: FakeSession) -> None:
    digest = keep(session, config("b", x="1"), config("a"))
    [state] = applied.states(session, "lab").values()
    assert state.last is not None
    assert (state.last.digest, state.last.record, state.last.by, state.applying) == (digest, "r1", "resources", None)
    assert state.last.at.endswith("Z")
    assert applied.load(session, "lab", "resources", digest) == [config("a"), config("b", x="1")]
    assert applied.states(session, "dev") == {}


def test_it_is_kept_before_the_first_write_and_a_killed_run_is_told_apart(session: FakeSession) -> None:
    first = keep(session, config(x="1"))
    run = applied.keeping(session, "lab", plan(config(x="2")), record="r2", by="resources")
    second = run.__enter__()
    assert applied.load(session, "lab", "resources", second) == [config(x="2")]
    assert run.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is False
    state = applied.states(session, "lab")["resources"]
    assert state.last is not None
    assert state.applying is not None
    assert (state.last.digest, state.applying.digest, state.applying.record) == (first, second, "r2")
    keep(session, config(x="2"), record="r3")
    state = applied.states(session, "lab")["resources"]
    assert ([mark.record for mark in state.applied], state.applying) == (["r3", "r1"], None)


def test_what_cannot_be_kept_is_not_applied(session: FakeSession) -> None:
    session.failing["create ConfigMap applied"] = Forbidden("no right to create ConfigMaps")
    reached = []
    with (
        pytest.raises(Forbidden),
        applied.keeping(session, "lab", plan(config()), record="r1", by="resources"),
    ):
        reached.append(True)
    assert (reached, applied.states(session, "lab")) == ([], {})


def test_the_same_set_is_written_once_and_keeps_its_first_record(session: FakeSession) -> None:
    keep(session, config(), config("b"))
    before = maps(session)
    session.writes.clear()
    keep(session, config("b"), config(), record="r2")
    assert maps(session) == before
    assert [each["metadata"]["name"] for each in session.writes] == ["applied-lab", "applied-lab"]
    assert [mark.record for mark in applied.states(session, "lab")["resources"].applied] == ["r1"]


def test_the_sets_are_immutable_and_never_more_than_ten_of_a_step(session: FakeSession) -> None:
    digests = [keep(session, config(x=str(number)), record=f"r{number:02}") for number in range(12)]
    keep(session, config(), step="bookinfo")
    with applied.keeping(session, "dev", plan(config()), record="r1", by="resources"):
        pass
    keep(session, config(x="last"), record="r99")
    kept = [name for name in maps(session) if name.startswith("applied-lab-resources")]
    assert len(kept) == applied.KEPT
    assert len([name for name in maps(session) if name.startswith("applied-dev")]) == 2
    assert any(name.startswith("applied-lab-bookinfo") for name in maps(session))
    assert applied.load(session, "lab", "resources", digests[0]) is None
    assert applied.load(session, "lab", "resources", digests[-1]) is not None
    assert all(session.objects["v1", "ConfigMap", "meshwright", name]["immutable"] for name in kept)


def test_a_set_that_is_kept_by_an_older_mark_comes_back_as_the_newest(session: FakeSession) -> None:
    for number, text in enumerate("1213"):
        keep(session, config(x=text), record=f"r{number}")
    marks = applied.states(session, "lab")["resources"].applied
    assert [mark.record for mark in marks] == ["r3", "r2", "r1", "r0"]
    assert marks[1].digest == marks[3].digest
    assert len([name for name in maps(session) if name != "applied-lab"]) == 3


def test_a_large_set_is_kept_in_parts(session: FakeSession) -> None:
    noise = random.Random(4).randbytes(2_500_000).hex()
    big = [config(f"c{number}", x=noise[number * 500_000 : (number + 1) * 500_000]) for number in range(10)]
    digest = keep(session, *big)
    names = [name for name in maps(session) if name != "applied-lab"]
    assert len(names) > 1
    for name in names:
        raw = session.objects["v1", "ConfigMap", "meshwright", name]["binaryData"]["objects.json.gz"]
        assert len(base64.b64decode(raw)) <= 900 * 1024
    assert applied.load(session, "lab", "resources", digest) == big
    session.delete("v1", "ConfigMap", names[1], "meshwright")
    assert applied.load(session, "lab", "resources", digest) is None


def test_what_somebody_wrote_in_its_place_is_not_believed(session: FakeSession) -> None:
    digest = keep(session, config())
    [name] = [name for name in maps(session) if name != "applied-lab"]
    there = session.objects["v1", "ConfigMap", "meshwright", name]
    other = applied._parts("lab", "resources", digest, [config(x="theirs")])
    there["binaryData"] = next(other)["binaryData"]
    assert applied.load(session, "lab", "resources", digest) is None
    there["binaryData"] = {"objects.json.gz": "bm90IGd6aXA="}
    assert applied.load(session, "lab", "resources", digest) is None
    session.objects["v1", "ConfigMap", "meshwright", "applied-lab"]["data"]["resources"] = "[]"
    assert applied.states(session, "lab") == {}


def test_no_value_of_a_secret_is_kept(session: FakeSession) -> None:
    plain = base64.b64decode(VALUE).decode()
    digest = keep(session, secret(k=VALUE) | {"stringData": {"p": plain}})
    everything = b"".join(
        gzip.decompress(base64.b64decode(text))
        for obj in session.objects.values()
        for text in (obj.get("binaryData") or {}).values()
    ) + json.dumps(list(session.objects.values())).encode()  # fmt: skip
    assert VALUE.encode() not in everything
    assert plain.encode() not in everything
    [kept] = applied.load(session, "lab", "resources", digest) or []
    # The same value is the same, whichever way it was written.
    assert kept["digests"]["k"] == kept["digests"]["p"]
    assert "data" not in kept
    assert applied.masked(kept) == kept
    assert keep(session, kept) == digest
    assert keep(session, secret(k="b3RoZXI=")) != digest


def test_a_secret_of_another_group_is_none() -> None:
    other = {**secret(k=VALUE), "apiVersion": "example.io/v1"}
    assert applied.masked(other) is other


@given(st.lists(st.text(alphabet="abc", min_size=1), unique=True), st.randoms())
def test_the_order_of_objects_makes_no_other_set(names: list[str], chance: random.Random) -> None:
    objects = [config(name) for name in names]
    shuffled = list(objects)
    chance.shuffle(shuffled)
    assert applied.digest("lab", "resources", objects) == applied.digest("lab", "resources", shuffled)
    assert applied.digest("lab", "resources", objects) != applied.digest("dev", "resources", objects)


@pytest.mark.parametrize("step", ["resources", "My Step", "x/y", "ä"])
def test_any_name_of_a_step_will_do(session: FakeSession, step: str) -> None:
    digest = keep(session, config(), step=step)
    assert applied.states(session, "lab")[step].last is not None
    assert applied.load(session, "lab", step, digest) == [config()]
    for name in maps(session):
        assert name.replace("-", "").isalnum()
        assert name.isascii()
