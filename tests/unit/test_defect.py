"""What nobody expected still ends in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshwright import cli
from meshwright.cli import plan
from meshwright.defect import defect


def test_the_traceback_is_in_a_file_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        {}["nothing"]
    except KeyError as error:
        told = defect(error)
    [file] = tmp_path.iterdir()
    assert told.message == "Meshwright has a defect: KeyError: 'nothing'"
    assert str(file) in told.hint
    assert "in test_the_traceback_is_in_a_file_of_this_user" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_command_with_a_defect_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("never thought of")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(plan, "in_each", broken)
    assert cli.run(["plan", "lab"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert re.search(r"error: Meshwright has a defect: RuntimeError: never thought of", said.err)
