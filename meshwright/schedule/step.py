"""The steps `schedule` and `schedule-remove`: what runs an environment's jobs, as it should be and as it is.

Everything is on this machine, whichever hosts the environment has: the project folder is here.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from meshwright.environment import Environment
from meshwright.environment.hosts import inventory_names
from meshwright.errors import MeshwrightError
from meshwright.plan import Action, Change, Field, Plan, digest
from meshwright.schedule import crontab, jobs, systemd
from meshwright.step import Step
from meshwright.target import Local, Target

__all__ = ["ensure", "installed_by", "remove"]

_RUNNING = "/run/systemd/system"
_LINGER = "/var/lib/systemd/linger"
_NO_CRONTAB = "no crontab for"
_KEYS = {
    "new-self-signed": "to a root whose key is made in memory when it begins",
    "extend": "to the same key with a longer life, as the cluster has it",
}


def installed_by(env: Environment) -> str:
    """What is to run the jobs: systemd or cron of this machine, or kubernetes."""
    by = env.schedule.by if env.schedule else "auto"
    if by != "auto":
        return by
    # As sd_booted(3) finds out.
    return "systemd" if Path(_RUNNING).is_dir() else "cron"


def _here(target: Target) -> Target:
    return target if target.local else Local(target.project, target.say)


def _plan(target: Target, env: Environment) -> Plan:
    return _planned(target, env, "schedule", wanted=True)


def _plan_removal(target: Target, env: Environment) -> Plan:
    return _planned(target, env, "schedule-remove", wanted=False)


def _planned(target: Target, env: Environment, step: str, *, wanted: bool) -> Plan:
    if target.name not in (inventory_names(env.name, env.hosts)[0], "@local"):
        return Plan(step, digest([]))  # once is enough
    here = _here(target)
    by = installed_by(env)
    if wanted and by == "systemd" and env.schedule and not Path(_RUNNING).is_dir():
        raise MeshwrightError("systemd does not run on this machine", hint="Set schedule.by to cron")
    wants = jobs.wanted(env) if wanted else []
    told = _transition(target, env) if wanted else ()
    user = getpass.getuser() if os.getuid() == 0 else ""
    units = systemd.units(here.project, env.name, wants, user) if by == "systemd" else {}
    line = crontab.line(here.project, env.name) if by == "cron" and wants else ""
    changes = (*_units(here, env, units), *_crontab(here, env, line))
    notes = (*told, *(_notes() if units else ()))
    return Plan(step, digest([units, line]), changes, checked=max(len(units), 1), notes=notes)


def _transition(target: Target, env: Environment) -> tuple[str, ...]:
    """What is to be said about a change of the root that begins by itself. Raises BadInput: it would begin too late."""
    change = env.schedule.transition if env.schedule else None
    if change is None:
        return ()
    from meshwright import cluster
    from meshwright.certs import due  # most schedules have none

    said = f"the root is changed by itself below {change.days} days left, {_KEYS[change.to]}; no key is kept here"
    live = cluster.session(target, env)
    if live is None:
        why = cluster.no_session(target, env)
        return (said, f"whether {change.days} days is early enough was not verified, and each run looks: {why}")
    due.early_enough(live, env, change.days)
    return (said,)


def _notes() -> tuple[str, ...]:
    user = getpass.getuser()
    if os.getuid() == 0 or Path(_LINGER, user).exists():
        return ()
    return (f"timers of {user} rest while {user} is not logged in, unless `loginctl enable-linger {user}` was run",)


# systemd


def _folder() -> Path:
    """Where the units of this user are."""
    if os.getuid() == 0:
        return Path("/etc/systemd/system")
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def _systemctl(here: Target, *words: str, ok: tuple[int, ...] | None = (0,)) -> str:
    scope = () if os.getuid() == 0 else ("--user",)
    return here.run(["systemctl", *scope, *words], ok=ok).text.strip()


def _units(here: Target, env: Environment, wanted: Mapping[str, str]) -> list[Change]:
    before = {path.name: path for path in _folder().glob(f"{jobs.prefix(here.project, env.name)}*")}
    changes = []
    for name in sorted({*before, *wanted}):
        kind = "Timer" if name.endswith(".timer") else "Service"
        old = (here.read(str(before[name])) or b"").decode(errors="replace") if name in before else None
        new = wanted.get(name)
        if new is None:
            changes.append(Change(Action.DESTROY, kind, name))
        elif old is None:
            changes.append(Change(Action.ADD, kind, name, _fields("", new), payload=new))
        elif old != new:
            changes.append(Change(Action.CHANGE, kind, name, _fields(old, new), payload=new))
        elif kind == "Timer" and _systemctl(here, "is-active", name, ok=None) != "active":
            changes.append(Change(Action.CHANGE, kind, name, (Field("active", False, True),), payload=new))
    return changes


def _fields(old: str, new: str) -> tuple[Field, ...]:
    before, after = _settings(old), _settings(new)
    return tuple(
        Field(key, before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )


def _settings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _apply_units(here: Target, changes: list[Change]) -> None:
    timers = [change.name for change in changes if change.kind == "Timer"]
    for change in changes:
        if change.action is Action.DESTROY:
            if change.kind == "Timer":
                _systemctl(here, "disable", "--now", change.name)
            here.remove(str(_folder() / change.name))
        else:
            here.write(str(_folder() / change.name), change.payload.encode(), 0o644)
    _systemctl(here, "daemon-reload")
    for name in timers:
        if (_folder() / name).exists():
            _systemctl(here, "enable", name)
            # A timer that is at work has its new times only when it is started anew.
            _systemctl(here, "restart", name)


# cron


def _table(here: Target) -> str | None:
    """The user's crontab; None where there is no cron. Raises ProcessError where it may not be used."""
    if shutil.which("crontab") is None:
        return None
    done = here.run(["crontab", "-l"], ok=None, env={"LC_ALL": "C"})
    if done.code == 0:
        return done.text
    if _NO_CRONTAB in done.complaint:
        return ""
    raise MeshwrightError(f"the crontab cannot be read: {done.complaint}")


def _crontab(here: Target, env: Environment, line: str) -> list[Change]:
    table = _table(here)
    if table is None:
        if line:
            raise MeshwrightError("there is no crontab on this machine", hint="Install cron, or use systemd")
        return []
    old = crontab.ours(here.project, env.name, table)
    if old == line:
        return []
    action = Action.ADD if not old else Action.CHANGE if line else Action.DESTROY
    name = jobs.prefix(here.project, env.name).rstrip(".")
    fields = (Field("line", old or None, line or None),) if action is not Action.DESTROY else ()
    return [Change(action, "Crontab", name, fields, payload=line)]


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    here = _here(target)
    units = [change for change in plan.changes if change.kind in ("Timer", "Service")]
    if units:
        _apply_units(here, units)
    for change in plan.changes:
        if change.kind == "Crontab":
            table = _table(here) or ""
            here.run(["crontab", "-"], input=crontab.with_ours(here.project, env.name, table, change.payload).encode())


# No window refuses these: they touch this machine and not the environment.
ensure = Step("schedule", _plan, _apply, cluster=False, safe=True)
remove = Step("schedule-remove", _plan_removal, _apply, cluster=False, safe=True)
