"""The steps that install and take away what runs the jobs: nothing is done twice, nothing of others is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeTarget, environment

from meshwright import cluster
from meshwright.certs import due
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError
from meshwright.plan import Action, Plan
from meshwright.schedule import step
from meshwright.schedule.step import ensure, remove


def env(**schedule: Any) -> Environment:
    return environment(schedule=schedule)


class Systemd:
    """systemctl on the scripted host: which timers are at work."""

    def __init__(self, host: FakeTarget, folder: Path) -> None:
        self.folder = folder
        self.active: set[str] = set()
        self.done: list[str] = []
        host.answer("systemctl", self.run)

    def run(self, command: Sequence[str], _input: bytes | None) -> str:
        words = [word for word in command[1:] if not word.startswith("-")]
        self.done.append(" ".join(words))
        match words:
            case ["is-active", name]:
                return "active" if name in self.active else "inactive"
            case ["restart", name]:
                assert (self.folder / name).is_file()
                self.active.add(name)
            case ["disable", name]:
                self.active.discard(name)
        return ""


@pytest.fixture
def systemd(host: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(step, "_folder", lambda: folder)
    monkeypatch.setattr(step, "_RUNNING", str(tmp_path))
    monkeypatch.setattr(step.shutil, "which", lambda _name: None)
    return Systemd(host, folder)


def signs(plan: Plan) -> list[tuple[str, str]]:
    return [(change.action.value, change.name.partition(".")[2]) for change in plan.changes]


def do(host: FakeTarget, values: Environment, what: Any = ensure) -> Plan:
    plan = what.plan(host, values)
    what.apply(host, values, plan)
    assert what.plan(host, values).changes == ()
    return plan


def test_timers_are_installed_once(host: FakeTarget, systemd: Systemd) -> None:
    plan = do(host, env())
    jobs = ("certificates", "drift", "verification")
    assert signs(plan) == [("+", f"{job}.{kind}") for job in jobs for kind in ("service", "timer")]
    assert plan.changes[1].fields[-1].path == "WantedBy"
    assert [word.split()[0] for word in systemd.done if "is-active" not in word] == [
        "daemon-reload",
        *["enable", "restart"] * 3,
    ]
    assert len(systemd.active) == 3


def test_what_has_changed_is_written_and_started_anew(host: FakeTarget, systemd: Systemd) -> None:
    do(host, env())
    changed = env(
        jobs={"drift": {"cron": "9 * * * *"}, "verification": None, "all": {"run": "check", "cron": "0 3 * * *"}}
    )
    plan = do(host, changed)
    assert signs(plan) == [
        ("+", "all.service"),
        ("+", "all.timer"),
        ("~", "drift.timer"),
        ("-", "verification.service"),
        ("-", "verification.timer"),
    ]
    [field] = plan.changes[2].fields
    assert (field.path, field.before, field.after) == ("OnCalendar", "*-*-* *:07:00 UTC", "*-*-* *:09:00 UTC")
    assert sorted(name.partition(".")[2] for name in systemd.active) == [
        "all.timer",
        "certificates.timer",
        "drift.timer",
    ]


def test_a_timer_that_was_stopped_is_started(host: FakeTarget, systemd: Systemd) -> None:
    do(host, env())
    systemd.active = {name for name in systemd.active if "drift" not in name}
    assert signs(do(host, env())) == [("~", "drift.timer")]


def test_an_environment_whose_name_begins_the_same_is_left_alone(host: FakeTarget, systemd: Systemd) -> None:
    do(host, environment("lab-2", schedule={}))
    do(host, env())
    assert len(do(host, env(), remove).changes) == 6
    assert len(list(systemd.folder.iterdir())) == 6
    assert ensure.plan(host, environment("lab-2", schedule={})).changes == ()


def test_removal_takes_all_and_a_schedule_that_is_gone_too(host: FakeTarget, systemd: Systemd) -> None:
    do(host, env())
    plan = do(host, environment())
    assert {change.action for change in plan.changes} == {Action.DESTROY}
    assert (systemd.active, list(systemd.folder.iterdir())) == (set(), [])


def test_no_window_refuses_them() -> None:
    assert ensure.safe
    assert remove.safe


# cron


@pytest.fixture
def table(host: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The crontab, as one item; none: the user has none."""
    found: list[str] = []

    def crontab(command: Sequence[str], given: bytes | None) -> str | tuple[int, str]:
        if command[-1] == "-":
            found[:] = [(given or b"").decode()]
            return ""
        return found[0]

    monkeypatch.setattr(step.shutil, "which", lambda _name: "/usr/bin/crontab")
    monkeypatch.setattr(step, "_RUNNING", str(tmp_path / "none"))
    monkeypatch.setattr(step, "_folder", lambda: tmp_path / "no-units")
    host.answer("crontab -", crontab)
    host.answer("crontab -l", lambda command, given: crontab(command, given) if found else "")
    return found


def test_one_line_is_put_beside_those_of_others(host: FakeTarget, table: list[str]) -> None:
    table[:] = ["0 1 * * * backup\n"]
    plan = do(host, env())
    assert [(c.action.value, c.kind) for c in plan.changes] == [("+", "Crontab")]
    assert table[0].startswith("0 1 * * * backup\n# begin meshwright-")
    assert "schedule lab --due" in table[0]
    do(host, env(), remove)
    assert table == ["0 1 * * * backup\n"]


def test_a_user_without_a_crontab_gets_one(host: FakeTarget, table: list[str]) -> None:
    host.answer("crontab -l", (1, "no crontab for root"))
    plan = ensure.plan(host, env())
    ensure.apply(host, env(), plan)
    assert table[0].count("\n") == 3


def test_a_crontab_that_may_not_be_read_is_not_an_empty_one(host: FakeTarget, table: list[str]) -> None:
    host.answer("crontab -l", (1, "You (op) are not allowed to use this program"))
    with pytest.raises(MeshwrightError, match="cannot be read: You"):
        ensure.plan(host, env())


def test_a_machine_with_neither_is_told(host: FakeTarget, table: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step.shutil, "which", lambda _name: None)
    with pytest.raises(MeshwrightError, match="there is no crontab on this machine"):
        ensure.plan(host, env())
    with pytest.raises(MeshwrightError, match="systemd does not run on this machine"):
        ensure.plan(host, env(by="systemd"))
    assert ensure.plan(host, environment()).changes == ()


def test_from_timers_to_cron_takes_the_timers_away(
    host: FakeTarget, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    do(host, env())
    folder: Callable[[], Path] = step._folder
    request.getfixturevalue("table")
    monkeypatch.setattr(step, "_folder", folder)
    plan = do(host, env(by="cron"))
    assert {(c.action.value, c.kind) for c in plan.changes} == {("-", "Timer"), ("-", "Service"), ("+", "Crontab")}


def test_a_change_of_the_root_is_held_against_the_root(
    host: FakeTarget, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = env(transition={"days": 900, "to": "new-self-signed"})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    monkeypatch.setattr(cluster, "no_session", lambda _target, _env: "there is no cluster")
    said, unverified = ensure.plan(host, values).notes[:2]
    assert said.startswith("the root is changed by itself below 900 days left, to a root whose key is made in memory")
    assert said.endswith("no key is kept here")
    assert unverified.endswith("was not verified, and each run looks: there is no cluster")

    def late(_live: object, _env: object, days: int) -> None:
        raise BadInput(f"a change below {days} days is too late")

    monkeypatch.setattr(cluster, "session", lambda _target, _env: object())
    monkeypatch.setattr(due, "early_enough", late)
    with pytest.raises(BadInput, match="a change below 900 days is too late"):
        ensure.plan(host, values)
    # What is to be removed needs no such look.
    assert remove.plan(host, values).notes == ()
