"""A run and the windows of its environment, at the edges of both."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeTarget, environment

from meshwright import cluster
from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan
from meshwright.records import Record, Result, file
from meshwright.records import history as histories
from meshwright.records.model import joined
from meshwright.step import Step
from meshwright.target import Target
from meshwright.windows import gate
from meshwright.windows.timing import expected

NIGHTS = {"timezone": "Europe/Berlin", "allow": {"nights": {"weekly": "mon-thu 22:00-04:00"}}}
AGAIN = "The next opening is Tue 2026-11-24 22:00 CET to Wed 2026-11-25 04:00 CET (nights). "
OVERRIDE = "run it with --override --reason TEXT"


class Clocks:
    """Both clocks: `pass_by` moves both, as time does; `set` moves the wall clock alone."""

    def __init__(self) -> None:
        # Monday; in Berlin it is one hour later.
        self.wall = dt.datetime(2026, 11, 23, 23, 0, tzinfo=dt.UTC)
        self.elapsed = 1000.0

    def set(self, text: str) -> None:
        self.wall = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)

    def pass_by(self, **time: float) -> None:
        self.wall += dt.timedelta(**time)
        self.elapsed += dt.timedelta(**time).total_seconds()


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(gate, "now", lambda: made.wall)
    monkeypatch.setattr(gate, "elapsed", lambda: made.elapsed)
    return made


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    monkeypatch.setattr(cluster, "no_session", lambda _target, _env: "there is none")


class World:
    """Steps that each take a time and are done once."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.done: list[str] = []
        self.takes: dict[str, dict[str, float]] = {}

    def step(self, name: str, *, points: int = 0, **rest: Any) -> Step:
        def plan(_target: Target, _env: Environment) -> Plan:
            changes = () if name in self.done else (Change(Action.ADD, "Thing", name),)
            return Plan(name, f"desired {name}", changes, checked=1)

        def apply(target: Target, _env: Environment, _plan: Plan) -> None:
            for point in range(points):
                self.clocks.pass_by(**self.takes.get(name, {}))
                self.done.append(f"{name} {point}")
                target.shared.safe_point(f"{name} {point}")
            if not points:
                self.clocks.pass_by(**self.takes.get(name, {}))
            self.done.append(name)

        return Step(name, plan, apply, cluster=False, **rest)

    def checking(self) -> Step:
        return Step("check", lambda _t, _e: Plan("check", "d"), lambda *_: self.done.append("check"), check=True)


@pytest.fixture
def world(clocks: Clocks) -> World:
    return World(clocks)


Begin = Callable[..., Execution]


@pytest.fixture
def begin(host: FakeTarget) -> Begin:
    def begin(*steps: Step, windows: Any = NIGHTS, env: Environment | None = None, **options: Any) -> Execution:
        return Execution(host, env or environment(windows=windows), steps, Options(**options))

    return begin


def run(execution: Execution, *, preview: bool = True) -> None:
    try:
        if preview:
            execution.preview()
        for step in execution.steps:
            plan = execution.begin(step)
            if not plan.empty or step.check:
                execution.apply(step, plan)
    finally:
        execution.end()


def record(host: FakeTarget) -> Record:
    """The newest record on the host."""
    entries, _ = file.read(host, "lab")
    return joined(entries, lambda _holder: Result.UNKNOWN)[0]


def earlier(monkeypatch: pytest.MonkeyPatch, *runs: dict[str, float], started: str = "2026-11-20T00:00:00Z") -> None:
    """The records of earlier runs, newest first, with what each step took."""
    made = tuple(
        joined(
            [
                {"id": "r", "entry": "started", "at": started},
                {
                    "id": "r",
                    "entry": "ended",
                    "at": started,
                    "result": "ok",
                    "steps": [
                        {"host": "@local", "step": step, "state": "changed", "seconds": seconds}
                        for step, seconds in took.items()
                    ],
                },
            ],
            lambda _: Result.UNKNOWN,
        )[0]
        for took in runs
    )
    monkeypatch.setattr(histories, "of", lambda _targets, _env: histories.History(made, "", ()))


# Open or closed


def test_in_a_window_it_runs_and_the_record_says_which(
    world: World, begin: Begin, host: FakeTarget, clocks: Clocks
) -> None:
    run(begin(world.step("a"), world.checking()))
    assert world.done == ["a", "check"]
    assert record(host).window == "open until Tue 2026-11-24 04:00 CET (nights)"
    assert record(host).override is False


def test_an_environment_without_windows_is_always_open(world: World, begin: Begin, host: FakeTarget) -> None:
    run(begin(world.step("a"), windows=None))
    assert (world.done, record(host).window) == (["a"], "")


@pytest.mark.parametrize("preview", [True, False])
def test_outside_it_is_refused_with_the_next_opening(
    world: World, begin: Begin, host: FakeTarget, clocks: Clocks, preview: bool
) -> None:
    clocks.set("2026-11-24T12:00")
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a"), world.checking()), preview=preview)
    assert caught.value.message == "lab is closed for changes: no window is open"
    assert caught.value.hint == f"{AGAIN}Wait for it, or {OVERRIDE}"
    assert caught.value.exit_code == Exit.REFUSED
    assert world.done == []
    assert host.read(file.path(host, "lab")) is None


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-11-23T20:59:59", False),
        ("2026-11-23T21:00:00", True),
        ("2026-11-24T02:59:59", True),
        ("2026-11-24T03:00:00", False),
    ],
)
def test_the_first_instant_is_in_and_the_last_is_out(
    world: World, begin: Begin, clocks: Clocks, at: str, open_: bool
) -> None:
    clocks.set(at)
    execution = begin(world.step("a"))
    execution.preview()
    if open_:
        execution.admit()
    else:
        with pytest.raises(Refused, match="closed for changes"):
            execution.admit()
    execution.end()


def test_a_blackout_is_named(world: World, begin: Begin, clocks: Clocks) -> None:
    windows = {**NIGHTS, "blackouts": ["2026-11-24"]}
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a"), windows=windows))
    assert caught.value.message == "lab is closed for changes: blackout 2026-11-24"
    assert "The next opening is Wed 2026-11-25 00:00 CET" in caught.value.hint


def test_nothing_to_change_is_never_refused(world: World, begin: Begin, clocks: Clocks) -> None:
    clocks.set("2026-11-24T12:00")
    world.done.append("a")
    execution = begin(world.step("a"), world.checking())
    execution.preview()
    execution.admit()
    run(execution)
    assert world.done == ["a", "check"]


def test_looking_is_never_refused(world: World, begin: Begin, clocks: Clocks) -> None:
    clocks.set("2026-11-24T12:00")
    execution = begin(world.step("a"))
    [plan] = execution.preview()
    assert len(plan.changes) == 1
    execution.end()


# Overriding


def test_an_override_is_recorded_with_its_reason(world: World, begin: Begin, host: FakeTarget, clocks: Clocks) -> None:
    clocks.set("2026-11-24T12:00")
    run(begin(world.step("a"), override=True, reason="ticket 4711"))
    assert world.done == ["a"]
    found = record(host)
    assert (found.override, found.reason, found.window) == (
        True,
        "ticket 4711",
        "closed: no window is open; overridden",
    )
    assert found.as_json()["override"] is True


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_override_without_a_reason_is_a_usage_error(reason: str) -> None:
    with pytest.raises(MeshwrightError, match=r"^an override needs a reason") as caught:
        Options.of({"override": True, "reason": reason})
    assert caught.value.exit_code == Exit.USAGE
    assert Options.of({"override": True, "reason": "r"}).override


def test_an_overridden_run_does_not_stop_at_the_end_of_a_window(world: World, begin: Begin, clocks: Clocks) -> None:
    world.takes["a"] = {"hours": 9}
    run(begin(world.step("a", points=2), world.step("b"), override=True, reason="r"))
    assert world.done == ["a 0", "a 1", "a", "b"]


def test_a_step_that_leads_back_is_never_refused_and_recorded(
    world: World, begin: Begin, host: FakeTarget, clocks: Clocks
) -> None:
    clocks.set("2026-11-24T12:00")
    execution = begin(world.step("rollback", safe=True, points=1), world.checking())
    execution.preview()
    execution.admit()
    run(execution)
    assert world.done == ["rollback 0", "rollback", "check"]
    assert record(host).window == "closed: no window is open; rollback is never refused by a window"


# The end of a window


def test_a_run_that_meets_the_end_stops_between_two_steps(
    world: World, begin: Begin, host: FakeTarget, clocks: Clocks
) -> None:
    world.takes["a"] = {"hours": 5}
    steps = world.step("a"), world.step("b"), world.step("c"), world.checking()
    with pytest.raises(Refused) as caught:
        run(begin(*steps))
    assert caught.value.message == "the window nights is over: stopped before b; left: b, c, check"
    assert caught.value.hint == (f"{AGAIN}Run the same again then: it goes on from here. To go on now, {OVERRIDE}")
    assert world.done == ["a"]
    assert (record(host).result, record(host).message) == (Result.REFUSED, caught.value.message)

    clocks.set("2026-11-24T21:00")
    run(begin(*steps))
    assert world.done == ["a", "b", "c", "check"]


def test_what_ends_in_time_goes_on(world: World, begin: Begin, clocks: Clocks) -> None:
    world.takes = {"a": {"hours": 3}, "b": {"minutes": 59, "seconds": 59}}
    run(begin(world.step("a"), world.step("b"), world.checking()))
    assert world.done == ["a", "b", "check"]


def test_nothing_is_begun_in_the_cutoff(world: World, begin: Begin, clocks: Clocks) -> None:
    windows = {**NIGHTS, "cutoff": "30m"}
    world.takes["a"] = {"hours": 3, "minutes": 30}
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a"), world.step("b"), windows=windows))
    assert caught.value.message == "the window nights is about to close: stopped before b; left: b"
    clocks.set("2026-11-24T02:30")
    with pytest.raises(Refused) as caught:
        run(begin(world.step("b"), windows=windows))
    assert caught.value.message == (
        "the window nights closes Tue 2026-11-24 04:00 CET, and nothing is begun in its last 30 minutes"
    )
    assert caught.value.hint == f"{AGAIN}Wait for it, or {OVERRIDE}"
    assert world.done == ["a"]


def test_a_step_stops_at_its_own_safe_point(world: World, begin: Begin, host: FakeTarget, clocks: Clocks) -> None:
    world.takes["a"] = {"hours": 2}
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a", points=4), world.step("b")))
    assert caught.value.message == (
        "the window nights is over: stopped at a 1, which is a safe point; left: the rest of a, b"
    )
    assert world.done == ["a 0", "a 1"]
    assert record(host).result is Result.REFUSED


def test_a_wall_clock_that_jumps_gives_no_time_and_takes_none(world: World, begin: Begin, clocks: Clocks) -> None:
    forward = begin(world.step("a"), world.step("b"))
    forward.preview()
    forward.apply(forward.steps[0], forward.begin(forward.steps[0]))
    clocks.set("2026-11-24T12:00")
    forward.apply(forward.steps[1], forward.begin(forward.steps[1]))
    forward.end()
    assert world.done == ["a", "b"]

    clocks.set("2026-11-24T23:00")
    back = begin(world.step("c"), world.step("d"))
    back.preview()
    back.apply(back.steps[0], back.begin(back.steps[0]))
    clocks.elapsed += 5 * 3600
    clocks.set("2026-11-24T23:00")
    with pytest.raises(Refused, match="is over: stopped before d"):
        back.begin(back.steps[1])
    back.end()


def test_a_clock_before_the_last_record_opens_nothing(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 1.0}, started="2026-11-23T23:06:00Z")
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a")))
    assert caught.value.message == (
        "the clock reads Mon 2026-11-23 23:00 UTC, but the last run of lab began Mon 2026-11-23 23:06 UTC"
    )
    # Clocks of different machines are never quite the same.
    earlier(monkeypatch, {"a": 1.0}, started="2026-11-23T23:04:00Z")
    run(begin(world.step("a")))


# Whether the plan fits


def test_the_longest_of_the_last_five_changes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(monkeypatch, {"a": 1}, {"a": 5, "b": 2}, {"a": 3}, {"a": 1}, {"a": 1}, {"a": 99})
    records = histories.of([], environment()).records
    assert expected(records) == {"a": dt.timedelta(seconds=5), "b": dt.timedelta(seconds=2)}


def test_what_did_not_change_says_nothing_and_the_slowest_host_counts() -> None:
    def step(host: str, name: str, state: str, seconds: float | None) -> dict[str, Any]:
        return {"host": host, "step": name, "state": state, "seconds": seconds}

    entries = [
        {"id": "r", "entry": "started", "at": "2026-11-20T00:00:00Z"},
        {
            "id": "r",
            "entry": "ended",
            "at": "2026-11-20T00:00:09Z",
            "steps": [
                step("h1", "a", "changed", 4),
                step("h2", "a", "changed", 6),
                step("h1", "b", "unchanged", 1),
                step("h1", "c", "failed", 1),
                step("h1", "d", "begun", None),
            ],
        },
    ]
    assert expected(joined(entries, lambda _: Result.UNKNOWN)) == {"a": dt.timedelta(seconds=6)}


def test_a_step_that_stops_by_itself_need_not_fit(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 36 * 3600, "b": 3 * 3600})
    run(begin(replace(world.step("a"), pauses=True), world.step("b")))
    assert world.done == ["a", "b"]


def test_a_plan_that_does_not_fit_is_refused_at_once(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 3 * 3600, "b": 1.5 * 3600})
    execution = begin(world.step("a"), world.step("b"))
    execution.preview()
    with pytest.raises(Refused) as caught:
        execution.admit()
    assert caught.value.message == (
        "the plan takes 4 hours 30 minutes by earlier runs, and the window nights closes in 4 hours, "
        "Tue 2026-11-24 04:00 CET"
    )
    assert caught.value.hint == f"{AGAIN}Wait for it, or {OVERRIDE}"
    execution.end()
    # Half of it is done already.
    world.done.append("a")
    run(begin(world.step("a"), world.step("b")))
    assert world.done == ["a", "b"]


def test_a_plan_that_fits_no_opening_is_told_so(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 7 * 3600})
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a")))
    assert caught.value.hint == (
        f"No opening is long enough for it. Apply it in parts, make a window longer, or {OVERRIDE}"
    )


def test_a_later_step_that_does_not_fit_any_more_is_not_begun(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 60.0, "b": 2 * 3600})
    world.takes["a"] = {"hours": 3}
    with pytest.raises(Refused) as caught:
        run(begin(world.step("a"), world.step("b")))
    assert caught.value.message == (
        "the window nights closes in 1 hour: stopped before b, which takes 2 hours by earlier runs; left: b"
    )
    assert world.done == ["a"]


def test_what_no_run_has_measured_is_said(world: World, begin: Begin, host: FakeTarget, clocks: Clocks) -> None:
    run(begin(world.step("a"), world.step("b")))
    assert "no earlier run says how long it takes: a, b" in host.sentences


def test_a_window_without_an_end_has_time_for_all(
    world: World, begin: Begin, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(monkeypatch, {"a": 1e9})
    run(begin(world.step("a"), windows={"timezone": "UTC"}))
    assert world.done == ["a"]
