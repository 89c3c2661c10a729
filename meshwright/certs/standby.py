"""The standby Secret: both CAs of a change, whole, so that a run that was killed can go on, or back.

Written before the CA Secret is touched and deleted last, in the same namespace, so that whoever may read the one may
read the other. What signs now is in both; the key that does not sign is here alone. It is a help, not the truth: the
phase is derived from the CA Secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshwright.certs import waivers
from meshwright.certs.authority import SELF_SIGNED_SECRET
from meshwright.certs.certificate import pem
from meshwright.certs.contents import Ca, Case
from meshwright.certs.making import held
from meshwright.certs.modes import Mode, mode_of
from meshwright.certs.phase import CASE, MODE, NEW, OLD, STANDBY
from meshwright.errors import MeshwrightError, Refused
from meshwright.kube import ApiError, Session

__all__ = ["Standby", "follow", "forget", "keep", "of_secret", "read", "secret"]

Object = dict[str, Any]

_HELD_IN = "meshwright/held-in"
_SIDES = ("old", "new")


@dataclass(frozen=True)
class Standby:
    """A change that was begun: what kind, both CAs with their keys, how slow proxies follow, and those that no gate
    waits for, with the reasons."""

    case: Case
    old: Ca
    new: Ca
    mode: Mode = Mode.LIVE
    waived: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.case}: {self.old!r} to {self.new!r}>"


def secret(change: Standby, namespace: str) -> Object:
    """The Secret of a change. It has keys in it: it is not to be shown."""
    data: dict[str, str] = {}
    for side, ca in zip(_SIDES, (change.old, change.new), strict=True):
        files = {
            "ca-cert.pem": pem([ca.signer]),
            "ca-key.pem": ca.key,
            "cert-chain.pem": ca.cert_chain,
            "root-cert.pem": ca.roots_text or ca.text,
        }
        data |= {f"{side}.{name}": base64.b64encode(text.encode()).decode() for name, text in files.items()}
    annotations = {
        OLD: change.old.root.sha256,
        NEW: change.new.root.sha256,
        CASE: change.case.name,
        MODE: change.mode.value,
        _HELD_IN: change.old.secret,
    }
    if change.waived:
        annotations[waivers.WAIVED] = waivers.text(change.waived)
    metadata = {"name": STANDBY, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def of_secret(found: Object) -> Standby:
    """The change in a standby Secret. Raises MeshwrightError: it is not one of ours, or damaged."""
    metadata, data = found["metadata"], found.get("data") or {}
    said = metadata.get("annotations") or {}
    where = f"Secret {metadata['namespace']}/{metadata['name']}"
    if said.get(CASE) not in Case.__members__:
        raise MeshwrightError(f"{where} does not say what change it is for")
    cas = [_side(side, data, metadata["namespace"], where) for side in _SIDES]
    old, new = cas
    if (old.root.sha256, new.root.sha256) != (said.get(OLD), said.get(NEW)):
        raise MeshwrightError(f"{where} has not the roots that its annotations name")
    kept = Ca(old.root, old.signer, old.chain, old.key, said.get(_HELD_IN, ""), old.roots_text)
    mode, waived = mode_of(said.get(MODE, "")), waivers.kept(said)
    return Standby(Case[said[CASE]], kept, Ca(new.root, new.signer, new.chain, new.key), mode, waived)


def _side(side: str, data: dict[str, str], namespace: str, where: str) -> Ca:
    files = {name.partition(".")[2]: text for name, text in data.items() if name.partition(".")[0] == side}
    # Read as a plugged-in CA: all its files count.
    name = f"{side} CA of {where}"
    assert name != SELF_SIGNED_SECRET
    return held({"metadata": {"namespace": namespace, "name": name}, "data": files})


def read(live: Session, namespace: str) -> Standby | None:
    """The change that was begun, with its keys; None where none was. Raises Forbidden, Unreachable, MeshwrightError."""
    found = live.get("v1", "Secret", STANDBY, namespace)
    return None if found is None else of_secret(found)


def keep(live: Session, change: Standby, namespace: str) -> None:
    """Writes the standby Secret of a change that is to begin. Raises Refused: there is one already."""
    try:
        live.create(secret(change, namespace))
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        raise Refused(
            f"Secret {namespace}/{STANDBY} is there: a change of the root was begun and not finished",
            hint="`meshwright certs status` says where it stands; go on with it, or take it back",
        ) from None


def follow(live: Session, namespace: str, mode: Mode, waived: Mapping[str, str]) -> None:
    """Keeps another mode, and other waivers, for the change that is under way: whoever goes on with it has these."""
    annotations = {MODE: mode.value, waivers.WAIVED: waivers.text(waived)}
    live.patch("v1", "Secret", STANDBY, namespace, body={"metadata": {"annotations": annotations}})


def forget(live: Session, namespace: str) -> bool:
    """Deletes the standby Secret, and with it the key that does not sign: from here nothing leads back. Returns whether
    it was there."""
    return live.delete("v1", "Secret", STANDBY, namespace)
