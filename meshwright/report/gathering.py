"""What a report says, gathered for all environments at once, as plain values.

Nothing is changed. What could not be asked has a sentence in `not_verified`, under the part of the page that it is
missing from, and never stands for "there is none".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from meshwright import cluster, drift, objects, rendering
from meshwright.certs import root
from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError
from meshwright.kube import Session
from meshwright.project import Project
from meshwright.promotion import standing
from meshwright.promotion.standing import Standing
from meshwright.report import mesh, month, runs
from meshwright.report.mesh import Mesh
from meshwright.report.month import Month
from meshwright.report.runs import Run
from meshwright.target import Target
from meshwright.windows.calendar import Calendar
from meshwright.wording import counted, utc

__all__ = ["Certificate", "Gathered", "Life", "Touched", "gather"]

_TOUCHED = 200
_CERTIFICATES = 60
_ANY_TIME = "it has no windows: it may be changed at any time"


@dataclass(frozen=True)
class Life:
    """How long a certificate lasts. Days are as of the report; `warn` and `fail` are the environment's thresholds, in
    days left."""

    days: float
    whole: float
    warn: float
    fail: float
    until: str


@dataclass(frozen=True)
class Certificate:
    """A certificate, or (without `life`) something that was found out about certificates."""

    role: str
    name: str
    state: str
    detail: str
    hint: str = ""
    life: Life | None = None

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        life = self.life and {
            "days": round(self.life.days, 2), "warn_days": round(self.life.warn, 2),
            "fail_days": round(self.life.fail, 2), "until": self.life.until,
        }  # fmt: skip
        said = {"role": self.role or None, "name": self.name, "state": self.state, "detail": self.detail}
        return {**said, "hint": self.hint, "life": life}


@dataclass(frozen=True)
class Touched:
    """Something that was changed from outside: a field of an object, or (without `path`) the whole of it."""

    step: str
    kind: str
    name: str
    path: str
    how: str
    before: Any = None
    after: Any = None
    by: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Gathered:
    """One environment. The parts that are None or empty for want of an answer have a sentence in `not_verified`."""

    standing: Standing
    protected: bool = False
    month: Month | None = None
    runs: tuple[Run, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    mesh: Mesh | None = None
    drift: tuple[Touched, ...] = ()
    checked: int = 0
    """How many objects were looked at for drift."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What is to be said beside a part: what was left out of it."""
    not_verified: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.standing.environment

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            **self.standing.as_json(),
            "protected": self.protected,
            "windows": self.month and self.month.as_json(),
            "runs": [each.as_json() for each in self.runs],
            "certificates": [each.as_json() for each in self.certificates],
            "mesh": self.mesh and self.mesh.as_json(),
            "drift_found": [each.as_json() for each in self.drift],
            "drift_checked": self.checked,
            "notes": self.notes,
            "not_verified": self.not_verified,
        }


def gather(
    project: Project, names: Sequence[str], opened: standing.Opened, seconds: float, now: dt.datetime
) -> list[Gathered]:
    """What there is to say of these environments at `now`. None is waited for longer than `seconds`."""
    asked: dict[str, dict[str, Any]] = {name: {} for name in names}

    def more(env: Environment, hosts: Sequence[Target]) -> None:
        parts = asked[env.name]
        parts["mesh"] = _asked(lambda: _live_mesh(hosts, env))
        parts["certificates"] = _asked(lambda: _certificates(hosts, env, now))

    found = standing.of(project, names, opened, seconds, more)
    # A copy: whoever is late goes on writing.
    return [_gathered(project, each, dict(asked[each.environment]), now) for each in found]


def _asked(ask: Callable[[], Any]) -> Any:
    """What it gives, or why it gives nothing."""
    try:
        return ask()
    except MeshwrightError as error:
        return error.message
    except Exception as error:  # a defect in one part must not hide the others
        return f"a defect: {type(error).__name__}"


def _gathered(project: Project, stood: Standing, asked: dict[str, Any], now: dt.datetime) -> Gathered:
    why = stood.state if stood.state != "up" else "no answer in time"
    made = Gathered(stood)
    if stood.loaded is None:
        parts = ("windows", "runs", "certificates", "mesh", "drift")
        return replace(made, not_verified=dict.fromkeys(parts, why))
    env, missing, notes = stood.loaded.env, made.not_verified, made.notes
    certificates = asked.get("certificates", why)
    if isinstance(certificates, str):
        missing["certificates"] = certificates
    else:
        if len(certificates) > _CERTIFICATES:
            notes["certificates"] = [f"{len(certificates) - _CERTIFICATES} more that last longer are not shown"]
        made = replace(made, certificates=tuple(certificates[:_CERTIFICATES]))
    touched, checked = _touched(stood, missing, notes, why)
    return replace(
        made,
        protected=env.protected,
        month=_part(missing, "windows", lambda: _month(env, now)),
        runs=_runs(stood, missing, notes, why),
        mesh=_mesh(project, env, asked.get("mesh", why), missing),
        drift=touched,
        checked=checked,
    )


def _part(missing: dict[str, str], part: str, ask: Callable[[], Any]) -> Any:
    found = _asked(ask)
    if isinstance(found, str):
        missing[part] = found
        return None
    return found


def _month(env: Environment, now: dt.datetime) -> Month:
    return month.of(Calendar.of(env.windows), now) if env.windows is not None else Month(_ANY_TIME)


def _runs(stood: Standing, missing: dict[str, str], notes: dict[str, list[str]], why: str) -> tuple[Run, ...]:
    history = stood.history
    if history is None:
        missing["runs"] = why
        return ()
    said = [f"the cluster was not asked, only the file: {history.not_asked}"] if history.not_asked else []
    if history.cut:
        said.append(f"{counted(history.cut, 'line')} of the file could not be read")
    found, left_out = runs.of(history.records)
    said += left_out
    if said:
        notes["runs"] = said
    return found


def _certificates(hosts: Sequence[Target], env: Environment, now: dt.datetime) -> list[Certificate]:
    """What ends first on top; what was found beside it last. Raises as `root.check` does."""
    limits = env.certs
    days: dict[str, tuple[float, float]] = {
        "root": (limits.root_days_warn, limits.root_days_fail),
        "gateway": (limits.gateway_days_warn, limits.gateway_days_fail),
    }
    rows: list[Certificate] = []
    findings: list[Certificate] = []
    for host in hosts:
        at = f"{host.name}: " if len(hosts) > 1 else ""
        seen = root.check(cluster.answering(host, env), env, now)
        for row in seen.rows:
            cert = row.certificate
            whole = _days(cert.not_after - cert.not_before)
            warn, fail = days.get(row.role, (limits.ca_days_warn, limits.ca_days_fail))
            if row.role == "workload":  # its thresholds are shares of its life
                warn, fail = (whole * each / 100 for each in (limits.leaf_percent_warn, limits.leaf_percent_fail))
            life = Life(_days(cert.not_after - now), whole, warn, fail, utc(cert.not_after))
            rows.append(Certificate(row.role, f"{at}{row.name}", row.state.value, row.detail, row.hint, life))
        findings += [Certificate("", f"{at}{f.subject}", f.state.value, f.detail, f.hint) for f in seen.findings]
    return sorted(rows, key=lambda each: each.life.days if each.life else 0) + findings


def _days(time: dt.timedelta) -> float:
    return time.total_seconds() / 86400


def _live_mesh(hosts: Sequence[Target], env: Environment) -> Mesh:
    """The objects of the first host's cluster; a kind that may not be listed is said to be missing."""
    session = cluster.answering(hosts[0], env)
    missing = [f"the picture is of the cluster behind {hosts[0].name} alone"] if len(hosts) > 1 else []
    found: list[objects.Object] = []
    for (api, kind), answer in zip(mesh.KINDS, session.map(lambda of: _listed(session, *of), mesh.KINDS), strict=True):
        if isinstance(answer, Forbidden):
            missing.append(f"not verified: {kind} of {api}: {answer.message}")
        else:
            found += answer
    return mesh.of_objects(found, "the cluster", missing)


def _listed(session: Session, api: str, kind: str) -> list[objects.Object] | Forbidden:
    try:
        return session.list(api, kind)
    except Forbidden as error:
        return error


def _mesh(project: Project, env: Environment, live: Mesh | str, missing: dict[str, str]) -> Mesh | None:
    """The live one, or else that of the values, which says that it is no more than wished for."""
    if isinstance(live, Mesh):
        return live
    missing["mesh"] = live

    def wanted() -> Mesh:
        # Secrets are no part of the picture, and are not read for it.
        held = [name for name in ("credentials", "secrets") if hasattr(env.resources, name)]
        resources = env.resources.model_copy(update={name: {} for name in held})
        found = [each.obj for each in rendering.rendered(project, env.model_copy(update={"resources": resources}))]
        kinds = [obj for obj in found if (obj["apiVersion"], obj["kind"]) in mesh.KINDS]
        return mesh.of_objects(kinds, "the values")

    found = _asked(wanted)
    return found if isinstance(found, Mesh) else mesh.of_objects((), "the values", [found])


def _touched(
    stood: Standing, missing: dict[str, str], notes: dict[str, list[str]], why: str
) -> tuple[tuple[Touched, ...], int]:
    drifts = stood.drifts
    if drifts is None:
        missing["drift"] = why
        return (), 0
    said = [each.not_verified for each in drifts if each.not_verified]
    if said:
        missing["drift"] = "; ".join(said)
    found = list(chain.from_iterable(map(_of_step, drifts)))
    more = [f"{each.step}: {note}" for each in drifts for note in each.notes]
    if len(found) > _TOUCHED:
        more.append(f"{len(found) - _TOUCHED} more are not shown; `meshwright drift {stood.environment}` shows them")
    if more:
        notes["drift"] = more
    return tuple(found[:_TOUCHED]), sum(each.checked for each in drifts)


def _of_step(found: drift.Drift) -> list[Touched]:
    rows = []
    for each in found.found:
        if each.deleted:
            rows.append(Touched(found.step, each.kind, each.name, "", "deleted"))
        for one in each.fields:
            by = ", ".join(filter(None, (one.manager, one.time)))
            rows.append(Touched(found.step, each.kind, each.name, one.path, one.how, one.before, one.after, by))
    return rows
