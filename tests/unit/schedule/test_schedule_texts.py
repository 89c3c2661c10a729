"""Jobs as systemd units and as a line of a crontab."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.project import Project
from meshwright.schedule import crontab, systemd
from meshwright.schedule.jobs import Wanted

UTC = ZoneInfo("UTC")
BASE = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def job(cron: str = "7 * * * *", zone: str = "Europe/Berlin") -> Wanted:
    return Wanted("drift", ("drift", "lab"), cron, ZoneInfo(zone), 7200)


@pytest.mark.parametrize(
    ("cron", "lines"),
    [
        ("7 * * * *", ["*-*-* *:07:00"]),
        ("17 6 * * *", ["*-*-* 06:17:00"]),
        ("*/20 22,23 * * mon-thu", ["Mon,Tue,Wed,Thu *-*-* 22,23:00,20,40:00"]),
        ("0 0 * * 0", ["Sun *-*-* 00:00:00"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00"]),
        ("0 0 1-3 jan,jul *", ["*-01,07-01,02,03 00:00:00"]),
        # cron: the first of a month or a Monday.
        ("0 0 1 * mon", ["*-*-01 00:00:00", "Mon *-*-* 00:00:00"]),
        # cron: a Monday whose day is odd, because a field begins with a star.
        ("0 0 */15 * mon", ["Mon *-*-01,16,31 00:00:00"]),
        ("0 0 1-31 * mon", ["*-*-* 00:00:00"]),
        ("0 0 13 * 0-6", ["*-*-* 00:00:00"]),
    ],
)
def test_cron_as_calendars(cron: str, lines: list[str]) -> None:
    assert systemd.calendars(cron) == lines


def numbers(least: int, most: int) -> st.SearchStrategy[str]:
    some = st.lists(st.integers(least, most), min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
    return st.just("*") | some | st.integers(2, 9).map("*/{}".format)


@analyze
@settings(max_examples=25)
@given(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12), numbers(0, 7))
def test_systemd_means_by_it_what_cron_means(minute: str, hour: str, day: str, month: str, weekday: str) -> None:
    cron = f"{minute} {hour} {day} {month} {weekday}"
    text = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=3", "--base-time=2026-11-23 12:00:00 UTC"]
        + [f"{each} UTC" for each in systemd.calendars(cron)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"(?:Next elapse|Iter\. #\d): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", text)
    elapses = sorted({dt.datetime.fromisoformat(each).replace(tzinfo=dt.UTC) for each in found})
    expected, at = [], BASE
    for _ in range(3):
        at = job(cron, "UTC").after(at)
        expected.append(at)
    assert elapses[:3] == expected


@analyze
@pytest.mark.parametrize("folder", ["project", "my project", "100% $mine", 'quo"ted'])
def test_systemd_takes_the_units(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    root.mkdir()
    made = systemd.units(Project(root), "lab", [job("0 0 1 * mon")], user="root")
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in made)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "meshwright" in line]) == (0, [])


def test_a_service_and_a_timer_for_each_job(project: Project) -> None:
    made = systemd.units(project, "lab", [job()], user="root")
    name = f"meshwright-{project.digest}-lab.drift"
    assert list(made) == [f"{name}.service", f"{name}.timer"]
    service, timer = (text.splitlines() for text in made.values())
    assert f"WorkingDirectory={project.root}" in service
    assert f'ExecStart="{sys.executable}" "-m" "meshwright" "schedule" "lab" "--run" "drift"' in service
    assert "User=root" in service
    assert "OnCalendar=*-*-* *:07:00 Europe/Berlin" in timer
    assert "Persistent=true" in timer
    assert not any(line.startswith("User=") for line in systemd.units(project, "lab", [job()])[f"{name}.service"])


def test_quotes_of_systemd() -> None:
    assert systemd.quoted(["a b", 'c"d', "e\\f", "100%", "$HOME"]) == '"a b" "c\\"d" "e\\\\f" "100%%" "$$HOME"'


# crontab

THEIRS = "MAILTO=root\n0 1 * * * backup\n"


def test_the_line_of_a_crontab(tmp_path: Path) -> None:
    line = crontab.line(Project(tmp_path / "100% 'mine'"), "lab")
    assert line.startswith("*/5 * * * * cd ")
    assert "%" not in line.replace("\\%", "")
    assert line.endswith(" -m meshwright schedule lab --due >/dev/null 2>&1")
    shell = line.removeprefix("*/5 * * * * ").replace("\\%", "%").partition(" && ")[0]
    (tmp_path / "100% 'mine'").mkdir()
    done = subprocess.run(["sh", "-c", f"{shell} && pwd"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "100% 'mine'")


@pytest.mark.parametrize("table", ["", THEIRS, "# begin\n# end\n"])
def test_ours_is_put_in_found_changed_and_taken_out(project: Project, table: str) -> None:
    once = crontab.with_ours(project, "lab", table, "line one")
    assert once.startswith(table)
    assert crontab.ours(project, "lab", once) == "line one"
    assert crontab.with_ours(project, "lab", once, "line one") == once
    both = crontab.with_ours(project, "lab-2", once, "line two")
    changed = crontab.with_ours(project, "lab", both, "line three")
    assert [crontab.ours(project, name, changed) for name in ("lab", "lab-2", "dev")] == ["line three", "line two", ""]
    alone = crontab.with_ours(project, "lab", changed, "")
    assert crontab.ours(project, "lab-2", alone) == "line two"
    assert crontab.with_ours(project, "lab-2", alone, "") == table


def test_a_mark_without_its_end_takes_nothing_of_theirs(project: Project) -> None:
    begin = crontab.with_ours(project, "lab", "", "x").splitlines()[0]
    table = f"{begin}\n{THEIRS}"
    assert crontab.ours(project, "lab", table) == ""
    assert crontab.with_ours(project, "lab", table, "").endswith(THEIRS)
    assert crontab.with_ours(project, "lab", table, "new").endswith(THEIRS)
