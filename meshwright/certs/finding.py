"""What the certificate commands find, in one form: a state, what it is about, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from meshwright.check import State

__all__ = ["Finding", "counts", "fine", "lines"]

_WIDEST = max(len(state) for state in State)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, or could not be. `subject` names it ("ConfigMap shop/istio-ca-root-cert"),
    `detail` is what was found, `hint` one next step."""

    state: State
    subject: str
    detail: str = ""
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {"state": self.state.value, "subject": self.subject, "detail": self.detail, "hint": self.hint}


def fine(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed and nothing was left unverified; warnings are fine."""
    return not any(each.state in (State.FAILED, State.NOT_VERIFIED) for each in findings)


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are in each state: the summary of `--json`."""
    found = [each.state for each in findings]
    return {"checked": len(found)} | {state.value.replace(" ", "_"): found.count(state) for state in State}


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Findings for people, one line each, with the hint below where something is to do."""
    for each in findings:
        yield f"  {each.state.value:<{_WIDEST}} {each.subject}" + (f": {each.detail}" if each.detail else "")
        if each.hint and each.state is not State.OK:
            yield f"  {'':<{_WIDEST}} hint: {each.hint}"
