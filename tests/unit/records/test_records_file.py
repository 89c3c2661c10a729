"""Records in a file: only ever appended to, whatever a kill left of it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeTarget
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nobody import nobody

from meshwright.errors import MeshwrightError
from meshwright.records import file


@pytest.fixture(params=["here", "there"])
def target(request: pytest.FixtureRequest, host: FakeTarget) -> FakeTarget:
    """This machine, and a host on which only a shell can append."""
    if request.param == "there":
        host.local = False

        def shell(command: Sequence[str], given: bytes | None) -> str:
            subprocess.run(command, input=given, check=True)
            return ""

        host.answer("sh -c", shell)
    return host


def where(target: FakeTarget) -> Path:
    return Path(file.path(target, "lab"))


def test_no_file_is_no_record(host: FakeTarget) -> None:
    assert file.read(host, "lab") == ([], [])


def test_entries_come_back_in_order(target: FakeTarget, entries: Any) -> None:
    written = [entries.started(), entries.step(), entries.ended(message="zwölf\nZeilen")]
    for entry in written:
        file.append(target, "lab", entry)
    assert file.read(target, "lab") == (written, [])
    assert len(where(target).read_bytes().splitlines()) == 3
    assert stat.S_IMODE(where(target).stat().st_mode) == 0o600


def test_what_is_there_is_never_written_again(target: FakeTarget, entries: Any) -> None:
    file.append(target, "lab", entries.started())
    before, inode = where(target).read_bytes(), where(target).stat().st_ino
    file.append(target, "lab", entries.ended())
    assert where(target).read_bytes().startswith(before)
    assert where(target).stat().st_ino == inode


@pytest.mark.parametrize("left", [1, 20, 100])
def test_a_line_cut_by_a_kill_spoils_no_other(target: FakeTarget, entries: Any, left: int) -> None:
    file.append(target, "lab", entries.started())
    whole = where(target).read_bytes()
    where(target).write_bytes(whole + whole[:left])
    cut = f"{where(target)}:2: it is cut, because a run was killed while it wrote it"
    assert file.read(target, "lab") == ([entries.started()], [cut])
    file.append(target, "lab", entries.ended())
    assert file.read(target, "lab") == ([entries.started(), entries.ended()], [cut])
    assert where(target).read_bytes().startswith(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(cut=st.integers(0, 10_000), more=st.integers(1, 3))
def test_cut_anywhere_it_loses_one_entry_at_most(host: FakeTarget, entries: Any, cut: int, more: int) -> None:
    path = where(host)
    path.unlink(missing_ok=True)
    written = [entries.started(), entries.step(), entries.ended()]
    for entry in written:
        file.append(host, "lab", entry)
    data = path.read_bytes()
    at = cut % (len(data) + 1)
    path.write_bytes(data[:at])
    for _ in range(more):
        file.append(host, "lab", entries.step("later"))
    found, spoilt = file.read(host, "lab")
    whole = data[:at].count(b"\n")
    # A line that lacks nothing but its end is whole.
    lacks_only_its_end = at < len(data) and data[at : at + 1] == b"\n"
    kept = whole + lacks_only_its_end
    assert found == written[:kept] + [entries.step("later")] * more
    assert len(spoilt) == (0 if lacks_only_its_end or not data[:at] or data[:at].endswith(b"\n") else 1)


@pytest.mark.parametrize("line", ["{", "[]", "1", "null", '{"id": "x"}', '{"entry": "started", "at": "x"}', "\x00"])
def test_a_line_that_is_no_entry_is_counted_and_left_out(host: FakeTarget, entries: Any, line: str) -> None:
    where(host).parent.mkdir(parents=True)
    where(host).write_text(f"{line}\n\n{json.dumps(entries.ended())}\n")
    found, [why] = file.read(host, "lab")
    assert found == [entries.ended()]
    assert why.startswith(f"{where(host)}:1: it ")


def test_text_that_is_no_unicode_is_no_trouble(host: FakeTarget, entries: Any) -> None:
    file.append(host, "lab", entries.ended(message="\udc80"))
    assert file.read(host, "lab") == ([entries.ended(message="?")], [])


def test_two_processes_write_whole_lines(host: FakeTarget) -> None:
    script = (
        "import sys; from pathlib import Path; from meshwright.project import Project\n"
        "from meshwright.records import file; from meshwright.target import Local\n"
        "target = Local(Project(Path(sys.argv[1])))\n"
        "for n in range(50):\n"
        "    about = {'id': sys.argv[2], 'entry': 'step', 'at': '2026-11-22T17:10:33Z'}\n"
        "    file.append(target, 'lab', {**about, 'host': 'h', 'step': 'y' * 5000})\n"
    )
    root = str(host.project.root)
    writers = [subprocess.Popen([sys.executable, "-c", script, root, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    found, spoilt = file.read(host, "lab")
    assert spoilt == []
    assert sorted(entry["id"] for entry in found) == ["a"] * 50 + ["b"] * 50


def test_a_file_that_cannot_be_written_is_said_with_its_path(host: FakeTarget, entries: Any) -> None:
    Path(host.state).mkdir()
    (Path(host.state) / "lab").write_text("in the way")
    with pytest.raises(MeshwrightError, match=r"^cannot write to .*/lab/records.jsonl: "):
        file.append(host, "lab", entries.ended())


def test_a_file_that_cannot_be_read_is_no_empty_history(host: FakeTarget, entries: Any) -> None:
    file.append(host, "lab", entries.ended())
    where(host).chmod(0)
    with nobody(), pytest.raises(MeshwrightError, match="cannot read"):
        file.read(host, "lab")
