"""Writing the record of one run while it goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from meshwright import kube
from meshwright.errors import MeshwrightError, Refused, Unreachable
from meshwright.holder import Holder
from meshwright.plan import Plan
from meshwright.records import configmaps, file, model, origin
from meshwright.records.model import Entry, Result
from meshwright.target import Target

__all__ = ["Recorder"]

_OF_A_CHECK = ("group", "check", "state", "fatal", "detail", "seconds")


class Recorder:
    """The record of one run, made when something is about to be changed for the first time: it finds out who does it.

    `about` is what else is known of the run: program, reason, approved, deploy and steps (names), and, where there are
    windows, window and override. `shown` has the plans that were shown, with their hosts.
    """

    def __init__(
        self, environment: str, target: Target, about: dict[str, Any], shown: Iterable[tuple[str, Plan]]
    ) -> None:
        at = model.now()
        self._environment = environment
        self._rows = [model.row(host, plan) for host, plan in shown if not plan.empty]
        self._rows_at_start = 0
        self._files: dict[str, Target] = {}
        self._clusters: dict[str, tuple[kube.Session, Callable[[str], None]]] = {}
        self._started: Entry = {
            "id": model.new_id(at),
            "entry": "started",
            "at": at,
            "environment": self._environment,
            "holder": str(Holder.here()),
            "who": origin.who(),
            "commit": origin.commit(target.project.root),
            **about,
        }

    @property
    def id(self) -> str:
        """The id of the record."""
        return str(self._started["id"])

    def writing(self, target: Target, session: kube.Session | None, plan: Plan) -> None:
        """A step is about to apply `plan`. No record, no change: raises what writing it raises."""
        this = model.row(target.name, plan)
        new = this not in self._rows
        if new:
            self._rows.append(this)
        step: Entry = {"id": self._started["id"], "entry": "step", "at": model.now(), "host": target.name}
        step["step"] = plan.step
        if target.name in self._files:
            step["plan"] = [this] if new else []
            file.append(target, self._environment, step)
        else:
            self._rows_at_start = self._rows_at_start or len(self._rows)
            file.append(target, self._environment, self._beginning(session), step)
            self._files[target.name] = target
        if session is not None and (uid := session.identity().uid) not in self._clusters:
            configmaps.write(session, self._environment, self._beginning(session))
            self._clusters[uid] = (session, target.say)

    def forget(self, session: kube.Session) -> None:
        """The session's cluster has been deleted, and what was written there with it."""
        self._clusters.pop(session.identity().uid, None)

    def end(self, error: Exception | None, steps: list[dict[str, Any]], checks: list[dict[str, Any]]) -> bool:
        """Writes how the run ended, to the file and to the clusters; what cannot be written is said. `steps` and
        `checks` are as in the entry `ended`. Gives false when a cluster gave no answer."""
        entry = self._ended(*_outcome(error), steps, checks)
        self._end_files(entry)
        answered = True
        for session, say in self._clusters.values():
            try:
                with _told(say, "the end of this run's record could not be written to the cluster"):
                    configmaps.write(session, self._environment, entry)
                with _told(say, "old records could not be deleted from the cluster"):
                    configmaps.prune(session, self._environment)
            except Unreachable as gone:
                say(f"the end of this run's record could not be written to the cluster: {gone.message}")
                answered = False
        return answered

    def interrupted(self, message: str, steps: list[dict[str, Any]], checks: list[dict[str, Any]]) -> None:
        """Writes to the file alone that the run was interrupted."""
        self._end_files(self._ended(Result.INTERRUPTED, message, "", steps, checks))

    # Inside

    def _beginning(self, session: kube.Session | None) -> Entry:
        """The entry `started`, with what is known by now."""
        if session is not None and not self._started["who"]["kubernetes"]:
            self._started["who"]["kubernetes"] = origin.kubernetes_user(session)
        cluster = session.identity().uid if session is not None else None
        return {**self._started, "cluster": cluster, "plan": list(self._rows)}

    def _ended(
        self, result: Result, message: str, hint: str, steps: list[dict[str, Any]], checks: list[dict[str, Any]]
    ) -> Entry:
        return {
            "id": self._started["id"],
            "entry": "ended",
            "at": model.now(),
            "environment": self._environment,
            "result": result.value,
            "message": message,
            "hint": hint,
            "steps": steps,
            "plan": self._rows[self._rows_at_start :],
            "checks": [{key: check.get(key) for key in _OF_A_CHECK} for check in checks],
            "cluster": next(iter(self._clusters), None),
            "kubernetes": self._started["who"]["kubernetes"],
        }

    def _end_files(self, entry: Entry) -> None:
        for target in self._files.values():
            try:
                file.append(target, self._environment, entry)
            except MeshwrightError as error:
                target.say(f"the end of this run's record could not be written: {error.message}")


def _outcome(error: Exception | None) -> tuple[Result, str, str]:
    if error is None:
        return Result.OK, "", ""
    if not isinstance(error, MeshwrightError):
        # Its text may have anything in it.
        return Result.FAILED, f"a defect: {type(error).__name__}", ""
    return Result.REFUSED if isinstance(error, Refused) else Result.FAILED, error.message, error.hint


@contextlib.contextmanager
def _told(say: Callable[[str], None], what: str) -> Iterator[None]:
    """What cannot be done at the end is said; the run itself has ended as it has. Raises Unreachable."""
    try:
        yield
    except Unreachable:
        raise
    except MeshwrightError as error:
        say(f"{what}: {error.message}")
