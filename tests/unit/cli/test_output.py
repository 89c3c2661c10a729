"""Where the command prints, and how."""

from __future__ import annotations

import json
import sys

import pytest

from meshwright.cli.output import Output, coloured, report, table
from meshwright.errors import BadInput, MeshwrightError, ProcessError

Capture = pytest.CaptureFixture[str]


def terminal(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)


def test_the_answer_goes_to_standard_output_and_the_rest_to_standard_error(capsys: Capture) -> None:
    output = Output(command="plan", environment="lab")
    output.answer(["one", "two"])
    output.human("by the way")
    output.document(ok=True, summary={})
    assert capsys.readouterr() == ("one\ntwo\n", "by the way\n")


def test_with_json_there_is_one_document(capsys: Capture) -> None:
    output = Output(True, "plan", "lab")
    output.answer(["one"])
    output.document(ok=True, summary={"checked": 1}, steps=["ä"])
    output.document(ok=False, summary={})
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "format_version": "1.0",
        "command": "plan",
        "environment": "lab",
        "ok": True,
        "summary": {"checked": 1},
        "steps": ["ä"],
    }
    assert "ä" in out


def test_an_error_is_a_sentence_and_a_hint(capsys: Capture) -> None:
    report(Output(), BadInput("no such thing", hint="Look there"))
    assert capsys.readouterr() == ("", "error: no such thing\nhint: Look there\n")


def test_an_error_without_a_hint(capsys: Capture) -> None:
    report(Output(), MeshwrightError("no such thing"))
    assert capsys.readouterr().err == "error: no such thing\n"


def test_the_last_lines_of_a_process_are_shown(capsys: Capture) -> None:
    lines = [f"line {number}" for number in range(20)]
    report(Output(), ProcessError("it failed", command=["x"], output="\n".join(lines), hint="Do"))
    assert capsys.readouterr().err.splitlines() == [
        "error: it failed",
        *(f"  | line {number}" for number in range(8, 20)),
        "hint: Do",
    ]


def test_one_line_of_a_process_is_in_the_sentence_already(capsys: Capture) -> None:
    report(Output(), ProcessError("it failed: why", command=["x"], output="why"))
    assert capsys.readouterr().err == "error: it failed: why\n"


def test_an_error_with_json_is_both(capsys: Capture) -> None:
    report(Output(True, "plan", "lab"), BadInput("no such thing", hint="Look"))
    said = capsys.readouterr()
    assert said.err.startswith("error: no such thing\n")
    document = json.loads(said.out)
    assert document["ok"] is False
    assert document["error"] == {"message": "no such thing", "hint": "Look", "exit": 65}


SIGNS = [
    ("  + Service a/b", "32"),
    ("  ~ Service a/b", "33"),
    ("  - Service a/b", "31"),
    ("  -/+ Cluster x  (why)", "35"),
]


@pytest.mark.parametrize(("line", "colour"), SIGNS)
def test_signs_have_colours_on_a_terminal(line: str, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, "stdout")
    assert coloured(line) == f"\x1b[{colour}m{line}\x1b[0m"


@pytest.mark.parametrize("line", ["istio:", '      a: "+ x"', "  note: x", "Plan: 1 to add.", ""])
def test_other_lines_have_none(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, "stdout")
    assert coloured(line) == line


@pytest.mark.parametrize("line", [line for line, _ in SIGNS])
def test_no_colour_off_a_terminal_or_where_it_is_not_wanted(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured(line) == line
    terminal(monkeypatch, "stdout")
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(line) == line


def test_an_error_is_red_on_a_terminal_that_wants_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, "stderr")
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_args, **_kw: False)
    report(Output(), MeshwrightError("no"))
    assert capsys.readouterr().err == "\x1b[31merror: \x1b[0mno\n"
    monkeypatch.setenv("NO_COLOR", "1")
    report(Output(), MeshwrightError("no"))
    assert capsys.readouterr().err == "error: no\n"


def test_columns_are_as_wide_as_their_widest_and_numbers_end_together() -> None:
    rows = [("a", "7", "it is so"), ("longer", "10", "")]
    assert list(table(("id", "+", "why"), rows, {"+"})) == ["id       +  why", "a        7  it is so", "longer  10"]


def test_a_table_of_nothing_is_its_head() -> None:
    assert list(table(("id", "why"), [])) == ["id  why"]
