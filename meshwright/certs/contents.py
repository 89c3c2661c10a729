"""What a CA Secret has in each phase of a change of its root: pure, nothing here reads or writes a cluster.

The order of these contents, each behind its gate, is the whole change. Two rules shape their text:

- istiod before 1.30 takes a changed bundle over only when the old text contains the new one, or the new one the old
  (istiod from 1.30 on compares sets). So the live text is never rewritten: roots are put behind it or taken from it.
- Nobody asks for a new certificate because the signer has changed; agents do when the *text* of the bundle does. So
  with the signer the text changes too, and as the set of roots must not, a root is written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET
from meshwright.certs.certificate import Certificate, bundle, pem
from meshwright.certs.versions import Version

__all__ = ["Ca", "Case", "Content", "Step", "back", "content", "forward", "takes_over"]

# Since when istiod compares bundles as sets, and since when it takes a new root over at all while it runs.
_SETS, _LIVE = (1, 30, 0), (1, 20, 0)


class Case(StrEnum):
    """The changes there are; the values are for sentences."""

    IN_PLACE = "istiod's own CA to a new one of its own"
    PLUG_IN = "istiod's own CA to a plugged-in CA"
    REPLACE = "a plugged-in CA to another"
    EXTEND = "the same key with a longer life"


class Step(StrEnum):
    """The contents of a change in their order; a way back goes through the same places."""

    OLD = "P0"
    BOTH_SIGN_OLD = "P1"
    BOTH_SIGN_NEW = "P2"
    NEW = "P3"


@dataclass(frozen=True)
class Ca:
    """A CA with its key. `signer` is the certificate of the key, `chain` what is between it and the root, without the
    root; where the root itself signs, it is the signer and the chain is empty. `secret` is the name of the Secret that
    has it, and `roots_text` the text of its root as it stands there; both are "" where it is in none yet."""

    root: Certificate
    signer: Certificate
    chain: tuple[Certificate, ...]
    key: str
    secret: str = ""
    roots_text: str = ""

    def __repr__(self) -> str:
        return f"<CA {self.signer.label} under {self.root.label}>"

    @property
    def text(self) -> str:
        """The root as PEM: as it stands, or made anew, with one line end behind it."""
        text = self.roots_text or pem([self.root])
        return text if text.endswith("\n") else text + "\n"

    @property
    def cert_chain(self) -> str:
        """cert-chain.pem: from the signer up, without the root; empty where the root signs."""
        return "" if self.signer == self.root else pem((self.signer, *self.chain))


@dataclass(frozen=True)
class Content:
    """What the Secret `secret` has at one step, file by file. It has a key in it: it is not to be shown."""

    step: Step
    secret: str
    files: dict[str, str]

    def __repr__(self) -> str:
        return f"<{self.step} of Secret {self.secret}>"

    @property
    def roots_text(self) -> str:
        """The text that is handed out to be trusted."""
        return self.files["ca-cert.pem" if self.secret == SELF_SIGNED_SECRET else "root-cert.pem"]

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """The certificates in it, in order and with doubles."""
        return bundle(self.roots_text)


def forward(case: Case, old: Ca, new: Ca) -> tuple[Content, ...]:
    """The contents of P1, P2 and P3, in order. `extend` has no P2: one key is under both roots at once."""
    return _along(case, old, new, _FORWARD[1:], old.text)


def back(case: Case, old: Ca, new: Ca, at: Step, live: str) -> tuple[Content, ...]:
    """The contents of the way back from `at`, where the bundle is `live`, in order, each behind its gate; the last has
    the old root alone.

    From P3 it leads through both phases again, and needs the old key. For a mesh that was on its own CA before it was
    given a plugged-in one, the last content is that CA plugged in: deleting the Secret then is the caller's, and safe
    only there.
    """
    return _along(case, old, new, tuple(reversed(_FORWARD[: _FORWARD.index(at)])), live)


_FORWARD = (Step.OLD, Step.BOTH_SIGN_OLD, Step.BOTH_SIGN_NEW, Step.NEW)


def _along(case: Case, old: Ca, new: Ca, steps: Sequence[Step], live: str) -> tuple[Content, ...]:
    found = []
    for step in steps:
        if case is Case.EXTEND and step is _LEFT_OUT[steps[-1]]:
            continue
        found.append(content(case, step, old, new, live))
        live = found[-1].roots_text
    return tuple(found)


# With one key both ways need one phase of both roots only: the one in which the signer does not change yet.
_LEFT_OUT = {Step.NEW: Step.BOTH_SIGN_NEW, Step.OLD: Step.BOTH_SIGN_OLD}


def content(case: Case, step: Step, old: Ca, new: Ca, live: str) -> Content:
    """What the Secret has at `step`, when the bundle that is handed out now is `live`: whatever was written before, by
    a change that went back and forth, the new text contains it or is contained in it, and is another one."""
    secret = _secret(case, old)
    signer, other = (old, new) if step in (Step.OLD, Step.BOTH_SIGN_OLD) else (new, old)
    if step in (Step.OLD, Step.NEW):
        return _filled(secret, step, signer, signer.text)
    live = live if live.endswith("\n") or not live else live + "\n"
    there = frozenset(bundle(live))
    # Both are there: then what is wanted is another signer, and with it another text.
    lacking = [ca.text for ca in (old, new) if ca.root not in there] or [signer.text]
    # In istio-ca-secret the signer comes first: with it in front of both, the text is another one too.
    also = other.text if step is Step.BOTH_SIGN_OLD or other.root not in there else old.text + new.text
    return _filled(secret, step, signer, live + "".join(lacking), also=also)


def _secret(case: Case, old: Ca) -> str:
    """The Secret that is written."""
    if case is Case.EXTEND:
        return old.secret
    return SELF_SIGNED_SECRET if case is Case.IN_PLACE else PLUGGED_SECRET


def _filled(secret: str, step: Step, signer: Ca, roots: str, also: str = "") -> Content:
    """`roots` is the bundle where it has a file of its own; in istio-ca-secret the first certificate signs, so there it
    is the signer's own with `also` behind it."""
    if secret == SELF_SIGNED_SECRET:
        own = signer.text + also
        return Content(
            step,
            secret,
            # istiod reads the first two alone; what it wrote into the third when it made the Secret is kept true.
            {"ca-cert.pem": own, "ca-key.pem": signer.key, "root-cert.pem": own},
        )
    return Content(
        step,
        secret,
        {
            "ca-cert.pem": pem([signer.signer]),
            "ca-key.pem": signer.key,
            "cert-chain.pem": signer.cert_chain,
            "root-cert.pem": roots,
        },
    )


def takes_over(version: Version, before: str, after: str) -> bool:
    """Whether an istiod of this version takes the bundle `after` over while it runs with `before`. A bundle that is the
    same is no change of roots, and its signer is taken over by all."""
    if before == after:
        return True
    if version < _LIVE:
        return False
    if version < _SETS:
        return before in after or after in before
    first, second = frozenset(bundle(before)), frozenset(bundle(after))
    return first <= second or second <= first
