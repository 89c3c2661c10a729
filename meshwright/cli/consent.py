"""Asking before something is changed."""

from __future__ import annotations

import sys

import click

from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError, Refused

__all__ = ["ask", "typed"]


def ask(env: Environment, *, yes: bool, name: str = "") -> None:
    """Asks y/N; in a protected environment for its name, whatever `yes` says. `name` is what is to be typed where it is
    not one cluster that is changed.

    Raises Refused: the answer was no. MeshwrightError (64): nobody there to ask.
    """
    if env.protected:
        name = name or env.name
        typed(f"{name} is protected. Type its name to go on", name)
        return
    if yes:
        return
    _somebody("--yes")
    if not click.confirm("Do this?", default=False, err=True):
        raise Refused("not approved; nothing was changed")


def typed(question: str, word: str, given: str | None = None, way: str = "a terminal") -> None:
    """Asks for a word that must be typed exactly; `given` is the answer from the command line, `way` what to run it
    with where nobody can be asked.

    Raises Refused: another word. MeshwrightError (64): nobody there to ask.
    """
    if given is None:
        _somebody(way)
        given = click.prompt(question, err=True, default="", show_default=False)
    if given != word:
        raise Refused(f"{given!r} is not {word!r}; nothing was changed")


def _somebody(way: str) -> None:
    if not sys.stdin.isatty():
        raise MeshwrightError(
            f"this needs an answer and standard input is not a terminal: run it with {way}", exit_code=Exit.USAGE
        )
