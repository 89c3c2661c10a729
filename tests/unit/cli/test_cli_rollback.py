"""`meshwright rollback`: the plan, the question, what is run, and what the values say afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeTarget

from meshwright import resources, rollback
from meshwright.cli import changing
from meshwright.cli.child import Done
from meshwright.errors import BadInput, Exit, MeshwrightError
from meshwright.plan import Action, Blocked, Change, Plan

DEPLOY = """\
from meshwright import rollback
from meshwright.deploy import run

steps = [rollback.step]

run(steps)
"""
BACK = Plan("resources", "d", (Change(Action.ADD, "ConfigMap", "shop/a"),), checked=1)
FORTH = Plan("resources", "d", (Change(Action.DESTROY, "ConfigMap", "shop/a"),), checked=1)


@pytest.fixture
def runs(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The deploys that are run instead of pyinfra."""
    (host.project.root / "deploys" / "rollback.py").write_text(DEPLOY)
    ran: list[tuple[Any, ...]] = []

    def run_deploy(_project: object, environment: str, deploy: str, data: dict[str, str], **_: object) -> Done:
        ran.append((environment, deploy, data))
        return Done(steps=[{"step": "rollback", "state": "changed", "seconds": 1.0}])

    monkeypatch.setattr(changing, "run_deploy", run_deploy)
    plans(monkeypatch)
    return ran


def plans(monkeypatch: pytest.MonkeyPatch, back: Any = BACK, forth: Any = FORTH) -> None:
    def given(answer: Any) -> Any:
        def plan(*_: Any) -> Plan:
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Plan)
            return answer

        return plan

    monkeypatch.setattr(rollback, "step", replace(rollback.step, plan=given(back), cluster=False))
    monkeypatch.setattr(resources, "apply_all", replace(resources.apply_all, plan=given(forth)))


def test_the_plan_alone(run: Any, runs: list[Any]) -> None:
    ran = run("rollback", "lab", "--plan")
    assert (ran.code, runs) == (Exit.OK, [])
    assert ran.out.splitlines()[-1] == "Plan: 1 to add, 0 to change, 0 to destroy."


def test_it_is_done_and_what_the_values_would_do_is_said(run: Any, runs: list[Any]) -> None:
    ran = run("rollback", "lab", "--to", "2026", "--yes", "--reason", "42", "--adopt", "ConfigMap/shop/a")
    assert ran.code == Exit.OK
    [(environment, deploy, data)] = runs
    assert (environment, deploy) == ("lab", "rollback")
    assert data["approved"].startswith("sha256:")
    # As JSON: pyinfra would read a number.
    assert (data["to"], data["reason"], data["adopt"]) == ('"2026"', '"42"', "ConfigMap/shop/a")
    assert "the next apply of the values would do this: - ConfigMap shop/a" in ran.err


def test_json_is_one_document(run: Any, runs: list[Any]) -> None:
    document = run("rollback", "lab", "--yes", "--json").document
    assert (document["ok"], document["summary"]["add"], document["summary"]["changed"]) == (True, 1, 1)
    assert [change["name"] for change in document["pending"]] == ["shop/a"]


def test_nothing_to_do(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plans(monkeypatch, back=Plan("resources", "d", checked=1))
    assert (run("rollback", "lab").code, runs) == (Exit.OK, [])
    assert run("rollback", "lab", "--json").document["steps"] == []


def test_nobody_there_to_answer(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert (run("rollback", "lab").code, runs) == (Exit.USAGE, [])


def test_what_is_blocked_is_refused_after_it_was_shown(
    run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = replace(BACK.changes[0], action=Action.CHANGE, blocked=Blocked("data.k is of kubectl-edit", "Adopt it"))
    plans(monkeypatch, back=replace(BACK, changes=(blocked,)))
    ran = run("rollback", "lab", "--yes")
    assert (ran.code, runs) == (Exit.REFUSED, [])
    assert "! data.k is of kubectl-edit" in ran.out
    assert run("rollback", "lab", "--plan").code == Exit.OK


def test_a_record_that_is_not_known(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plans(monkeypatch, back=BadInput("no record begins with 'x'", hint="Kept is ..."))
    ran = run("rollback", "lab", "--to", "x")
    assert (ran.code, runs) == (Exit.BAD_INPUT, [])


def test_values_that_are_wrong_do_not_undo_it(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plans(monkeypatch, forth=MeshwrightError("my/a.yaml:1: kind is missing"))
    ran = run("rollback", "lab", "--yes")
    assert ran.code == Exit.OK
    assert "could not be found out: my/a.yaml:1: kind is missing" in ran.err
