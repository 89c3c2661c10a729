"""`meshwright schedule`."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakesteps import fill

from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.schedule import running

DEPLOY = "from meshwright.deploy import run\nfrom meshwright.schedule import step\n\nsteps = [step.{}]\n\nrun(steps)\n"
CRONTAB = """\
#!/bin/sh
file="$(dirname "$0")/table"
case "$1" in
-l) test -f "$file" || { echo "no crontab for you" >&2; exit 1; }; cat "$file" ;;
-) cat >"$file.new"; mv "$file.new" "$file" ;;
esac
"""
SCHEDULE = """
schedule:
  by: cron
  jobs:
    certificates: null
    verification: null
    drift: {run: check, cron: 7 * * * *}
    nightly: {deploy: site, cron: 30 22 * * *}
"""


@pytest.fixture
def table(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab of the test's own, and a project with a schedule."""
    fill(project, "make('a'), checking()")
    for name, step in (("schedule", "ensure"), ("schedule_remove", "remove")):
        (project.root / "deploys" / f"{name}.py").write_text(DEPLOY.format(step))
    file = project.root / "group_data" / "lab.yaml"
    file.write_text(file.read_text() + SCHEDULE)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "crontab").write_text(CRONTAB)
    (bin_ / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    return bin_ / "table"


def test_without_a_schedule_there_is_nothing(project: Project, meshwright: Any) -> None:
    fill(project, "make('a')")
    ran = meshwright("schedule", "lab")
    assert (ran.code, ran.out.splitlines()[0]) == (Exit.OK, "lab has no jobs")
    assert "hint: write `schedule: {}`" in ran.err
    assert meshwright("schedule", "lab", "--due").out == "nothing is due\n"


def test_it_is_installed_shown_and_removed(table: Path, meshwright: Any) -> None:
    table.write_text("0 1 * * * backup\n")
    before = meshwright("schedule", "lab")
    assert before.code == Exit.OK
    assert before.out.splitlines()[0].split("  ")[0] == "job"
    assert "run by cron: not installed as they are here" in before.out
    assert "hint: meshwright schedule lab --apply" in before.err

    shown = meshwright("schedule", "lab", "--apply", "--plan")
    assert ("+ Crontab meshwright-" in shown.out, table.read_text()) == (True, "0 1 * * * backup\n")
    assert meshwright("schedule", "lab", "--apply", "--yes").code == Exit.OK
    assert re.search(r"^\*/5 \* \* \* \* cd .* schedule lab --due ", table.read_text(), re.MULTILINE)

    document = meshwright("schedule", "lab", "--json").document
    assert (document["summary"], document["by"]) == ({"checked": 2, "pending": 0}, "cron")
    assert [(job["job"], job["words"][:2], job["last"]) for job in document["jobs"]] == [
        ("drift", ["check", "lab"], None),
        ("nightly", ["apply", "lab"], None),
    ]
    again = meshwright("schedule", "lab", "--apply", "--yes")
    assert (again.code, "0 to add, 0 to change, 0 to destroy" in again.out) == (Exit.OK, True)

    assert meshwright("schedule", "lab", "--remove", "--yes").code == Exit.OK
    assert table.read_text() == "0 1 * * * backup\n"


def test_a_job_is_really_run(table: Path, project: Project, meshwright: Any) -> None:
    ran = meshwright("schedule", "lab", "--run", "nightly")
    assert ran.code == Exit.OK, ran.err
    assert ran.out.startswith("nightly: ok (")
    assert (project.root / "world" / "a").exists()
    [record] = meshwright("history", "lab", "--json").document["records"]
    assert record["reason"] == "scheduled: nightly"
    assert "ok" in meshwright("schedule", "lab").out


def test_what_is_due_is_run_and_the_worst_code_counts(table: Path, project: Project, meshwright: Any) -> None:
    assert meshwright("schedule", "lab", "--due").out == "nothing is due\n"
    running._keep(project, "lab", [running.Result(job, "2020-01-01T00:00:00Z") for job in ("drift", "nightly")])
    (project.root / "world" / "bad").touch()
    ran = meshwright("schedule", "lab", "--due", "--json")
    assert ran.code == Exit.ERROR
    assert ran.document["summary"] == {"checked": 2, "failed": 2, "busy": 0}
    assert [job["exit"] for job in ran.document["jobs"]] == [1, 1]
    assert "world/bad is there" in ran.document["jobs"][1]["message"]
    assert meshwright("schedule", "lab", "--due").out == "nothing is due\n"


def test_the_line_does_it_in_the_bare_environment_of_cron(
    table: Path, project: Project, meshwright: Any, tmp_path: Path
) -> None:
    assert meshwright("schedule", "lab", "--apply", "--yes").code == Exit.OK
    running._keep(project, "lab", [running.Result(job, "2020-01-01T00:00:00Z") for job in ("drift", "nightly")])
    [line] = [line for line in table.read_text().splitlines() if line.startswith("*/5 ")]
    environ = {
        "HOME": str(tmp_path),
        "LOGNAME": "op",
        "SHELL": "/bin/sh",
        "PATH": "/usr/bin:/bin",
        "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
        "PYTHONPATH": os.environ["PYTHONPATH"],  # for the steps of this test
    }
    command = line.removeprefix("*/5 * * * * ").replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environ, timeout=120)
    # There is no cluster here, which is what the first finds.
    assert {name: result.exit for name, result in running.last(project, "lab").items()} == {"drift": 1, "nightly": 0}
    assert (project.root / "world" / "a").exists()


def test_a_job_that_there_is_not(table: Path, meshwright: Any) -> None:
    ran = meshwright("schedule", "lab", "--run", "nigthly")
    assert (ran.code, "hint: Did you mean nightly?" in ran.err) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize("words", [("--apply", "--due"), ("--run", "a", "--due"), ("--yes",), ("--plan", "--due")])
def test_four_different_things(table: Path, meshwright: Any, words: tuple[str, ...]) -> None:
    assert meshwright("schedule", "lab", *words).code == Exit.USAGE
