"""Questions, and what counts as an answer."""

from __future__ import annotations

import sys

import pytest
from fakes import environment, existing

from meshwright.cli import consent
from meshwright.errors import Exit, MeshwrightError, Refused


class Person:
    """Somebody at a terminal, who types what a test says."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.asked: list[str] = []

    def read(self, text: str) -> str:
        self.asked.append(text)
        return self.types.pop(0)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    made = Person()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", made.read)
    return made


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)


@pytest.mark.parametrize("word", ["y", "Y", "yes"])
def test_a_yes(person: Person, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    person.types = [word]
    consent.ask(environment(), yes=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("word", ["n", "no", ""])
def test_a_no(person: Person, word: str) -> None:
    person.types = [word]
    with pytest.raises(Refused, match="not approved; nothing was changed"):
        consent.ask(environment(), yes=False)


def test_what_is_neither_is_asked_again(person: Person) -> None:
    person.types = ["lab", "y"]
    consent.ask(environment(), yes=False)
    assert person.types == []


def test_yes_asks_nobody(nobody: None) -> None:
    consent.ask(environment(), yes=True)


def test_a_protected_environment_asks_for_its_name_all_the_same(person: Person) -> None:
    person.types = ["prod"]
    consent.ask(existing(), yes=True)
    assert person.types == []
    person.types = ["y"]
    with pytest.raises(Refused, match="'y' is not 'prod'; nothing was changed"):
        consent.ask(existing(), yes=True)


@pytest.mark.parametrize(("env", "way"), [(environment(), "--yes"), (existing(), "a terminal")])
def test_nobody_there_is_64(nobody: None, env: object, way: str) -> None:
    with pytest.raises(MeshwrightError) as caught:
        consent.ask(env, yes=False)  # type: ignore[arg-type]
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message == f"this needs an answer and standard input is not a terminal: run it with {way}"


@pytest.mark.parametrize("typed", ["Prod", "prod ", "", "pro"])
def test_a_word_is_typed_exactly(person: Person, typed: str) -> None:
    person.types = [typed]
    with pytest.raises(Refused, match=f"'{typed}' is not 'prod'"):
        consent.typed("Name", "prod")


def test_a_word_from_the_command_line_asks_nobody(nobody: None) -> None:
    consent.typed("Name", "prod", "prod")
    with pytest.raises(Refused):
        consent.typed("Name", "prod", "dev")
