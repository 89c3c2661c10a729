"""The lab's own container engine: a dockerd on its own socket, with its own data, which ends and starts for itself.

Its names carry the digest of the project folder, so two clones have two engines. It is told by its command line, not
by a file with a process number: such a file outlives its process, and the number gets another owner.

It manages no packet filter. A second dockerd that does takes away the rules of the first when it starts, and with them
every port that a container of the user has published (tried); ours publishes ports by docker's own small proxy. Only
a few rules are its own: the first engine's policy is to drop what passes a bridge, the lab's bridges included.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meshwright import lock
from meshwright.errors import MeshwrightError
from meshwright.lab import api, store
from meshwright.project import Project
from meshwright.target import Target

__all__ = ["Places", "lacks_sys_resource", "places", "process", "remove", "start", "stop"]

_RUN = Path("/run/meshwright")
_DATA = Path("/var/lib/meshwright")
_PROC = Path("/proc")
_PAUSE = 0.1
_START_SECONDS = 60
# dockerd gives its containers 15 s to end.
_STOP_SECONDS = 40
_CAP_SYS_RESOURCE = 24
# Out of the way of 172.16.0.0/12, which engines of users take their networks from.
_NODES = "10.213.0.0/16"
# What k3s and its stand-in give to pods: between nodes these addresses are seen on the bridge.
_PODS = "10.42.0.0/16"


@dataclass(frozen=True)
class Places:
    """Where an engine has its things. `run` is short: a socket's path has to fit into 108 bytes."""

    run: Path
    data: Path
    state: Path

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.run / "docker.sock"

    @property
    def host(self) -> str:
        """The same, as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.state / "dockerd.log"


def places(project: Project) -> Places:
    """The places of a project's engine."""
    return Places(_RUN / project.digest, _DATA / project.digest, project.state / "engine")


def process(own: Places) -> int | None:
    """The process number of the engine, None where it does not run."""
    wanted = f"--pidfile={own.run}/docker.pid"
    return next((pid for pid, words in _commands() if wanted in words and _is_dockerd(words)), None)


def _is_dockerd(words: list[str]) -> bool:
    """Where dockerd is a script of somebody's, its interpreter comes first."""
    return any(Path(word).name == "dockerd" for word in words[:2])


def _left_over(own: Places) -> bool:
    """Whether containerd or a container's keeper still runs after its engine was killed."""
    return any(any(word.startswith(f"{own.run}/exec/") for word in words) for _, words in _commands())


def _commands() -> Iterator[tuple[int, list[str]]]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes()
                if line:
                    yield int(folder.name), line.decode(errors="replace").split("\0")


def lacks_sys_resource(status: str) -> bool:
    """Whether a process with this /proc/PID/status cannot get CAP_SYS_RESOURCE."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1
    return False


def start(target: Target) -> None:
    """Starts the engine and waits until it answers; nothing where it does.

    Raises MeshwrightError: no right to, no dockerd, or it does not come up (with what it said). Refused: another run
    is starting it at this moment.
    """
    own = places(target.project)
    if os.geteuid() != 0:
        raise MeshwrightError(
            "the lab's container engine needs root", hint="Run as root, or start a container engine of your own"
        )
    if shutil.which("dockerd") is None:
        raise MeshwrightError(
            "dockerd is not installed",
            hint="`pyinfra inventory/lab.py deploys/lab.py` installs it, or by hand: apt-get install docker.io",
        )
    held = lock.acquire(f"engine-{target.project.digest}", "start the lab's engine", own.run)
    try:
        if process(own) is None:
            _launch(target, own)
        _wait(own)
        _accept(target, "-I")
    finally:
        held.release()


def _accept(target: Target, action: str) -> None:
    """Adds (-I) or removes (-D) the rules that let nodes and pods talk across the bridge, once each."""
    for source, destination in itertools.product((_NODES, _PODS), repeat=2):
        rule = ["FORWARD", "-s", source, "-d", destination, "-j", "ACCEPT"]
        rule += ["-m", "comment", "--comment", f"meshwright {target.project.digest}"]
        there = target.run(["iptables", "-w", "-C", *rule], ok=None).code == 0
        if there == (action == "-D"):
            target.run(["iptables", "-w", action, *rule], hint="Clusters with several nodes need this rule")


def _launch(target: Target, own: Places) -> None:
    _forget(own)
    wrapper = ""
    if lacks_sys_resource((_PROC / "self" / "status").read_text(encoding="utf-8")):
        wrapper = f"{own.state}/runc-without-sys-resource"
        target.write(wrapper, (store.sources(target) / "node" / "runc-without-sys-resource").read_bytes(), 0o755)
    config = f"{own.state}/daemon.json"
    target.write(config, json.dumps(configuration(wrapper), indent=1).encode() + b"\n", 0o644)
    options = [f"--config-file={config}", f"--host={own.host}", f"--data-root={own.data}/docker"]
    options += [f"--exec-root={own.run}/exec", f"--pidfile={own.run}/docker.pid"]
    # A session of its own and no pipe to us: it stays when this process, or the terminal, goes.
    detach = ["setsid", "--fork", "sh", "-c", 'log="$1"; shift; exec "$@" </dev/null >>"$log" 2>&1', "sh"]
    target.run([*detach, str(own.log), "dockerd", *options], timeout=10)


def configuration(wrapper: str) -> dict[str, object]:
    """The engine's configuration file. `wrapper` is what runs containers instead of runc; empty: runc itself."""
    settings: dict[str, object] = {
        "bridge": "none",
        "iptables": False,
        "ip-forward": False,
        "default-address-pools": [{"base": _NODES, "size": 24}],
        "log-opts": {"max-size": "20m", "max-file": "2"},
    }
    if wrapper:
        settings |= {"runtimes": {"reduced": {"path": wrapper}}, "default-runtime": "reduced"}
    return settings


def _forget(own: Places) -> None:
    """Removes what an engine that was killed has left: dockerd believes these files."""
    (own.run / "docker.pid").unlink(missing_ok=True)
    (own.run / "docker.sock").unlink(missing_ok=True)
    record = own.run / "exec" / "containerd" / "containerd.pid"
    with contextlib.suppress(OSError, ValueError):
        words = dict(_commands()).get(int(record.read_text(encoding="utf-8")), [])
        if not any(word.startswith(f"{own.run}/exec/") for word in words):
            record.unlink()


def _wait(own: Places) -> None:
    begin = time.monotonic()
    while True:
        if api.ping(str(own.socket), timeout=1) is api.Answer.YES:
            return
        waited = time.monotonic() - begin
        # Between its launch and its own command line lies an instant.
        if (waited > 1 and process(own) is None) or waited > _START_SECONDS:
            raise MeshwrightError(f"the lab's engine does not come up: {_complaint(own)}", hint=f"Its log is {own.log}")
        time.sleep(_PAUSE)


def _complaint(own: Places) -> str:
    try:
        lines = own.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    bad = [line for line in lines if "level=fatal" in line or line.startswith("failed to")]
    return (bad or lines or ["it wrote nothing"])[-1].strip()


def stop(target: Target) -> bool:
    """Ends the engine and all its containers, keeping their data; False where there was nothing to end.

    Raises MeshwrightError: it does not end.
    """
    own = places(target.project)
    pid = process(own)
    if pid is None and _left_over(own):
        # Its engine was killed. A new one ends what the old one has left running, and knows how.
        start(target)
        pid = process(own)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while process(own) is not None:
        if time.monotonic() > deadline:
            raise MeshwrightError(f"the lab's engine (process {pid}) does not end", hint=f"Its log is {own.log}")
        time.sleep(_PAUSE)
    _accept(target, "-D")
    return True


def remove(target: Target) -> None:
    """Ends the engine and removes all that it kept: containers, images, volumes."""
    stop(target)
    own = places(target.project)
    for place in (own.run, own.data):
        for mounted in sorted(_mounts_below(place), reverse=True):
            target.run(["umount", "--lazy", mounted], ok=None)
        shutil.rmtree(place, ignore_errors=True)


def _mounts_below(place: Path) -> list[str]:
    """What is mounted below a folder. The kernel writes a space in a path as \\040."""
    lines = (_PROC / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    return [point for point in points if Path(point).is_relative_to(place)]
