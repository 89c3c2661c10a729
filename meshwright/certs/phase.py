"""status: where a mesh stands in a change of its root, derived from the cluster alone.

A change from root A to root B has these phases, and between any two of them a gate that must hold everywhere:

    P0  trust A        sign under A    at rest, before
    P1  trust A and B  sign under A    until everybody trusts both
    P2  trust A and B  sign under B    until nobody presents A any more
    P3  trust B        sign under B    until nobody trusts A any more; then at rest

What the CA Secret says is the phase; whether every place has followed is its gate. With two roots in the Secret the
direction is still to be told: a mesh that trusts both and signs under A can be on its way to B, or back from it. The
standby Secret of a change of ours says which; without one (somebody else's change) a doubled root does, which is how
everybody is made to take a new certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from meshwright.certs import waivers
from meshwright.certs.certificate import Certificate, named
from meshwright.certs.finding import Finding
from meshwright.certs.trust import Report
from meshwright.certs.trust import report as judged
from meshwright.check import State
from meshwright.kube import Session

__all__ = [
    "CASE",
    "MODE",
    "NEW",
    "OLD",
    "STANDBY",
    "Intention",
    "Phase",
    "Position",
    "derive",
    "intention",
    "position",
    "where",
]

STANDBY = "meshwright-ca-standby"
"""The Secret beside the CA Secret in which the key waits that does not sign now."""

OLD, NEW = "meshwright/old-root", "meshwright/new-root"
"""Its annotations: sha256 of the root that a change comes from, and of the one that it goes to."""


class Phase(StrEnum):
    """Where a mesh stands; the values are for sentences."""

    REST = "P0: one root"
    BOTH_SIGN_OLD = "P1: both roots are trusted, the old one signs"
    BOTH_SIGN_NEW = "P2: both roots are trusted, the new one signs"
    NEW_ALONE = "P3: only the new root is trusted"
    UNKNOWN = "not known"


_GATES = {
    Phase.REST: "every place trusts this root alone and presents what it signed",
    Phase.BOTH_SIGN_OLD: "every place trusts both roots and presents what the old one signed",
    Phase.BOTH_SIGN_NEW: "every place trusts both roots and presents what the new one signed",
    Phase.NEW_ALONE: "every place trusts the new root alone and presents what it signed",
    Phase.UNKNOWN: "",
}
_NEXT = {
    Phase.BOTH_SIGN_OLD: "sign with the new root, or take it away again; both are safe",
    Phase.BOTH_SIGN_NEW: "take the old root away, or sign with it again; both are safe",
    Phase.NEW_ALONE: "forget the old key when it is certain that nobody goes back",
}
_WAIT = "wait until the gate holds; what has not followed is listed"


CASE, MODE = "meshwright/change", "meshwright/mode"
"""Its annotations with the kind of change, and with how slow proxies follow."""


@dataclass(frozen=True)
class Intention:
    """What the standby Secret says about a change: the sha256 of both roots, its kind and its mode ("" without), and
    the proxies that no gate waits for, with the reasons."""

    old: str
    new: str
    case: str = ""
    mode: str = ""
    waived: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """Where a mesh stands. `stable` is whether the gate of the phase holds; `sure` is False where the direction of a
    change is only the likelier one. `old` and `new` are the roots; at rest `new` is None. `same_key`: both roots have
    one key, so that a certificate under one is under the other as well. `waived` are the proxies that the gate does not
    wait for, with the reasons."""

    phase: Phase
    stable: bool
    old: Certificate | None
    new: Certificate | None
    why: str
    sure: bool = True
    same_key: bool = False
    waiting: tuple[Finding, ...] = ()
    waived: Mapping[str, str] = field(default_factory=dict)

    @property
    def gate(self) -> str:
        """What must hold everywhere before the next phase."""
        return _GATES[self.phase]

    @property
    def next(self) -> str:
        """What may be done from here."""
        if self.phase is Phase.UNKNOWN:
            return ""
        return _NEXT.get(self.phase, "nothing is to be done") if self.stable else _WAIT

    def as_json(self) -> dict[str, Any]:
        """The parts of `--json`."""
        return {
            "phase": self.phase.name.lower(),
            "stable": self.stable,
            "sure": self.sure,
            "why": self.why,
            "old_root": self.old.sha256 if self.old else None,
            "new_root": self.new.sha256 if self.new else None,
            "same_key": self.same_key,
            "gate": self.gate or None,
            "next": self.next or None,
            "waiting": [each.as_json() for each in self.waiting],
            "waived": dict(self.waived),
        }


@dataclass(frozen=True)
class Derived:
    """The phase that a CA Secret says, before anybody has been asked whether he followed."""

    phase: Phase
    old: Certificate | None
    new: Certificate | None
    why: str
    sure: bool = True


def derive(
    ordered: Sequence[Certificate],
    signing: frozenset[Certificate],
    elsewhere: frozenset[Certificate],
    intended: Intention | None,
) -> Derived:
    """The phase. `ordered` are the roots in the CA Secret, in order and with doubles; `signing` those of them that its
    signer is under; `elsewhere` all roots that some place trusts; `intended` what the standby Secret says."""
    roots = list(dict.fromkeys(ordered))
    if not roots or not signing:
        return Derived(Phase.UNKNOWN, None, None, "the CA Secret has no root that its signer is under")
    if len(roots) == 1:
        return _single(roots[0], elsewhere, intended)
    if len(roots) > 2:
        return Derived(Phase.UNKNOWN, None, None, f"the CA Secret has {len(roots)} roots: {named(roots)}")
    # Of two roots with one key both are signing: then the first is the one that was there before.
    now = roots[0] if len(signing) > 1 else next(iter(signing))
    other = next(each for each in roots if each != now)
    if intended is not None and {intended.old, intended.new} == {now.sha256, other.sha256}:
        return _both(now, other, going_to_now=intended.new == now.sha256, why=f"Secret {STANDBY} says where to")
    doubled = ordered.count(now) > 1
    why = "the signing root is there twice, so everybody was made to take a new certificate" if doubled else _PLAIN
    return _both(now, other, going_to_now=doubled, why=why, sure=False)


_PLAIN = "the other root was added, and nobody was made to take a new certificate yet"


def _single(root: Certificate, elsewhere: frozenset[Certificate], intended: Intention | None) -> Derived:
    others = sorted(elsewhere - {root}, key=lambda each: each.sha256)
    known = {each.sha256: each for each in others}
    if intended is not None and intended.new == root.sha256:
        text = f"the old key still waits in Secret {STANDBY}"
        return Derived(Phase.NEW_ALONE, known.get(intended.old), root, text)
    if intended is not None and intended.old == root.sha256:
        text = f"a new key waits in Secret {STANDBY}, and nothing of it is trusted or was taken back"
        return Derived(Phase.REST, root, known.get(intended.new), text)
    if others:
        text = f"the CA Secret has one root, and some places trust {named(others)} too"
        return Derived(Phase.NEW_ALONE, others[0], root, text, sure=False)
    return Derived(Phase.REST, root, None, "the CA Secret has one root, and nobody trusts another")


def _both(now: Certificate, other: Certificate, *, going_to_now: bool, why: str, sure: bool = True) -> Derived:
    if going_to_now:
        return Derived(Phase.BOTH_SIGN_NEW, other, now, why, sure)
    return Derived(Phase.BOTH_SIGN_OLD, now, other, why, sure)


def intention(live: Session, namespace: str) -> Intention | None:
    """What the standby Secret says; None without one. Its keys are let go of at once. Raises Forbidden, Unreachable."""
    found = live.get("v1", "Secret", STANDBY, namespace)
    said = {} if found is None else found["metadata"].get("annotations") or {}
    del found
    if OLD not in said or NEW not in said:
        return None
    return Intention(said[OLD], said[NEW], said.get(CASE, ""), said.get(MODE, ""), waivers.kept(said))


def where(live: Session, report: Report) -> Position:
    """Where the mesh of this report stands, with what its standby Secret says. Raises Forbidden, Unreachable."""
    # Who may not read the CA's Secret may not read this one either, and then nothing can be said in any case.
    intended = intention(live, report.seen.mesh.namespace) if report.seen.authority is not None else None
    waived = {**report.waived, **(intended.waived if intended else {})}
    return position(judged(report.seen, waived) if waived != report.waived else report, intended)


def position(report: Report, intended: Intention | None) -> Position:
    """Where the mesh of this report stands. The gate of the phase is that nothing in the report lags."""
    authority = report.seen.authority
    waiting = tuple(each for each in report.laggards if each.state is not State.WARNING)
    if authority is None or authority.signer is None:
        why = "the CA Secret may not be read" if authority is None else f"it is {authority.kind}: {authority.why}"
        return Position(Phase.UNKNOWN, False, None, None, why, waiting=waiting)
    trusted = frozenset(root for place in report.seen.places for root in place.roots or ())
    found = derive(authority.ordered, report.expected.signers & authority.roots, trusted, intended)
    same = found.old is not None and found.new is not None and _key(found.old) == _key(found.new)
    stable = report.ok and found.phase is not Phase.UNKNOWN
    return Position(found.phase, stable, found.old, found.new, found.why, found.sure, same, waiting, report.waived)


def _key(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return certificate.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
