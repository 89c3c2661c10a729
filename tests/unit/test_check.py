"""The runner of checks: what counts as true, false and not found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes import FakeTarget, environment

from meshwright import check
from meshwright.check import Check, Failed, NotVerified, Result, State
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.target import Target

ENV = environment()
Find = Callable[[Target, Environment], str]


def says(outcome: str | Exception) -> Find:
    def find(_target: Target, _env: Environment) -> str:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return find


def one(find: Find, anchor: str = "a", *, fatal: bool = True, retry: float = 0, needs: tuple[str, ...] = ()) -> Check:
    return Check("cluster", "all is well", find, anchor, "Do that", fatal, retry, needs)


def run(host: FakeTarget, *checks: Check) -> list[Result]:
    return list(check.run(checks, host, ENV, pause=0.01))


@pytest.mark.parametrize(
    ("outcome", "fatal", "state", "ends_the_run"),
    [
        ("3 nodes", True, State.OK, False),
        (Failed("one is not"), True, State.FAILED, True),
        (Failed("one is not"), False, State.WARNING, False),
        (MeshwrightError("it broke"), True, State.FAILED, True),
        (MeshwrightError("it broke"), False, State.WARNING, False),
        (NotVerified("nobody answered"), True, State.NOT_VERIFIED, True),
        (NotVerified("nobody answered"), False, State.NOT_VERIFIED, False),
        (Unreachable("no answer"), True, State.NOT_VERIFIED, True),
        (Forbidden("no right"), True, State.NOT_VERIFIED, True),
        (Forbidden("no right"), False, State.NOT_VERIFIED, False),
    ],
)
def test_how_a_look_ends(
    host: FakeTarget, outcome: str | Exception, fatal: bool, state: State, ends_the_run: bool
) -> None:
    [result] = run(host, one(says(outcome), fatal=fatal))
    assert (result.state, result.fatal, result.detail) == (state, ends_the_run, str(outcome))


def test_a_defect_of_ours_is_not_swallowed(host: FakeTarget) -> None:
    with pytest.raises(ZeroDivisionError):
        run(host, one(says(ZeroDivisionError())))


def test_a_failed_look_is_repeated_until_its_deadline(host: FakeTarget) -> None:
    looks: Iterator[str | Exception] = iter([Failed("not yet"), Failed("not yet"), "there"])

    def find(target: Target, env: Environment) -> str:
        return says(next(looks))(target, env)

    [result] = run(host, one(find, retry=5))
    assert (result.state, result.detail) == (State.OK, "there")
    assert result.seconds < 5


def test_a_look_that_goes_on_failing_ends_with_its_last_reason(host: FakeTarget) -> None:
    looks: list[int] = []

    def find(_target: Target, _env: Environment) -> str:
        looks.append(1)
        raise Failed(f"look {len(looks)}")

    [result] = run(host, one(find, retry=0.1))
    assert result.state is State.FAILED
    assert len(looks) > 2
    assert result.detail == f"look {len(looks)}"
    assert 0.05 < result.seconds < 1


def test_without_retry_there_is_one_look(host: FakeTarget) -> None:
    looks: list[int] = []

    def find(_target: Target, _env: Environment) -> str:
        looks.append(1)
        raise Failed("no")

    run(host, one(find))
    assert len(looks) == 1


def test_what_cannot_be_found_out_is_not_asked_again(host: FakeTarget) -> None:
    looks: list[int] = []

    def find(_target: Target, _env: Environment) -> str:
        looks.append(1)
        raise Unreachable("no answer")

    run(host, one(find, retry=5))
    assert len(looks) == 1


def test_what_rests_on_a_failed_check_is_not_looked_at(host: FakeTarget) -> None:
    never: list[int] = []

    def look(_target: Target, _env: Environment) -> str:
        never.append(1)
        return ""

    first, second, third = run(
        host,
        one(says(Failed("down")), "api"),
        one(look, "pods", needs=("api",)),
        one(look, "proxies", needs=("pods",)),
    )
    assert first.state is State.FAILED
    assert (second.state, second.detail) == (State.NOT_VERIFIED, "not looked at, because api does not hold")
    assert (third.state, third.detail) == (State.NOT_VERIFIED, "not looked at, because pods does not hold")
    assert second.fatal
    assert never == []


def test_a_warning_too_stops_what_rests_on_it(host: FakeTarget) -> None:
    _, second = run(host, one(says(Failed("no")), "api", fatal=False), one(says(""), "pods", needs=("api",)))
    assert second.state is State.NOT_VERIFIED


def test_what_rests_on_a_check_that_holds_is_looked_at(host: FakeTarget) -> None:
    results = run(host, one(says(""), "api"), one(says("2 pods"), "pods", needs=("api",)))
    assert [result.state for result in results] == [State.OK, State.OK]


def test_a_check_that_does_not_apply_is_not_in_the_results(host: FakeTarget) -> None:
    never = Check("sample", "it answers", says(""), "sample", "", applies=lambda env: env.name == "other")
    assert run(host, never) == []


def test_results_come_one_by_one(host: FakeTarget) -> None:
    def late(_target: Target, _env: Environment) -> str:
        raise AssertionError("looked at too early")

    results = check.run([one(says("first"), "a"), one(late, "b")], host, ENV)
    assert next(results).detail == "first"


def test_the_json_of_a_result() -> None:
    checked = one(says(""))
    assert Result(checked, State.FAILED, "one is not", 0.12345).as_json() == {
        "group": "cluster",
        "check": "a",
        "claim": "all is well",
        "state": "failed",
        "fatal": True,
        "detail": "one is not",
        "hint": "Do that",
        "docs": "docs/checks.md#a",
        "seconds": 0.123,
    }
    assert Result(checked, State.OK, "", 1).as_json()["hint"] == ""


def test_a_hint_names_values_of_the_environment(host: FakeTarget) -> None:
    checked = Check("host", "it is", says(Failed("no")), "a", "Run `meshwright apply {env.name} {env.istio.namespace}`")
    [result] = run(host, checked)
    assert result.check.hint == "Run `meshwright apply lab istio-system`"
    assert result.as_json()["hint"] == "Run `meshwright apply lab istio-system`"
