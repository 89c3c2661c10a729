"""Places: everything in a mesh that trusts roots or presents a certificate, seen in one form, and how one is judged.

The rule behind it all: nobody may present what somebody else does not trust yet. So a mesh is in order when every place
trusts exactly the roots that the authority hands out, and everything that is presented chains to the one that it signs
under now.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from meshwright.certs.certificate import Certificate, named
from meshwright.certs.chain import roots_of, why_none
from meshwright.certs.finding import Finding
from meshwright.check import State
from meshwright.errors import MeshwrightError

__all__ = ["Expected", "Place", "judge"]


@dataclass(frozen=True)
class Expected:
    """What every place should have: the roots to trust, and those of them that what is presented must chain to.
    `source` says where that is written. `known` are further roots, to say in words what else was signed under."""

    source: str
    roots: frozenset[Certificate]
    signers: frozenset[Certificate]
    known: frozenset[Certificate] = frozenset()


@dataclass(frozen=True)
class Place:
    """One thing that was looked at. `kind` is its group in a report, `name` its name in there.

    `roots` is what it trusts (None: it trusts nothing), `chain` what it presents, its own certificate first (None: it
    presents nothing). `error`: it could not be looked at. `why`: it was, and it is not as it should be. `note`: it is,
    and something should be known. `hint` is what brings it up to date.
    """

    kind: str
    name: str
    roots: frozenset[Certificate] | None = None
    chain: tuple[Certificate, ...] | None = None
    error: MeshwrightError | None = None
    why: str = ""
    note: str = ""
    hint: str = ""

    @property
    def label(self) -> str:
        """Kind and name, for a sentence."""
        return f"{self.kind} {self.name}"

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows: certificates by their sha256."""
        leaf = self.chain[0] if self.chain else None
        return {
            "kind": self.kind,
            "name": self.name,
            "trusts": None if self.roots is None else sorted(each.sha256 for each in self.roots),
            "presents": leaf.sha256 if leaf else None,
            "presents_until": leaf.not_after.isoformat() if leaf else None,
            "error": self.error.message if self.error else None,
        }


def judge(place: Place, expected: Expected, now: dt.datetime) -> Finding:
    """How a place stands to what is expected. Roots are compared as sets of DER: order and doubles mean nothing."""
    if place.error is not None:
        return Finding(State.NOT_VERIFIED, place.label, place.error.message, place.error.hint or place.hint)
    wrong = [place.why, _trusting(place, expected), _presenting(place, expected, now)]
    said = "; ".join(filter(None, wrong))
    if not said and place.note:
        return Finding(State.WARNING, place.label, place.note, place.hint)
    return Finding(State.FAILED if said else State.OK, place.label, said, place.hint if said else "")


def _trusting(place: Place, expected: Expected) -> str:
    if place.roots is None or place.roots == expected.roots:
        return ""
    if not place.roots:
        return "it trusts no root at all"
    missing, extra = expected.roots - place.roots, place.roots - expected.roots
    said = [f"does not trust {named(missing)} yet"] if missing else []
    said += [f"still trusts {named(extra)}"] if extra else []
    return f"it {' and '.join(said)}"


def _presenting(place: Place, expected: Expected, now: dt.datetime) -> str:
    if place.chain is None:
        return ""
    if not place.chain:
        return "it presents no certificate"
    leaf, others = place.chain[0], place.chain[1:]
    if roots_of(leaf, others, expected.signers, now):
        return ""
    under = roots_of(leaf, others, (expected.roots | expected.known) - expected.signers, now)
    if under:
        return f"it presents a certificate under {named(under)}, not under {named(expected.signers)}"
    why = why_none(leaf, others, expected.signers, now)
    return f"it presents a certificate with no path to {named(expected.signers)}: {why}"
