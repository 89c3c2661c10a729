"""Jobs that are run, and what is written down of it."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import Any

import pytest
from fakes import environment

from meshwright import lock
from meshwright.environment import Environment
from meshwright.errors import BadInput, Refused
from meshwright.project import Project
from meshwright.schedule import jobs, running
from meshwright.schedule.running import Result, due, last, run

SAYS = """
import json, sys
print(json.dumps({"ok": False, "error": {"message": "the cluster is away"}}))
sys.exit(int(sys.argv[1]))
"""


def env(**schedule: Any) -> Environment:
    return environment(schedule={"jobs": {"certificates": None, "verification": None}, **schedule})


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of `meshwright`, a program that ends with the exit code in the list."""
    code = ["0"]
    monkeypatch.setattr(running, "command", lambda *_words: [sys.executable, "-c", SAYS, code[0]])
    return code


def names(found: list[jobs.Wanted]) -> list[str]:
    return [job.name for job in found]


def file(project: Project) -> Any:
    return project.of("lab") / "jobs.jsonl"


# What is run


def test_the_jobs_of_a_schedule() -> None:
    found = jobs.wanted(environment(schedule={}))
    assert [(job.name, job.words, job.zone.key) for job in found] == [
        ("certificates", ("certs", "check-root", "lab"), "UTC"),
        ("verification", ("certs", "verify", "lab"), "UTC"),
        ("drift", ("drift", "lab"), "UTC"),
    ]
    assert jobs.wanted(environment()) == []


def test_a_job_of_ones_own_and_the_zone_of_the_windows() -> None:
    schedule = {"jobs": {"nightly": {"deploy": "resources", "cron": "0 23 * * *"}, "drift": {"deploy": "site"}}}
    found = {job.name: job for job in jobs.wanted(environment(schedule=schedule, windows={"timezone": "Asia/Tokyo"}))}
    assert found["nightly"].words == ("apply", "lab", "resources", "--yes", "--reason", "scheduled: nightly")
    assert found["drift"].words[:3] == ("apply", "lab", "site")
    assert found["nightly"].zone.key == "Asia/Tokyo"
    assert found["nightly"].after(at("2026-11-23T14:00")) == at("2026-11-24T14:00")


def test_a_job_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="lab has no job 'drfit'; its jobs are drift") as caught:
        jobs.named(env(), "drfit")
    assert caught.value.hint == "Did you mean drift?"


def test_a_run_is_written_down(project: Project, child: list[str]) -> None:
    result = run(project, env(), jobs.named(env(), "drift"), print)
    assert (result.exit, result.message) == (0, "")
    child[0] = "1"
    run(project, env(), jobs.named(env(), "drift"), print)
    found = last(project, "lab")["drift"]
    assert (found.exit, found.message, found.seconds > 0) == (1, "the cluster is away", True)
    assert len(file(project).read_text().splitlines()) == 2
    assert file(project).stat().st_mode & 0o777 == 0o600


def test_a_job_that_is_running_is_not_run_twice(project: Project, child: list[str]) -> None:
    held = lock.acquire(f"{jobs.prefix(project, 'lab')}drift", "job drift of lab")
    with pytest.raises(Refused, match=r"^the job drift of lab is running already"):
        run(project, env(), jobs.named(env(), "drift"), print)
    held.release()
    assert run(project, env(), jobs.named(env(), "drift"), print).exit == 0


def test_a_job_that_takes_too_long_is_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "command", lambda *_words: [sys.executable, "-c", "import time; time.sleep(60)"])
    job = jobs.Wanted("drift", (), "0 * * * *", jobs.wanted(env())[0].zone, 1)
    result = run(project, env(), job, print)
    assert result.exit == 1
    assert "1 s" in result.message


@pytest.mark.parametrize("cut", ["", "{", '{"job": "drift"', "null\n", '{"job": "drift", "at": 3}\n', "\xff\n"])
def test_a_line_that_was_cut_spoils_no_other(project: Project, child: list[str], cut: str) -> None:
    run(project, env(), jobs.named(env(), "drift"), print)
    with file(project).open("a", encoding="latin-1") as stream:
        stream.write(cut)
    assert last(project, "lab")["drift"].exit == 0
    child[0] = "1"
    run(project, env(), jobs.named(env(), "drift"), print)
    assert [json.loads(line)["exit"] for line in file(project).read_text().splitlines()] == [0, 1]


def test_the_file_does_not_grow_for_ever(project: Project, child: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_KEPT", 3)
    for code in "01230":
        child[0] = code
        run(project, env(), jobs.named(env(), "drift"), print)
    assert [json.loads(line)["exit"] for line in file(project).read_text().splitlines()] == [2, 3, 0]


# What is due


def ran(project: Project, text: str, exit_code: int | None = 0) -> None:
    running._keep(project, "lab", [Result("drift", text, exit_code)])


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ("2026-11-23T12:00:00Z", "2026-11-23T12:06:59", []),
        ("2026-11-23T12:00:00Z", "2026-11-23T12:07:00", ["drift"]),
        ("2026-11-23T12:07:00Z", "2026-11-23T12:10:00", []),
        ("2026-11-23T12:07:30Z", "2026-11-23T13:06:00", []),
        # Off for three days: once.
        ("2026-11-20T12:07:30Z", "2026-11-23T12:03:00", ["drift"]),
        # The last run was by a clock that was wrong.
        ("2027-11-20T12:07:30Z", "2026-11-23T12:07:00", []),
    ],
)
def test_what_is_due(project: Project, before: str, now: str, found: list[str]) -> None:
    ran(project, before)
    assert names(due(project, env(), at(now))) == found


def test_a_clock_that_was_wrong_stops_no_job_for_good(project: Project) -> None:
    ran(project, "2027-11-20T12:07:30Z")
    assert due(project, env(), at("2026-11-23T12:00:00")) == []
    assert names(due(project, env(), at("2026-11-23T12:07:00"))) == ["drift"]


def test_a_missed_job_is_caught_up_once(project: Project, child: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran(project, "2026-11-20T12:07:30Z")
    now = at("2026-11-23T12:03:00")
    monkeypatch.setattr(running, "_now", lambda: now)
    [job] = due(project, env())
    run(project, env(), job, print)
    assert due(project, env()) == []


def test_a_new_job_has_missed_nothing(project: Project) -> None:
    assert due(project, env(), at("2026-11-23T12:00:00")) == []
    assert last(project, "lab")["drift"].exit is None
    assert names(due(project, env(), at("2026-11-23T12:08:00"))) == ["drift"]


# Metrics


def test_the_last_results_as_metrics(project: Project, child: list[str]) -> None:
    child[0] = "2"
    values = env(textfile="out/jobs.prom")
    due(project, environment(schedule={}))  # these are known and have not run
    run(project, values, jobs.named(values, "drift"), print)
    text = (project.root / "out" / "jobs.prom").read_text()
    assert 'meshwright_job_exit_code{environment="lab",job="drift"} 2' in text.splitlines()
    assert text.count("# TYPE") == 3
    assert "certificates" not in text
    assert (project.root / "out" / "jobs.prom").stat().st_mode & 0o777 == 0o644


def test_metrics_that_cannot_be_written_are_said_and_the_job_has_run(project: Project, child: list[str]) -> None:
    (project.root / "out").write_text("")
    said: list[str] = []
    values = env(textfile="out/jobs.prom")
    assert run(project, values, jobs.named(values, "drift"), said.append).exit == 0
    assert said[0].startswith("cannot write ")


def test_a_job_that_had_nothing_to_do_says_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'import json; print(json.dumps({"ok": True, "waits": "the root has 1000 days left"}))'
    monkeypatch.setattr(running, "command", lambda *_words: [sys.executable, "-c", said])
    result = run(project, env(), jobs.named(env(), "drift"), print)
    assert (result.exit, result.message) == (0, "the root has 1000 days left")


def test_a_change_of_the_root_is_a_job(project: Project) -> None:
    values = env(transition={"days": 900, "to": "new-self-signed"})
    job = jobs.named(values, "transition")
    assert " ".join(job.words) == (
        "certs transition lab --to new-self-signed --mode live --below 900 --yes --reason scheduled: transition"
    )
    assert (job.cron, job.timeout) == ("27 * * * *", 7200)
    assert "transition" not in {each.name for each in jobs.wanted(env())}
