"""The host: the container engine, and what the kernel and the disk give to it. Only where k3d runs the cluster."""

from __future__ import annotations

from meshwright import disk, engine
from meshwright.check import Check, Failed, NotVerified
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.lab import dockerd
from meshwright.target import Target

__all__ = ["CHECKS", "DOCKER_DATA"]

DOCKER_DATA = "/var/lib/docker"
"""Where a container engine keeps images, unless it was told otherwise."""

_LEAST_FREE_GIB = 2.0
# Of a node with all of Istio in it: 41 instances were counted, and the kernel's own default is 128 for each user.
_INSTANCES_PER_NODE = 64
_WATCHES_PER_NODE = 8192


def _is_k3d(env: Environment) -> bool:
    return isinstance(env.cluster, K3dCluster)


def _nodes(env: Environment) -> int:
    return env.cluster.servers + env.cluster.agents if isinstance(env.cluster, K3dCluster) else 0


def _engine(target: Target, env: Environment) -> str:
    found = engine.find(target, env)
    if found is None:
        raise Failed("the lab's own engine does not run")
    return found.why


def _disk(target: Target, env: Environment) -> str:
    found = engine.find(target, env)
    data = str(dockerd.places(target.project).data) if found and found.kind == "lab" else DOCKER_DATA
    mount, least = min(disk.free(target, [target.state, data]).items(), key=lambda item: item[1])
    told = f"{least:.1f} GiB free on {mount}"
    if least < _LEAST_FREE_GIB:
        raise Failed(f"{told}, at least {_LEAST_FREE_GIB:g} are needed")
    return told


def _inotify(target: Target, env: Environment) -> str:
    if target.platform.os != "linux":
        return f"{target.platform.os} has no such limits"
    said = []
    for name, per_node in (("max_user_instances", _INSTANCES_PER_NODE), ("max_user_watches", _WATCHES_PER_NODE)):
        text = target.read(f"/proc/sys/fs/inotify/{name}")
        if text is None or not text.strip().isdigit():
            raise NotVerified(f"/proc/sys/fs/inotify/{name} cannot be read")
        limit, needed = int(text), per_node * _nodes(env)
        if limit < needed:
            raise Failed(f"fs.inotify.{name} is {limit}, {needed} are needed for {_nodes(env)} nodes")
        said.append(f"{name} {limit}")
    return ", ".join(said)


CHECKS = (
    Check(
        group="host",
        claim="the container engine answers",
        find=_engine,
        anchor="engine-answers",
        hint="Start the engine, or run `meshwright apply {env.name} cluster`, which starts the lab's own",
        applies=_is_k3d,
    ),
    Check(
        group="host",
        claim="there is room on the disks of the engine and of the project",
        find=_disk,
        anchor="disk-space",
        hint="Make room: a full disk makes nodes evict their pods. `docker system df` shows what images take",
        fatal=False,
        needs=("engine-answers",),
        applies=_is_k3d,
    ),
    Check(
        group="host",
        claim="the kernel's inotify limits are enough for the nodes",
        find=_inotify,
        anchor="inotify-limits",
        hint="sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",
        fatal=False,
        applies=_is_k3d,
    ),
)
