"""`meshwright check`: what it prints, and what it ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshwright import checks
from meshwright.check import Check, Failed, NotVerified
from meshwright.cli import check as command
from meshwright.errors import Exit


def one(anchor: str, outcome: str | Exception, group: str = "cluster", **more: Any) -> Check:
    def find(_target: object, _env: object) -> str:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Check(group, f"{anchor} is well", find, anchor, "See {env.name}", **more)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def listed(*made: Check) -> None:
        monkeypatch.setattr(checks, "CHECKS", made)

    return listed


def test_results_as_they_come(run: Any, listed: Callable[..., None]) -> None:
    listed(
        one("a", "3 nodes"),
        one("b", Failed("one is not"), fatal=False),
        one("c", Failed("two are not"), group="sample"),
        one("d", "", group="sample", needs=("c",)),
    )
    ran = run("check", "lab")
    assert ran.code == Exit.ERROR
    assert ran.out.splitlines() == [
        "cluster",
        "  ok           a is well: 3 nodes",
        "  warning      b is well: one is not",
        "               hint: See lab",
        "               docs: docs/checks.md#b",
        "sample",
        "  failed       c is well: two are not",
        "               hint: See lab",
        "               docs: docs/checks.md#c",
        "  not verified d is well: not looked at, because c does not hold",
        "4 checks: 1 ok, 1 warning, 1 failed, 1 not verified.",
    ]


def test_warnings_alone_are_fine(run: Any, listed: Callable[..., None]) -> None:
    listed(one("a", "x"), one("b", Failed("no"), fatal=False), one("c", NotVerified("?"), fatal=False))
    assert run("check", "lab").code == Exit.OK


def test_what_could_not_be_looked_at_is_an_error(run: Any, listed: Callable[..., None]) -> None:
    listed(one("a", NotVerified("nobody answers")))
    assert run("check", "lab").code == Exit.ERROR


def test_no_checks_are_no_success(run: Any, listed: Callable[..., None]) -> None:
    listed(one("a", "x", applies=lambda _env: False))
    ran = run("check", "lab")
    assert (ran.code, ran.err.splitlines()[0]) == (
        Exit.ERROR,
        "error: 0 checks apply to lab, so nothing is known to hold",
    )


def test_json(run: Any, listed: Callable[..., None]) -> None:
    listed(one("a", "3 nodes"), one("b", Failed("one is not")))
    ran = run("check", "lab", "--json")
    document = ran.document
    assert (ran.code, document["ok"], document["command"], document["environment"]) == (1, False, "check", "lab")
    assert document["summary"] == {"checked": 2, "ok": 1, "warning": 0, "failed": 1, "not_verified": 0}
    assert [(c["check"], c["state"], c["hint"], c["docs"]) for c in document["checks"]] == [
        ("a", "ok", "", "docs/checks.md#a"),
        ("b", "failed", "See lab", "docs/checks.md#b"),
    ]


def test_one_group(run: Any, listed: Callable[..., None]) -> None:
    listed(one("a", "x"), one("b", "x", group="sample"), one("c", "x", group="ingress", needs=("a",)))
    ran = run("check", "lab", "--group", "ingress")
    assert [line for line in ran.out.splitlines() if not line.startswith(" ")] == [
        "cluster",
        "ingress",
        "2 checks: 2 ok.",
    ]


def test_an_unknown_group(run: Any) -> None:
    ran = run("check", "lab", "--group", "nope")
    assert (ran.code, "'host', 'tools', 'cluster'" in ran.err) == (Exit.USAGE, True)


def test_an_unknown_environment(run: Any) -> None:
    ran = run("check", "labb", "--json")
    assert ran.code == Exit.BAD_INPUT
    assert ran.document["error"]["exit"] == Exit.BAD_INPUT
    assert "the nearest is lab" in ran.err


def test_marks_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshwright.check import Result, State

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    marks = {state: next(iter(command.lines(Result(one("a", ""), state, "d", 0.1)))).split()[0] for state in State}
    assert marks == {State.OK: "√", State.WARNING: "‼", State.FAILED: "×", State.NOT_VERIFIED: "?"}
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[32m√" in next(iter(command.lines(Result(one("a", ""), State.OK, "", 0.1))))
