"""Whether an environment has applied a release, its checks have passed, and since when it is there: from its records,
or where these do not say, from a look at the environment itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from meshwright import check, checks, release
from meshwright import deploy as deploys
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.execution import Execution
from meshwright.options import Options
from meshwright.project import Project
from meshwright.records import Record, Result
from meshwright.records.history import History
from meshwright.target import Target
from meshwright.wording import counted

__all__ = ["Applied", "applied", "everywhere"]

# What applies the values of a release; an apply of less has not applied it whole.
_WHOLE = frozenset({"istio", "resources"})
_DEPLOY = "site"


@dataclass(frozen=True)
class Applied:
    """`how` says how it is known; `since` is the end of the apply, `until` the beginning of the next one with another
    release. `refused` says why it is not, with `hint`. `record` is the apply's."""

    how: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    refused: str = ""
    hint: str = ""
    record: Record | None = None

    def lasted(self, now: dt.datetime) -> dt.timedelta | None:
        """How long it has been there; None where nobody knows since when."""
        return None if self.since is None else (self.until or now) - self.since


def applied(project: Project, env: Environment, hosts: Sequence[Target], history: History, digest: str) -> Applied:
    """What is known of the release `digest` in the environment."""
    records = history.records
    found = [index for index, record in enumerate(records) if _is_whole(record, digest)]
    checked = next((index for index in found if records[index].checks), None)
    current = release.of(project, env)
    if checked is None:
        if current is None or current.digest != digest:
            return _never(env, history, digest, bool(found))
        return _looked(project, env, hosts, history, digest)
    newer = [record for record in records[:checked] if record.release and record.release != digest]
    # Applied again, because somebody had changed the cluster, it is there since the first time.
    first = checked
    for index in range(checked + 1, len(records)):
        if records[index].release and records[index].release != digest:
            break
        first = index if _is_whole(records[index], digest) else first
    return Applied(
        f"{env.name} applied it, and {len(records[checked].checks)} checks held ({records[checked].id})",
        _moment(records[first].ended),
        _moment(newer[-1].started) if newer else None,
        record=records[checked],
    )


def everywhere(found: Sequence[Applied]) -> Applied:
    """What is known of all clusters of an environment together: they have applied it where all of them have, since the
    last one did."""
    refused = next((each for each in found if each.refused), None)
    if refused is not None or len(found) == 1:
        return refused or found[0]
    since = [each.since for each in found if each.since is not None]
    until = [each.until for each in found if each.until is not None]
    return Applied(
        "; ".join(each.how for each in found),
        max(since) if len(since) == len(found) else None,
        min(until, default=None),
        record=found[0].record,
    )


def _is_whole(record: Record, digest: str) -> bool:
    ended_well = {step["step"] for step in record.steps if step["state"] in ("unchanged", "changed")}
    return record.release == digest and record.result is Result.OK and ended_well >= _WHOLE


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _never(env: Environment, history: History, digest: str, unchecked: bool) -> Applied:
    name = release.short(digest)
    cut = f"; {counted(history.cut, 'line')} of its records could not be read" if history.cut else ""
    asked = f"; its cluster was not asked: {history.not_asked}" if history.not_asked else ""
    what = f"no checks were made when {env.name} applied {name}" if unchecked else f"{env.name} never applied {name}"
    return Applied(refused=f"{what}, as far as is known{cut}{asked}", hint=f"`meshwright apply {env.name}` first")


def _looked(project: Project, env: Environment, hosts: Sequence[Target], history: History, digest: str) -> Applied:
    """An apply that found nothing to change left no record, and one of a part of it made no checks."""
    steps = deploys.load(project, _DEPLOY)
    made = 0
    try:
        for host in hosts:
            pending = [plan.step for plan in Execution(host, env, steps, Options()).preview() if not plan.empty]
            if pending:
                why = f"{env.name} has not applied {release.short(digest)}: {', '.join(pending)} would change something"
                return Applied(refused=why, hint=f"`meshwright apply {env.name}` first")
            for result in check.run(checks.CHECKS, host, env):
                made += 1
                if result.fatal:
                    why = f"a check of {env.name} does not hold: {result.check.claim}: {result.detail}"
                    return Applied(refused=why, hint=result.check.hint)
    except MeshwrightError as error:
        return Applied(
            refused=f"whether {env.name} has applied {release.short(digest)} could not be found out: {error.message}",
            hint=error.hint or f"`meshwright apply {env.name}` first",
        )
    changing = next((record for record in history.records if record.ended and record.deploy != "promote"), None)
    return Applied(
        f"nothing is left to apply in {env.name}, and {made} checks hold now",
        _moment(changing.ended) if changing else None,
        record=changing,
    )
