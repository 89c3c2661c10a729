"""The history of an environment, from file and cluster, and how runs without an end stand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment
from living import dead

from meshwright import cluster
from meshwright.cluster import State, View
from meshwright.errors import Forbidden, Unreachable
from meshwright.records import Result, configmaps, file
from meshwright.records.history import History, of

AWAY = "laptop/another-boot/1/7/8"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def lease(session: FakeSession, holder: str, seconds_ago: int = 5) -> None:
    renewed = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    session.put(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "meshwright", "namespace": "meshwright"},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": 60,
                "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }
    )


def results(history: History) -> list[Result]:
    return [record.result for record in history.records]


def test_file_and_cluster_are_one_history(host: FakeTarget, session: FakeSession, entries: Any) -> None:
    file.append(host, "lab", entries.started())
    file.append(host, "lab", entries.ended())
    configmaps.write(session, "lab", entries.started())
    configmaps.write(session, "lab", entries.ended())
    configmaps.write(session, "lab", entries.started(id="theirs", at="2026-11-23T00:00:00.000Z"))
    configmaps.write(session, "lab", entries.ended(id="theirs", result="failed"))
    history = of([host], environment())
    assert [(record.id, record.result) for record in history.records] == [
        ("theirs", Result.FAILED),
        (entries.name, Result.OK),
    ]
    assert (history.not_asked, history.cut) == ("", 0)


@pytest.mark.parametrize("error", [Unreachable("no answer"), Forbidden("context lab may not list ConfigMap")])
def test_a_cluster_that_cannot_be_asked_leaves_the_file(
    host: FakeTarget, session: FakeSession, entries: Any, error: Any
) -> None:
    file.append(host, "lab", entries.started())
    file.append(host, "lab", entries.ended())
    session.failing["list ConfigMap"] = error
    history = of([host], environment())
    assert results(history) == [Result.OK]
    assert history.not_asked == error.message


def test_a_cluster_that_is_not_there_leaves_the_file(
    host: FakeTarget, monkeypatch: pytest.MonkeyPatch, entries: Any
) -> None:
    monkeypatch.setattr(cluster, "view", lambda _target, _env: View(State.ABSENT))
    file.append(host, "lab", entries.ended())
    history = of([host], environment())
    assert results(history) == [Result.OK]
    assert history.not_asked.startswith("the cluster of lab (mw-lab-")
    assert history.not_asked.endswith("is absent")


def test_a_run_of_this_machine_lives_while_its_process_does(
    host: FakeTarget, session: FakeSession, entries: Any, here: str
) -> None:
    file.append(host, "lab", entries.started(holder=here))
    assert results(of([host], environment())) == [Result.RUNNING]
    file.append(host, "lab", entries.started(id="dead", holder=str(dead())))
    assert {record.id: record.result for record in of([host], environment()).records} == {
        entries.name: Result.RUNNING,
        "dead": Result.INTERRUPTED,
    }


def test_a_run_of_this_machine_is_seen_without_the_cluster(
    host: FakeTarget, session: FakeSession, entries: Any, here: str
) -> None:
    session.failing["list"] = Unreachable("no answer")
    file.append(host, "lab", entries.started(holder=here))
    assert results(of([host], environment())) == [Result.RUNNING]


@pytest.mark.parametrize(
    ("held", "ago", "result"),
    [
        (AWAY, 5, Result.RUNNING),
        (AWAY, 61, Result.INTERRUPTED),
        ("", 5, Result.INTERRUPTED),
        ("somebody/else/1/2/3", 5, Result.INTERRUPTED),
    ],
)
def test_a_run_of_another_machine_lives_while_it_has_the_lease(
    host: FakeTarget, session: FakeSession, entries: Any, held: str, ago: int, result: Result
) -> None:
    configmaps.write(session, "lab", entries.started(holder=AWAY))
    lease(session, held, ago)
    assert results(of([host], environment())) == [result]


def test_without_any_lease_nobody_runs(host: FakeTarget, session: FakeSession, entries: Any) -> None:
    configmaps.write(session, "lab", entries.started(holder=AWAY))
    assert results(of([host], environment())) == [Result.INTERRUPTED]


def test_what_cannot_be_seen_is_unknown(host: FakeTarget, session: FakeSession, entries: Any) -> None:
    session.failing["list"] = Unreachable("no answer")
    file.append(host, "lab", entries.started(holder=AWAY))
    assert results(of([host], environment())) == [Result.UNKNOWN]


def test_cut_lines_are_counted(host: FakeTarget, session: FakeSession, entries: Any) -> None:
    file.append(host, "lab", entries.ended())
    with Path(file.path(host, "lab")).open("a") as out:
        out.write('{"id": "x", "ent')
    history = of([host], environment())
    assert (len(history.records), history.cut) == (1, 1)
