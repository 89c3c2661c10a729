"""`meshwright history`, and `--reason`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, Object
from fakesteps import fill
from living import dead

from meshwright import cluster
from meshwright.cli import child
from meshwright.errors import Exit, Unreachable
from meshwright.project import Project
from meshwright.promotion import kept
from meshwright.records import configmaps, file
from meshwright.release import Release, short

AWAY = "laptop/another-boot/1/7/8"


def change(action: str, name: str) -> Object:
    field = {"path": "spec.replicas", "before": 1, "after": 2}
    return {"action": action, "kind": "Deployment", "name": name, "fields": [field], "why": ""}


def started(number: int, holder: str = AWAY, **over: Any) -> Object:
    changes = [change("add", "a/b"), change("change", "a/c"), change("recreate", "a/d")]
    entry: Object = {
        "id": f"20261122-1710{number:02}-abcdef",
        "entry": "started",
        "at": f"2026-11-22T17:10:{number:02}.320Z",
        "environment": "lab",
        "holder": holder,
        "who": {"user": "root", "sudo_user": "op", "machine": "laptop", "kubernetes": "system:admin"},
        "commit": {"id": "0123456789abcdef", "dirty": True},
        "reason": "the audit",
        "approved": "sha256:1",
        "program": "meshwright",
        "deploy": "site",
        "steps": ["istio"],
        "cluster": "uid",
        "plan": [{"host": "@local", "step": "istio", "known_after": None, "changes": changes}],
    }
    return entry | over


def ended(number: int, **over: Any) -> Object:
    check = {
        "group": "g",
        "check": "pods-ready",
        "state": "failed",
        "fatal": True,
        "detail": "2 are not",
        "seconds": 1.0,
    }
    entry: Object = {
        "id": f"20261122-1710{number:02}-abcdef",
        "entry": "ended",
        "at": f"2026-11-22T17:11:{number:02}.320Z",
        "result": "failed",
        "message": "it did not become ready",
        "hint": "Look at its pods",
        "steps": [{"host": "@local", "step": "istio", "state": "failed", "seconds": 59.96}],
        "plan": [],
        "checks": [check, {**check, "state": "ok"}],
    }
    return entry | over


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def test_nothing_yet(run: Any, session: FakeSession) -> None:
    ran = run("history", "lab")
    assert (ran.code, ran.out) == (Exit.OK, "no run has changed lab yet, as far as is known\n")


def test_a_table_newest_first(run: Any, host: FakeTarget, session: FakeSession) -> None:
    file.append(host, "lab", started(1))
    file.append(host, "lab", ended(1))
    file.append(host, "lab", started(2, holder=str(dead()), commit=None, deploy="", who={}, plan=[]))
    configmaps.write(session, "lab", started(3))
    configmaps.write(session, "lab", ended(3, result="ok", message=""))
    ran = run("history", "lab")
    assert ran.code == Exit.OK
    assert ran.out.splitlines() == [
        "id                      when (UTC)        who        deploy  result       +  ~  -  seconds  commit",
        "20261122-171003-abcdef  2026-11-22 17:10  op@laptop  site    ok           2  1  1     60.0  0123456*",
        "20261122-171002-abcdef  2026-11-22 17:10  ?@?        -       interrupted  0  0  0        -  -",
        "20261122-171001-abcdef  2026-11-22 17:10  op@laptop  site    failed       2  1  1     60.0  0123456*",
    ]
    assert ran.err == ""


def test_a_cluster_that_does_not_answer_is_said_and_the_file_is_shown(
    run: Any, host: FakeTarget, session: FakeSession
) -> None:
    file.append(host, "lab", started(1))
    session.failing["list ConfigMap"] = Unreachable("the API server at https://127.0.0.1:6443 cannot be reached")
    ran = run("history", "lab")
    assert ran.code == Exit.OK
    assert ran.out.splitlines()[1].split()[5] == "unknown"
    why = "the API server at https://127.0.0.1:6443 cannot be reached"
    assert ran.err == f"the cluster was not asked: {why}\n"
    assert run("history", "lab", "--json").document["cluster"] == {"asked": False, "why": why}


def test_a_line_that_a_kill_has_cut_is_said(run: Any, host: FakeTarget, session: FakeSession) -> None:
    file.append(host, "lab", started(1))
    with Path(file.path(host, "lab")).open("a") as out:
        out.write('{"id": "2026')
    ran = run("history", "lab")
    assert len(ran.out.splitlines()) == 2
    why = "it is cut, because a run was killed while it wrote it"
    assert f"left out: {file.path(host, 'lab')}:2: {why}\nhint: what is left out spoils no other" in ran.err


def test_the_limit_is_on_the_newest(run: Any, host: FakeTarget, session: FakeSession) -> None:
    for number in range(30):
        file.append(host, "lab", ended(number))
    ran = run("history", "lab")
    assert len(ran.out.splitlines()) == 21
    assert "10 older records are not shown; --limit shows more" in ran.err
    ran = run("history", "lab", "--limit", "2", "--json")
    assert [record["id"][13:15] for record in ran.document["records"]] == ["29", "28"]
    assert ran.document["summary"] == {"checked": 30, "shown": 2, "cut": 0}
    assert run("history", "lab", "--limit", "0").code == Exit.USAGE


def test_one_record_whole(run: Any, host: FakeTarget, session: FakeSession) -> None:
    file.append(host, "lab", started(1))
    file.append(host, "lab", ended(1))
    ran = run("history", "lab", "20261122")
    assert ran.code == Exit.OK
    assert ran.out.splitlines() == [
        "20261122-171001-abcdef: failed: it did not become ready",
        "  hint     Look at its pods",
        "  when     2026-11-22 17:10:01 UTC to 17:11:01 (60.0 s)",
        "  who      root on laptop, by sudo from op, system:admin in the cluster",
        "  why      the audit",
        "  what     deploy site, by meshwright",
        "  commit   0123456789abcdef, and changes that were not in it",
        "  approved sha256:1",
        "  cluster  uid",
        "  steps    istio: failed (60.0 s)",
        "  checks   2 made, 1 of them not ok",
        "           pods-ready: failed: 2 are not",
        "istio:",
        "  + Deployment a/b",
        "      spec.replicas: 2",
        "  ~ Deployment a/c",
        "      spec.replicas: 1 -> 2",
        "  -/+ Deployment a/d",
        "      spec.replicas: 1 -> 2",
        "Plan: 2 to add, 1 to change, 1 to destroy.",
    ]


def test_a_record_that_was_cut_to_fit_says_so(run: Any, session: FakeSession) -> None:
    configmaps.write(session, "lab", started(1, note="the cluster has no fields of these 3 changes"))
    assert "  note: the cluster has no fields of these 3 changes" in run("history", "lab", "2026").out.splitlines()


def test_one_record_as_json(run: Any, host: FakeTarget, session: FakeSession) -> None:
    file.append(host, "lab", started(1))
    file.append(host, "lab", started(2))
    document = run("history", "lab", "20261122-171002", "--json").document
    [record] = document["records"]
    assert (document["command"], record["id"], record["result"]) == ("history", "20261122-171002-abcdef", "interrupted")
    assert record["summary"] == {"add": 2, "change": 1, "destroy": 1}


def test_a_beginning_that_no_record_or_several_have(run: Any, host: FakeTarget, session: FakeSession) -> None:
    ran = run("history", "lab", "x")
    assert (ran.code, ran.err) == (Exit.BAD_INPUT, "error: no record begins with 'x'\nhint: There are none\n")
    for number in (1, 2):
        file.append(host, "lab", started(number))
    ran = run("history", "lab", "x")
    assert ran.err.splitlines()[1] == "hint: The newest are 20261122-171002-abcdef, 20261122-171001-abcdef"
    ran = run("history", "lab", "2026")
    assert ran.code == Exit.BAD_INPUT
    assert ran.err.splitlines() == [
        "error: 2 records begin with '2026'",
        "hint: Say more of it: 20261122-171002-abcdef, 20261122-171001-abcdef",
    ]


def test_history_asks_nothing_to_be_written(run: Any, host: FakeTarget, session: FakeSession) -> None:
    run("history", "lab")
    assert {asked.split()[0] for asked in session.asked} == {"list", "get"}
    assert not Path(file.path(host, "lab")).exists()


@pytest.mark.parametrize("reason", ["the audit", "true", "42", '{"a": 1}', 'it\'s "so"', "sha256:1", "zwölf"])
def test_a_reason_comes_through_as_it_was_typed(meshwright: Any, project: Project, reason: str) -> None:
    fill(project, "make('tools')")
    assert meshwright("apply", "lab", "--yes", "--reason", reason).code == Exit.OK
    lines = (project.root / ".meshwright" / "lab" / "records.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert (first["reason"], first["program"], first["deploy"]) == (reason, "meshwright", "site")
    assert first["approved"].startswith("sha256:")
    assert (last["entry"], last["result"]) == ("ended", "ok")


def test_without_a_reason_none_is_passed(meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project, "make('tools')")
    passed: list[dict[str, str]] = []
    begun = child.run_deploy

    def run_deploy(*args: Any, **options: Any) -> Any:
        passed.append(args[3])
        return begun(*args, **options)

    monkeypatch.setattr("meshwright.cli.changing.run_deploy", run_deploy)
    meshwright("apply", "lab", "--yes")
    assert [set(each) for each in passed] == [{"approved"}]


def test_what_changed_between_two_runs(run: Any, host: FakeTarget, session: FakeSession) -> None:
    first, second = (Release({"istio": {"version": version}}) for version in ("1.30.2", "1.30.3"))
    for number, release in ((1, first), (3, second)):
        kept.keep(host, "lab", release)
        file.append(host, "lab", started(number, release=release.digest), ended(number))
    file.append(host, "lab", started(2), ended(2))
    ran = run("history", "lab", "20261122-171003", "20261122-171001")
    assert ran.code == Exit.OK, ran.err
    lines = ran.out.splitlines()
    ends = [f"20261122-17100{n}-abcdef ({short(each.digest)})" for n, each in ((1, first), (3, second))]
    assert lines[0] == f"from {ends[0]} to {ends[1]}"
    assert lines[1:3] == ["  ~ istio", "      version: 1.30.2 -> 1.30.3"]
    assert [line.split()[0] for line in lines[5:]] == [f"20261122-17100{n}-abcdef" for n in (3, 2, 1)]
    said = run("history", "lab", "20261122-171001", "20261122-171003", "--json").document
    assert said["differences"][0]["changes"] == [{"what": "version", "before": "1.30.2", "after": "1.30.3"}]
    none = run("history", "lab", "20261122-171001", "20261122-171002")
    assert none.code == Exit.BAD_INPUT
    assert "20261122-171002-abcdef has no release" in none.err
    (host.project.root / ".meshwright" / "lab" / "releases.json").unlink()
    assert "is no longer kept" in run("history", "lab", "20261122-171001", "20261122-171003").err
    assert f"release  {first.digest}" in run("history", "lab", "20261122-171001").out
