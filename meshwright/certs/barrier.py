"""Several clusters of one mesh change their root together: which of them may go which step, and when.

Their proxies talk to each other, so the rule of one cluster holds over all of them: nobody presents what somebody else
does not trust yet. So a cluster goes one step at a time, a step that signs with another root only when all others are
certain to trust that one, and a step that gives a root up only when no other may still present what it signed. In a
cluster whose gate does not hold, some of it may still be where it came from: it may present what both steps sign with,
and is certain to trust only what both trust.

Nothing here looks at a cluster or remembers one: where they stand is what is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshwright.certs.contents import Step
from meshwright.errors import Refused

__all__ = ["BACK", "FORWARD", "Part", "Stand", "conduct", "following", "why_not"]

FORWARD = (Step.OLD, Step.BOTH_SIGN_OLD, Step.BOTH_SIGN_NEW, Step.NEW)
"""The steps of a change in their order."""

BACK = tuple(reversed(FORWARD))
"""The steps of its way back."""

_OLD, _NEW = "old", "new"
_TRUSTED = {
    Step.OLD: frozenset({_OLD}),
    Step.BOTH_SIGN_OLD: frozenset({_OLD, _NEW}),
    Step.BOTH_SIGN_NEW: frozenset({_OLD, _NEW}),
    Step.NEW: frozenset({_NEW}),
}
_SIGNER = {Step.OLD: _OLD, Step.BOTH_SIGN_OLD: _OLD, Step.BOTH_SIGN_NEW: _NEW, Step.NEW: _NEW}


@dataclass(frozen=True)
class Stand:
    """Where a cluster stands: the step that its CA Secret says, and whether everything in it has followed."""

    step: Step
    stable: bool

    @property
    def _steps(self) -> tuple[Step, ...]:
        """Where parts of it may be: one that has not settled came from a step beside its own."""
        if self.stable:
            return (self.step,)
        at = FORWARD.index(self.step)
        return FORWARD[max(at - 1, 0) : at + 2]

    @property
    def trusted(self) -> frozenset[str]:
        """The roots that everything in it is certain to trust: `old`, `new`."""
        return frozenset.intersection(*(_TRUSTED[step] for step in self._steps))

    @property
    def presented(self) -> frozenset[str]:
        """The roots under which something in it may present a certificate."""
        return frozenset(_SIGNER[step] for step in self._steps)


def why_not(stands: Mapping[str, Stand], who: str, to: Step) -> str:
    """Why the cluster `who` may not go to the step `to` now, as a sentence; "" when it may. `stands` has all clusters
    of the mesh by name, as they were just seen."""
    mine = stands[who]
    if abs(FORWARD.index(to) - FORWARD.index(mine.step)) != 1:
        return f"{who} stands at {mine.step}, so {to} would leave a step out"
    if not mine.stable:
        return f"not everything in {who} has followed {mine.step}"
    added = {_SIGNER[to]} - {_SIGNER[mine.step]}
    given_up = _TRUSTED[mine.step] - _TRUSTED[to]
    for name, other in stands.items():
        if name == who:
            continue
        for root in added - other.trusted:
            return f"not everything in {name} is certain to trust the {root} root: it stands at {_at(other)}"
        for root in given_up & other.presented:
            return f"{name} may still present what the {root} root signed: it stands at {_at(other)}"
    return ""


def _at(stand: Stand) -> str:
    return f"{stand.step}, and {'all' if stand.stable else 'not all'} of it has followed"


def following(stands: Mapping[str, Stand], way: Sequence[Step]) -> tuple[str, Step] | None:
    """Who goes next along `way`, and to which step: of those that have come least far the first; None when all are at
    its end."""
    left = [(way.index(stand.step), number, name) for number, (name, stand) in enumerate(stands.items())]
    at, _, name = min(left)
    return (name, way[at + 1]) if at + 1 < len(way) else None


class Part(Protocol):
    """One cluster of a mesh, as the conductor drives it. What these raise ends the run, and another one goes on."""

    @property
    def name(self) -> str: ...

    def look(self) -> Stand:
        """Where it stands now, looked at anew."""

    def settle(self, step: Step) -> None:
        """Waits until all of it has followed `step`, at which it stands."""

    def move(self, step: Step) -> None:
        """Writes what `step` has over what the last look saw, and waits until all of it has followed."""


def conduct(parts: Sequence[Part], way: Sequence[Step]) -> None:
    """Takes all clusters to the end of `way`, from wherever they stand: one goes one step, is waited for, and before
    the next step of any of them all are looked at again.

    Raises Refused: a cluster may not go, and nothing was written to it; and what the parts raise.
    """
    settled: set[str] = set()
    while True:
        stands = {part.name: part.look() for part in parts}
        behind = [part for part in parts if part.name not in settled or not stands[part.name].stable]
        if behind:
            # What was written by a run that was killed may never have been seen to hold.
            behind[0].settle(stands[behind[0].name].step)
            settled.add(behind[0].name)
            continue
        move = following(stands, way)
        if move is None:
            return
        name, step = move
        why = why_not(stands, name, step)
        if why:
            raise Refused(f"{name} may not go to {step} yet: {why}", hint=_APART)
        next(part for part in parts if part.name == name).move(step)


_APART = "`meshwright certs status` shows where each cluster stands; nothing was written"
