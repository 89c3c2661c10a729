"""The checks of the cluster that is changed first, where the deploy itself makes none: they decide about the rest.

A deploy of a part (a cluster without Istio yet) cannot make every check hold, so what held before must hold after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meshwright import check, checks
from meshwright.check import Check, Result
from meshwright.cli.child import Done
from meshwright.cli.common import targets
from meshwright.environment import Loaded
from meshwright.errors import Exit, MeshwrightError, Unverified
from meshwright.project import Project
from meshwright.wording import counted

__all__ = ["held", "judge"]


def held(project: Project, loaded: Loaded) -> set[str]:
    """The checks that hold now, by their anchors; nothing is waited for, and none holds where nobody answers."""
    try:
        found = _results(project, loaded, checks.CHECKS, patience=0)
    except MeshwrightError:
        return set()
    return {result.check.anchor for result in found} - {result.check.anchor for result in found if result.fatal}


def judge(project: Project, loaded: Loaded, before: set[str], done: Done, say: Callable[[str], None]) -> None:
    """Makes the checks of `before` again after `done`, which has failed where one of them does not hold any more."""
    # What such a check needs held too. Those that did not hold would only be waited for.
    again = [each for each in checks.CHECKS if each.anchor in before]
    if not again:
        return
    say("its checks, before the rest is changed")
    try:
        found = _results(project, loaded, again, patience=1)
        done.checks += [result.as_json() for result in found]
        broken = [result for result in found if result.fatal]
        if broken:
            first = f"{broken[0].check.claim}: {broken[0].detail}"
            raise Unverified(
                f"{counted(len(broken), 'check')} that held before the change failed: {first}",
                hint=broken[0].check.hint,
            )
    except MeshwrightError as error:
        done.exit = Exit.UNVERIFIED
        done.error = {"message": error.message, "hint": error.hint, "exit": int(Exit.UNVERIFIED)}
        say(f"error: {error.message}")


def _results(project: Project, loaded: Loaded, wanted: Iterable[Check], *, patience: float) -> list[Result]:
    with targets(project, loaded, quiet=True) as hosts:
        return [result for host in hosts for result in check.run(wanted, host, loaded.env, patience=patience)]
