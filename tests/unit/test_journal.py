"""The journal of a run: what was written is read, and a writer that was killed harms nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright.journal import VARIABLE, Journal, read

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
events = st.lists(values, max_size=5)


@given(events, st.floats(0, 1))
def test_a_file_cut_anywhere_gives_its_whole_lines_and_the_rest_later(texts: list[Any], part: float) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        journal = Journal(path)
        for text in texts:
            journal.write("say", text=text)
        whole = path.read_bytes() if texts else b""
        cut = round(len(whole) * part)
        path.write_bytes(whole[:cut])
        first = list(read(path))
        assert [event["text"] for event, _ in first] == texts[: whole[:cut].count(b"\n")]
        offset = first[-1][1] if first else 0
        assert whole[:offset] == b"" or whole[:offset].endswith(b"\n")
        path.write_bytes(whole)
        rest = [event["text"] for event, _ in read(path, offset)]
        assert [event["text"] for event, _ in first] + rest == texts


def test_an_event_has_its_name_and_time(tmp_path: Path) -> None:
    Journal(tmp_path / "j").write("step", step="istio", state="changed", seconds=1.5)
    [(event, offset)] = read(tmp_path / "j")
    at = event.pop("at")
    assert event == {"event": "step", "step": "istio", "state": "changed", "seconds": 1.5}
    assert at > 1.7e9
    assert offset == (tmp_path / "j").stat().st_size


def test_an_absent_journal_has_no_events(tmp_path: Path) -> None:
    assert list(read(tmp_path / "no")) == []


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    Journal(None).write("say", text="x")
    Journal.of_process().write("say", text="x")
    assert list(tmp_path.iterdir()) == []


def test_the_journal_that_the_parent_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "j"))
    Journal.of_process().write("say", text="héllo")
    [(event, _)] = read(tmp_path / "j")
    assert event["text"] == "héllo"


def test_an_empty_variable_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert Journal.of_process().path is None


def test_two_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    for _ in range(20):
        one.write("say", text="a" * 9000)
        other.write("say", text="b" * 9000)
    assert [event["text"][0] for event, _ in read(tmp_path / "j")] == ["a", "b"] * 20
