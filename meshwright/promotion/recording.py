"""The record of a promotion, among those of the environment that it goes to: who, why, from where, who approved it.

It is begun before the file of values is written. The apply that may follow has its own record, like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from meshwright import cluster
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.holder import Holder
from meshwright.plan import Plan, digest
from meshwright.promotion.prepared import Prepared
from meshwright.records import Result, configmaps, file, model, origin
from meshwright.records.model import Entry
from meshwright.target import Target

__all__ = ["DEPLOY", "Writing"]

DEPLOY = "promote"
"""What stands where other records name a deploy."""
_OF_A_CHECK = ("group", "check", "state", "fatal", "detail", "seconds")


class Writing:
    """One record, while the promotion goes on; each cluster of the environment has it. `about` is what a promotion's
    record has: from, skip, approved_by."""

    def __init__(
        self,
        places: Sequence[tuple[Environment, Sequence[Target]]],
        prepared: Prepared,
        reason: str,
        about: Mapping[str, Any],
    ) -> None:
        self._places = [(env, host) for env, hosts in places for host in hosts]
        env, first = self._places[0]
        at = model.now()
        changes = tuple(each.change for each in prepared.differences)
        plan = Plan(DEPLOY, digest([prepared.release.digest, prepared.previous]), changes, checked=len(changes))
        self._started: Entry = {
            "id": model.new_id(at),
            "entry": "started",
            "at": at,
            "environment": env.environment,
            "holder": str(Holder.here()),
            "who": origin.who(),
            "commit": origin.commit(first.project.root),
            "program": "meshwright",
            "reason": reason,
            "approved": None,
            "deploy": DEPLOY,
            "steps": [DEPLOY],
            "plan": [model.row(first.name, plan)],
            "cluster": None,
            "release": prepared.release.digest,
            "promotion": dict(about),
        }

    @property
    def id(self) -> str:
        """The id of the record."""
        return str(self._started["id"])

    @property
    def at(self) -> str:
        """When it was begun, UTC in ISO 8601."""
        return str(self._started["at"])

    def begin(self) -> None:
        """Writes its beginning, to the hosts' files. Raises MeshwrightError: no record, no promotion."""
        for env, host in self._places:
            file.append(host, env.name, self._started)

    def end(
        self,
        result: Result,
        message: str = "",
        hint: str = "",
        *,
        steps: Sequence[Mapping[str, Any]] = (),
        checks: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Writes how it ended, to the files, and all of it to the cluster where one answers. `steps` and `checks` are
        those of the apply. What cannot be written is said."""
        own = {"step": DEPLOY, "state": "changed" if result is Result.OK else "failed", "seconds": None}
        rows = [{"host": self._places[0][1].name, **each} for each in (own, *steps)]
        ended: Entry = {
            "id": self.id,
            "entry": "ended",
            "at": model.now(),
            "environment": self._started["environment"],
            "result": result.value,
            "message": message,
            "hint": hint,
            "steps": rows,
            "plan": [],
            "checks": [
                {key: each.get(key) for key in ("group", "check", "state", "fatal", "detail")} for each in checks
            ],
            "cluster": None,
            "kubernetes": None,
        }
        for env, host in self._places:
            try:
                file.append(host, env.name, ended)
            except MeshwrightError as error:
                host.say(f"the end of the promotion's record could not be written: {error.message}")
            with contextlib.suppress(MeshwrightError):
                host.shared.look_again()
                session = cluster.session(host, env)
                if session is not None:
                    configmaps.write(session, env.name, self._started)
                    configmaps.write(session, env.name, ended)
