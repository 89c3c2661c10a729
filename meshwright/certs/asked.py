"""What the root of a mesh can be changed to, in the words of `--to`, and the CA that is meant."""

from __future__ import annotations

import datetime as dt

from meshwright.certs import candidate, inventory, making, trust
from meshwright.certs.authority import Authority, Kind
from meshwright.certs.contents import Ca, Case
from meshwright.certs.phase import Intention
from meshwright.certs.standby import Standby
from meshwright.certs.versions import parse
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import BadInput, Refused
from meshwright.kube import Session
from meshwright.target import Target

__all__ = ["FILES", "FORGET", "LEAF_LIFE", "TO", "case_of", "from_folder", "made", "now", "same"]

FORGET = "forget"
"""Deletes the standby Secret: the change is over, and nothing leads back."""

FILES = "cacerts:"
"""Before the folder of a CA that is to be plugged in."""

_NEW_OWN, _EXTEND = "new-self-signed", "extend"
TO = f"{_NEW_OWN}, {_EXTEND}, {FILES}DIR (with ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem) or {FORGET}"
"""All of them, for a sentence."""

LEAF_LIFE = dt.timedelta(days=1)
"""How long a workload's certificate lives: what agents ask for (SECRET_TTL)."""

_LIFE = dt.timedelta(days=3650)


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.UTC)


def same(target: Target, to: str, meant: Intention) -> bool:
    """Whether the change that is under way is the one that is asked for."""
    if to.startswith(FILES):
        return from_folder(target, to, key=False).root.sha256 == meant.new
    return {_NEW_OWN: Case.IN_PLACE.name, _EXTEND: Case.EXTEND.name}.get(to) == meant.case


def case_of(to: str, authority: Authority) -> Case:
    """The kind of change that `to` is for this authority. Raises BadInput: it is none."""
    if to == _NEW_OWN:
        return Case.IN_PLACE
    if to == _EXTEND:
        return Case.EXTEND
    if to.startswith(FILES) and to != FILES:
        return Case.PLUG_IN if authority.kind is Kind.SELF_SIGNED else Case.REPLACE
    raise BadInput(f"{to!r} is nothing that a root can be changed to", hint=f"Say one of: {TO}")


def from_folder(target: Target, to: str, *, key: bool) -> Ca:
    """The CA in the folder of `to` on the host, relative to the project. Raises BadInput."""
    folder = to.removeprefix(FILES).rstrip("/")
    at = target.expand(folder)
    names = ("ca-cert.pem", "cert-chain.pem", "root-cert.pem", *(("ca-key.pem",) if key else ()))
    files = {name: target.read(f"{at}/{name}") or b"" for name in names}
    # A plan does without the key; that it belongs to the certificate is looked at before anything is written.
    return making.from_files(files if key else {**files, "ca-key.pem": b"PRIVATE KEY"}, folder)


def made(target: Target, env: Environment, live: Session, to: str) -> Standby:
    """Both CAs, with their keys; judged whole before anything is written."""
    report = trust.verify(live, env, now())
    authority = report.seen.authority
    secret = None
    if authority is not None and authority.secret:
        secret = live.get("v1", "Secret", authority.secret.rpartition("/")[2], env.istio.namespace)
    if authority is None or secret is None:
        raise Refused("the CA Secret is gone since it was looked at", hint="`meshwright certs check-root` says more")
    old, case, at = making.held(secret), case_of(to, authority), now()
    if case is Case.IN_PLACE:
        new = making.new_root(old.root, at, _LIFE, _istiod(live, env))
    elif case is Case.EXTEND:
        new = making.extended(old, at, _LIFE)
    else:
        new = from_folder(target, to, key=True)
    bad = [each for each in candidate.findings(new, old, at, LEAF_LIFE, case) if each.state is State.FAILED]
    if bad:
        raise Refused(f"{bad[0].subject}: {bad[0].detail}", hint=bad[0].hint or "Nothing was written")
    return Standby(case, old, new)


def _istiod(live: Session, env: Environment) -> tuple[int, int, int]:
    """The oldest istiod's version: its Go computes key identifiers."""
    known = [part.number for part in inventory.check(live, env).parts if part.kind == "istiod" and part.number]
    return min(known) if known else parse(env.istio.version) or (0, 0, 0)
