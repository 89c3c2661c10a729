"""`meshwright preflight`: the head, the results, the choice."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright import choice, preflight
from meshwright.check import Check, Failed
from meshwright.choice import Choice
from meshwright.errors import Exit


@pytest.fixture(autouse=True)
def needs(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """One need, which is met; figures; and a choice."""
    made = [Check("preflight", "git is installed", lambda *_: "/usr/bin/git", "needs-git", "apt-get install -y git")]
    monkeypatch.setattr(preflight, "checks", lambda: tuple(made))
    monkeypatch.setattr(preflight, "minutes", lambda *_: {"build kube": 5, "start cluster": 1})
    monkeypatch.setattr(preflight, "disk_needed", lambda *_: 6.0)
    monkeypatch.setattr(choice, "choose", lambda _project: Choice("lab", "no engine answers"))
    return made


def missing(*_: object) -> str:
    raise Failed("there is no git on PATH")


def test_all_is_here(run: Any) -> None:
    ran = run("preflight", "lab")
    assert ran.code == Exit.OK
    assert ran.out.splitlines() == [
        "Bringing up lab on @local:",
        "  about 6 min on two cores (build kube 5, start cluster 1)",
        "  up to 6 GiB of disk",
        "  ok           git is installed: /usr/bin/git",
        "1 check: 1 ok.",
    ]


def test_something_is_missing(run: Any, needs: list[Check]) -> None:
    needs.append(Check("preflight", "make is installed", missing, "needs-make", "apt-get install -y make"))
    ran = run("preflight", "lab")
    assert ran.code == Exit.ERROR
    assert "               hint: apt-get install -y make" in ran.out.splitlines()


def test_without_an_environment_the_choice_is_told(run: Any) -> None:
    ran = run("preflight")
    assert ran.err == "lab is taken: no engine answers\n"
    assert ran.out.startswith("Bringing up lab on @local:")


def test_choose_prints_the_name_alone(run: Any) -> None:
    ran = run("preflight", "--choose")
    assert (ran.code, ran.out, ran.err) == (Exit.OK, "lab\n", "lab is taken: no engine answers\n")


def test_choose_as_json(run: Any) -> None:
    document = run("preflight", "--choose", "--json").document
    assert (document["environment"], document["why"]) == ("lab", "no engine answers")


def test_json(run: Any) -> None:
    document = run("preflight", "lab", "--json").document
    assert document["minutes"] == {"build kube": 5, "start cluster": 1}
    assert document["disk_gib"] == 6.0
    assert [each["check"] for each in document["checks"]] == ["needs-git"]
    assert document["why"] is None
