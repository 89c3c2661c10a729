"""What clusters of one mesh are to each other: whether each trusts what the others sign under."""

from __future__ import annotations

from collections.abc import Mapping

from meshwright.certs.certificate import named
from meshwright.certs.finding import Finding
from meshwright.certs.trust import Report
from meshwright.check import State

__all__ = ["findings"]

_HINT = "`meshwright certs status` shows where each cluster stands; a change of the root goes over all of them together"


def findings(reports: Mapping[str, Report]) -> list[Finding]:
    """One for each two clusters, by name: the workloads of one must trust the roots that the other signs under.

    What each place in a cluster trusts and presents is judged in that cluster's own report, against its own authority;
    so here only these are held against each other.
    """
    found = []
    for one, mine in reports.items():
        for other, theirs in reports.items():
            lacking = mine.expected.signers - theirs.expected.roots
            subject = f"{other} towards {one}"
            if not mine.expected.signers or not theirs.expected.roots:
                continue  # its own report says that it has none
            if lacking:
                text = (
                    f"it does not trust {named(lacking)}, under which {one} signs: no request from there gets through"
                )
                found.append(Finding(State.FAILED, subject, text, _HINT))
            elif one != other:
                found.append(Finding(State.OK, subject, f"it trusts what {one} signs"))
    return found
