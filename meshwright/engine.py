"""The container engine that k3d works with: the user's own, or the lab's dockerd."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from meshwright.environment import Environment
from meshwright.errors import Forbidden, MeshwrightError, ProcessError, Unreachable
from meshwright.lab import api, dockerd
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["Found", "ensure", "find"]

_DEFAULT = "unix:///var/run/docker.sock"
_SECONDS = 3.0
_HINT = "Start it and run again, or set engine.kind to lab: then Meshwright runs one of its own"


@dataclass(frozen=True)
class Found:
    """An engine that answers. `environ` is what docker and k3d need to find it: {} or {"DOCKER_HOST": ...}."""

    kind: str
    environ: dict[str, str]
    why: str


def find(target: Target, env: Environment) -> Found | None:
    """The engine of `env`, asked once per run. None: it is the lab's own and provably does not run (the step `engine`
    starts it). Raises Unreachable: the engine that was chosen does not answer, and it is not ours to start."""
    return target.shared.get(("engine", env.engine.kind), lambda: _find(target, env.engine.kind))


def _find(target: Target, kind: str) -> Found | None:
    if not target.local:
        return _remote(target, kind)
    if kind == "lab":
        return _lab(target, "engine.kind is lab")
    host = os.environ.get("DOCKER_HOST") or _DEFAULT
    answer, said = _ask(target, host)
    if answer is api.Answer.YES:
        return Found("docker", {"DOCKER_HOST": host}, f"the engine at {host} answers")
    if kind == "auto" and target.platform.os == "linux":
        return _lab(target, f"the engine at {host} is of no use: {said}")
    if answer is api.Answer.FORBIDDEN:
        raise Forbidden(
            f"this user may not use the container engine at {host}",
            hint="Add the user to the group `docker`, or run as root",
        )
    raise Unreachable(f"the container engine at {host} does not answer: {said}", hint=_HINT)


def _ask(target: Target, host: str) -> tuple[api.Answer, str]:
    """Whether a user's engine answers, and what was said."""
    if host.startswith("unix://"):
        answer = api.ping(host.removeprefix("unix://"), _SECONDS)
        return answer, answer.value
    # tcp with certificates, ssh: the client of docker knows how.
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        target.run(command, env={"DOCKER_HOST": host}, timeout=_SECONDS)
    except ProcessError as error:
        return api.Answer.SILENT, error.message
    return api.Answer.YES, api.Answer.YES.value


def _remote(target: Target, kind: str) -> Found:
    if kind == "lab":
        raise MeshwrightError(
            f"the lab's own engine is for this machine only, not for {target.name}",
            hint="Set engine.kind to docker and start an engine there",
        )
    try:
        target.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=10)
    except ProcessError as error:
        raise Unreachable(
            f"the container engine on {target.name} does not answer: {error.message}",
            hint=f"Start it there, and let this login use it; to see: `ssh {target.name} docker version`",
        ) from None
    return Found("docker", {}, f"the engine on {target.name} answers")


def _lab(target: Target, why: str) -> Found | None:
    own = dockerd.places(target.project)
    answer = api.ping(str(own.socket), _SECONDS)
    if answer is api.Answer.YES:
        return Found("lab", {"DOCKER_HOST": own.host}, f"the lab's own engine, because {why}")
    if answer is api.Answer.FORBIDDEN:
        raise Forbidden("the lab's own engine runs for root only", hint="Run as root")
    if answer is api.Answer.SILENT:
        raise Unreachable(f"the lab's own engine at {own.socket} gives no answer", hint=f"Its log is {own.log}")
    return None


def _plan(target: Target, env: Environment) -> Plan:
    if env.cluster.kind != "k3d":
        return Plan("engine", digest("none"))
    desired = digest(["engine", env.engine.kind])
    found = find(target, env)
    if found is not None:
        return Plan("engine", desired, checked=1)
    own = dockerd.places(target.project)
    why = "it does not run; starting it changes nothing of any other engine"
    notes = [] if shutil.which("dockerd") else ["dockerd is not installed yet: deploys/lab.py installs it"]
    if os.geteuid() != 0:
        notes.append("starting it needs root")
    change = Change(Action.ADD, "Engine", f"dockerd at {own.socket}", why=why)
    return Plan("engine", desired, (change,), checked=1, notes=tuple(notes))


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    if plan.empty:
        return
    target.say("starting the lab's own container engine")
    dockerd.start(target)
    target.shared.forget(("engine", env.engine.kind))


ensure = Step("engine", _plan, _apply, cluster=False)
