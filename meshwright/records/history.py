"""The records of an environment, from the file on its host and from its cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from meshwright import cluster, kube, lease
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.holder import Holder
from meshwright.records import configmaps, file
from meshwright.records.model import Entry, Record, Result, joined
from meshwright.target import Target

__all__ = ["History", "of"]


@dataclass(frozen=True)
class History:
    """`records`, newest first. `not_asked` is why the cluster was not asked, empty when it was. `spoilt` has a sentence
    for each line of a file and each ConfigMap that could not be read: which, and why."""

    records: tuple[Record, ...]
    not_asked: str
    spoilt: tuple[str, ...]

    @property
    def cut(self) -> int:
        """How many these are."""
        return len(self.spoilt)


def of(targets: Sequence[Target], env: Environment) -> History:
    """The history of an environment as its hosts and its cluster have it. A cluster that does not answer is no error:
    the files alone are a history, and `not_asked` says so. Raises MeshwrightError where a file cannot be read."""
    entries: list[Entry] = []
    held: set[str] = set()
    spoilt: list[str] = []
    not_asked = ""
    for target in targets:
        found, bad = file.read(target, env.name)
        entries += found
        spoilt += bad
        try:
            session = cluster.session(target, env)
            if session is None:
                not_asked = cluster.no_session(target, env)
            else:
                found, bad = configmaps.read(session, env.name)
                entries += found
                spoilt += bad
                held.add(_held(session))
        except MeshwrightError as error:
            not_asked = error.message
    known = None if not_asked else held
    records = joined(entries, lambda holder: _unended(holder, known))
    return History(tuple(records), not_asked, tuple(dict.fromkeys(spoilt)))


def _unended(holder: str, held: set[str] | None) -> Result:
    """How a run without an end stands: does its process live, or has it a Lease? `held` is who has one, None where that
    is not known."""
    found = Holder.read(holder)
    alive = found.alive if found else None
    if alive is None:
        if held is None:
            return Result.UNKNOWN
        alive = bool(holder) and holder in held
    return Result.RUNNING if alive else Result.INTERRUPTED


def _held(session: kube.Session) -> str:
    """Who holds the Lease; nobody where it has ended. Here, where it is only shown, the holder's clock is believed."""
    spec = (lease.current(session) or {}).get("spec") or {}
    try:
        renewed = dt.datetime.fromisoformat(spec["renewTime"])
        ends = renewed + dt.timedelta(seconds=spec["leaseDurationSeconds"])
    except (KeyError, TypeError, ValueError):
        return ""
    return str(spec.get("holderIdentity") or "") if ends > dt.datetime.now(dt.UTC) else ""
