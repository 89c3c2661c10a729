"""How each environment stands: its release, since when, drift, windows, the life of its root. Nothing is changed.

All are looked at at once, each for so long at most: one whose cluster does not exist or does not answer has its state
and keeps nobody waiting.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from meshwright import cluster, drift, kube, release
from meshwright import deploy as deploys
from meshwright.certs.certificate import BrokenBundle, bundle
from meshwright.certs.mesh import ROOT_CONFIGMAP
from meshwright.drift import Drift
from meshwright.environment import Environment, Loaded, load
from meshwright.errors import MeshwrightError
from meshwright.project import Project
from meshwright.records import Record, Result, history
from meshwright.records.history import History
from meshwright.release import short
from meshwright.target import Target
from meshwright.windows import words
from meshwright.windows.calendar import Calendar
from meshwright.wording import counted

__all__ = ["Standing", "of"]

_DEPLOY = "site"
Opened = Callable[[Project, Loaded], AbstractContextManager[Sequence[Target]]]
More = Callable[[Environment, Sequence[Target]], None]


def _no_more(_env: Environment, _hosts: Sequence[Target]) -> None:
    """Asks nothing more."""


@dataclass
class Standing:
    """One environment. What is not known is None, or says why; `state` is `up`, or why there is no answer."""

    environment: str
    state: str = ""
    release: str | None = None
    pending: bool = False
    """Whether the files hold another release than the one that was applied last."""
    since: str | None = None
    verified: str = "not known"
    drift: str = "not verified"
    drifted: int | None = None
    window: str = "any time"
    root_days: int | None = None
    seconds: float = field(default=0.0)
    loaded: Loaded | None = field(default=None, repr=False)
    """Its values; None where they could not be read."""
    history: History | None = field(default=None, repr=False)
    drifts: tuple[Drift, ...] | None = field(default=None, repr=False)
    """What `drift` is told from; None where it was not asked."""

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "environment": self.environment,
            "state": self.state,
            "release": self.release,
            "pending": self.pending,
            "since": self.since,
            "verified": self.verified,
            "drift": self.drift,
            "drifted": self.drifted,
            "window": self.window,
            "root_days": self.root_days,
            "seconds": round(self.seconds, 1),
        }

    @property
    def row(self) -> tuple[str, ...]:
        """As a row of the table."""
        name = "-" if self.release is None else short(self.release).removeprefix("sha256:")
        return (
            self.environment,
            name + ("*" if self.pending else ""),
            (self.since or "-")[:16].replace("T", " "),
            self.verified,
            self.drift,
            self.window,
            "-" if self.root_days is None else str(self.root_days),
            self.state,
        )


def of(project: Project, names: Sequence[str], opened: Opened, seconds: float, more: More = _no_more) -> list[Standing]:
    """How these environments stand. `opened` connects to the hosts of one; none is waited for longer than `seconds`.
    `more` is called while the hosts of one, whose cluster answers, are connected; it raises nothing."""
    found = {name: Standing(name, "no answer yet") for name in names}
    threads = [
        # Not waited for at the end of the process: a connection may hang for minutes.
        threading.Thread(target=_look, args=(project, found[name], opened, more), daemon=True, name=name)
        for name in names
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, start + seconds - time.monotonic()))
        if thread.is_alive():
            # A copy: whoever is late goes on writing into his own.
            late = found[thread.name]
            found[thread.name] = Standing(
                **{**late.__dict__, "state": f"no answer in {seconds:.0f} s", "seconds": time.monotonic() - start}
            )
    return [found[name] for name in names]


def _look(project: Project, standing: Standing, opened: Opened, more: More) -> None:
    start = time.monotonic()
    try:
        standing.loaded = loaded = load(project, standing.environment)
        _window(standing, loaded.env)
        with opened(project, loaded) as hosts:
            _records(project, standing, loaded.env, hosts)
            session = None
            for host in hosts:
                session = cluster.session(host, loaded.env)
                if session is None:
                    standing.state = cluster.no_session(host, loaded.env)
                    break
            if session is not None:
                session.version()
                standing.state = "up"
                more(loaded.env, hosts)
                _cluster(project, standing, loaded.env, hosts, session)
    except MeshwrightError as error:
        standing.state = error.message
    except Exception as error:  # a defect of one row must not hide the others
        standing.state = f"a defect: {type(error).__name__}"
    standing.seconds = time.monotonic() - start


def _window(standing: Standing, env: Environment) -> None:
    if env.windows is None:
        return
    calendar, now = Calendar.of(env.windows), dt.datetime.now(dt.UTC)
    opening = calendar.state(now).opening
    if opening is not None:
        end = f" until {words.moment(opening.end, calendar.zone)}" if opening.end else ""
        standing.window = f"open{end}"
        return
    following = next(calendar.usable(now), None)
    standing.window = words.moment(following.start, calendar.zone) if following else "none in a year"


def _records(project: Project, standing: Standing, env: Environment, hosts: Sequence[Target]) -> None:
    now = release.of(project, env)
    standing.history = history.of(hosts, env)
    records = standing.history.records
    last = next((each for each in records if _applied(each)), None)
    if last is None:
        return
    standing.release, standing.since = last.release, last.ended
    standing.pending = now is not None and now.digest != last.release
    same = [each for each in records if each.release == last.release and each.checks]
    if not same:
        standing.verified = "no checks made"
        return
    failed = sum(bool(check.get("fatal")) for check in same[0].checks)
    standing.verified = (
        f"{counted(failed, 'check')} failed" if failed else f"{counted(len(same[0].checks), 'check')} held"
    )


def _applied(record: Record) -> bool:
    """Whether it changed the environment's cluster to the values of a release."""
    return bool(record.release) and record.result in (Result.OK, Result.FAILED) and record.deploy != "promote"


def _cluster(
    project: Project, standing: Standing, env: Environment, hosts: Sequence[Target], session: kube.Session
) -> None:
    standing.root_days = _root_days(session, env)
    found = [each for host in hosts for each in drift.of(host, env, deploys.load(project, _DEPLOY))]
    standing.drifts = tuple(found)
    names = [one for each in found for one in each.found]
    checked = sum(each.checked for each in found)
    standing.drifted = len(names)
    if any(each.not_verified for each in found):
        standing.drift = "not verified"
    else:
        standing.drift = counted(len(names), "object") if names else "none" if checked else "nothing applied"


def _root_days(session: kube.Session, env: Environment) -> int | None:
    """The days left of the root that ends first, of those that workloads are handed."""
    found = session.get("v1", "ConfigMap", ROOT_CONFIGMAP, env.istio.namespace)
    text = ((found or {}).get("data") or {}).get("root-cert.pem", "")
    try:
        return min((int(each.days(dt.datetime.now(dt.UTC))) for each in bundle(text)), default=None)
    except BrokenBundle:
        return None
