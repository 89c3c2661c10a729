"""Deploys: deploys/<x>.py, a literal list of steps and a last line `run(steps)`.

Under pyinfra `run` makes one operation of each step. When Meshwright itself reads the file (to plan, to check), `run`
does nothing: the list is what is wanted. So there is one file, and both ways plan and do the same.
"""

from __future__ import annotations

import difflib
import runpy
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from meshwright.errors import BadInput, MeshwrightError
from meshwright.project import Project
from meshwright.step import Step

__all__ = ["STOCK", "load", "names", "run"]

STOCK = frozenset({"lab"})
"""Deploys that use pyinfra's stock operations too: only pyinfra itself can plan these."""

_reading: ContextVar[bool] = ContextVar("_reading", default=False)


def run(steps: Sequence[Step]) -> None:
    """The last line of a deploy file."""
    if _reading.get():
        return
    # Imported here: pyinfra costs 0.3 s, and the commands that only read must not pay for it.
    from meshwright.operations import run_steps

    run_steps(steps)


def names(project: Project) -> list[str]:
    """The names of the project's deploys, sorted."""
    return sorted(path.stem for path in (project.root / "deploys").glob("*.py") if not path.stem.startswith("_"))


def load(project: Project, name: str) -> list[Step]:
    """The steps of deploys/NAME.py (`-` in a name is `_` in the file's).

    Raises BadInput: no such deploy, a mistake in the file, or no list `steps` in it.
    """
    stem = name.replace("-", "_")
    path = project.root / "deploys" / f"{stem}.py"
    if not path.is_file():
        known = names(project)
        near = difflib.get_close_matches(stem, known, 1)
        raise BadInput(
            f"there is no deploy {name!r}",
            hint=(f"Did you mean {near[0]}? " if near else "") + f"Deploys of this project: {', '.join(known)}",
        )
    token = _reading.set(True)
    try:
        steps = runpy.run_path(str(path)).get("steps")
    except MeshwrightError:
        raise
    except Exception as error:
        line = _line(error, path)
        if line is None:
            raise
        said = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}"
        raise BadInput(f"{path.relative_to(project.root)}:{line}: {said}") from None
    finally:
        _reading.reset(token)
    if not isinstance(steps, list) or not all(isinstance(step, Step) for step in steps):
        raise BadInput(
            f"{path.relative_to(project.root)} has no list `steps` of steps",
            hint="End the file with `steps = [...]` and `run(steps)`; docs/extending.md shows one",
        )
    called = [step.name for step in steps]
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice is not None:
        raise BadInput(
            f"{path.relative_to(project.root)} has two steps named {twice!r}",
            hint="A plan and its approval go by the names of steps: give one of the two another name",
        )
    return steps


def _line(error: Exception, path: Path) -> int | None:
    """The line of the file that made this error; None for an error of other code, which is a defect of that."""
    if isinstance(error, SyntaxError):
        return error.lineno if error.filename == str(path) else None
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    ours = isinstance(error, ImportError) or frames[-1].filename == str(path)
    return lines[-1] if lines and ours else None
