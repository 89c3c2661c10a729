"""Which process holds something, and whether it lives."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from living import living

from meshwright import holder
from meshwright.holder import Holder


def test_this_process_lives() -> None:
    here = Holder.here()
    assert here.pid == os.getpid()
    assert here.alive is True


def test_another_process_lives_until_it_ends() -> None:
    with living() as (other, process):
        assert other.pid == process.pid
        assert other.alive is True
        process.kill()
        # It has ended, and nobody has asked for its exit code yet: its entry is still there.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert other.alive is False
    assert other.alive is False


def test_a_pid_that_was_used_again_is_not_the_holder() -> None:
    assert replace(Holder.here(), start="1").alive is False


@pytest.mark.parametrize("other", [{"boot": "another"}, {"space": "another"}, {"boot": ""}, {"start": ""}])
def test_what_cannot_be_looked_for_is_neither_alive_nor_dead(other: dict[str, Any]) -> None:
    assert replace(Holder.here(), **other).alive is None


def test_a_process_of_somebody_else_that_may_not_be_looked_at_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    monkeypatch.setattr(holder, "_started", lambda _pid: None)
    assert Holder.here().alive is True


def test_a_name_is_read_as_it_was_written() -> None:
    assert Holder.read(str(Holder.here())) == Holder.here()


@given(st.text())
def test_any_other_text_is_no_holder_or_one_that_gives_that_text(text: str) -> None:
    found = Holder.read(text)
    assert found is None or str(replace(found, pid=0)).split("/")[:3] == text.split("/")[:3]


def test_a_holder_in_words() -> None:
    assert Holder("laptop", "b", "s", 7, "1").words == "process 7 on laptop"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_program_may_have_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from pathlib import Path

    root = Path(str(tmp_path))
    (root / "7").mkdir()
    (root / "7" / "stat").write_text("7 (a) b (c)) S 1 " + " ".join(str(n) for n in range(5, 53)) + "\n")
    monkeypatch.setattr(holder, "_PROC", root)
    assert holder._started(7) == "22"
    assert holder._started(8) is None
