"""Records in the cluster: immutable, bounded in number and size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright.errors import Forbidden
from meshwright.records import configmaps


@pytest.fixture
def session() -> FakeSession:
    return FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})


def maps(session: FakeSession) -> list[str]:
    return [name for api, kind, _, name in sorted(session.objects) if kind == "ConfigMap"]


def test_an_entry_is_an_immutable_configmap_of_its_own(session: FakeSession, entries: Any) -> None:
    configmaps.write(session, "lab", entries.started())
    configmaps.write(session, "lab", entries.ended())
    assert maps(session) == [f"record-lab-{entries.name}-ended", f"record-lab-{entries.name}-started"]
    found = session.objects["v1", "ConfigMap", "meshwright", f"record-lab-{entries.name}-started"]
    assert found["immutable"] is True
    assert found["metadata"]["labels"]["meshwright/record"] == "lab"
    assert not any("istio.io" in key for key in found["metadata"]["labels"])
    assert {verb.split()[0] for verb in session.asked} == {"create"}


def test_entries_come_back_and_those_of_others_do_not(session: FakeSession, entries: Any) -> None:
    configmaps.write(session, "lab", entries.started())
    configmaps.write(session, "dev", entries.started(id="other"))
    metadata = {"name": "x", "namespace": "meshwright", "labels": {"meshwright/record": "lab"}}
    for data in ({}, {"record.json": "{"}, {"record.json": "[]"}, {"record.json": "{}"}):
        session.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        found, spoilt = configmaps.read(session, "lab")
        assert found == [entries.started()]
        assert [why.partition(": ")[0] for why in spoilt] == ["ConfigMap meshwright/x"] * len(data)


def test_the_fifty_first_record_takes_the_place_of_the_oldest(session: FakeSession, entries: Any) -> None:
    for number in range(51):
        for entry in (entries.started(id=f"r{number:02}"), entries.ended(id=f"r{number:02}")):
            configmaps.write(session, "lab", entry)
            name = f"record-lab-r{number:02}-{entry['entry']}"
            metadata = session.objects["v1", "ConfigMap", "meshwright", name]["metadata"]
            # By the API server's clock, whatever the ids say: the oldest is r50 here.
            metadata["creationTimestamp"] = f"2026-11-22T17:{50 - number:02}:00Z"
    configmaps.write(session, "dev", entries.started(id="old"))
    configmaps.prune(session, "lab")
    kept = {name.split("-")[2] for name in maps(session) if name.startswith("record-lab")}
    assert kept == {f"r{number:02}" for number in range(50)}
    assert "record-dev-old-started" in maps(session)
    assert len(maps(session)) == 101


def test_nothing_is_deleted_while_there_is_room(session: FakeSession, entries: Any) -> None:
    for number in range(50):
        configmaps.write(session, "lab", entries.started(id=f"r{number:02}"))
    configmaps.prune(session, "lab")
    assert len(maps(session)) == 50
    assert not [asked for asked in session.asked if asked.startswith("delete")]


def test_who_may_not_write_is_told(session: FakeSession, entries: Any) -> None:
    session.failing["create ConfigMap"] = Forbidden("context lab may not create ConfigMap (403: no)")
    with pytest.raises(Forbidden):
        configmaps.write(session, "lab", entries.started())


def long(entries: Any, changes: int, size: int) -> dict[str, Any]:
    fields = [{"path": "spec.x", "before": None, "after": "y" * size}]
    rows = [
        {"action": "add", "kind": "VirtualService", "name": f"shop/route-{n}", "fields": fields, "why": ""}
        for n in range(changes)
    ]
    plan = [{"host": "@local", "step": "resources", "known_after": None, "changes": rows}]
    made: dict[str, Any] = entries.started(plan=plan)
    return made


def test_what_fits_is_left_as_it_is(entries: Any) -> None:
    entry = long(entries, 10, 100)
    assert configmaps.bounded(entry) is entry


def test_what_is_too_long_loses_its_fields_first(entries: Any) -> None:
    entry = long(entries, 1000, 1000)
    bounded = configmaps.bounded(entry)
    assert bounded["note"] == "the cluster has no fields of these 1000 changes; the file on the host has them"
    assert [change["name"] for change in bounded["plan"][0]["changes"]] == [f"shop/route-{n}" for n in range(1000)]
    assert entry["plan"][0]["changes"][0]["fields"], "what goes to the file is left whole"


def test_what_is_still_too_long_loses_changes_and_says_how_many(session: FakeSession, entries: Any) -> None:
    configmaps.write(session, "lab", long(entries, 9000, 10))
    [found] = [obj for obj in session.objects.values() if obj["kind"] == "ConfigMap"]
    text = found["data"]["record.json"]
    assert configmaps.LIMIT * 0.98 < len(text) <= configmaps.LIMIT
    entry = json.loads(text)
    kept = len(entry["plan"][0]["changes"])
    assert f"and {9000 - kept} of 9000 changes not at all" in entry["note"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.integers(0, 60), st.integers(0, 300), st.integers(2000, 6000))
def test_it_always_fits(entries: Any, changes: int, size: int, limit: int) -> None:
    bounded = configmaps.bounded({**long(entries, changes, size), "message": "m" * size}, limit)
    assert len(json.dumps(bounded, separators=(",", ":"))) <= limit
