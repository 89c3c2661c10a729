"""The root file system under the lab's images: a small Debian, made with debootstrap."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.lab import store
from meshwright.plan import Plan
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["SUITE", "bootstrap", "key", "path"]

SUITE = "bookworm"

# python3: the node's entrypoint and the stand-in of Bookinfo. iptables, iproute2: what Istio's init container runs.
# curl: requests from inside a pod.
_PACKAGES = ("python3", "iptables", "iproute2", "curl", "ca-certificates")

# Nothing that runs in a container reads these: half of the size.
_LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")

# debootstrap cannot work in a path with a space. In a mount namespace of its own, all that it mounts ends with it; and
# it ends with this process, however that ends.
_SEEN_AS = "/mnt"
_ISOLATED = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
_ISOLATED += ["sh", "-c", f'mount --bind "$1" {_SEEN_AS} && shift && exec "$@"', "sh"]

# apt in the node's recipe wants these folders.
_WANTED_EMPTY = ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log")


def path(target: Target) -> Path:
    """Where the root file system is, or will be: a tar archive."""
    return store.folder(target) / "rootfs.tar"


def key(target: Target) -> str:
    """What it is made from: the list of packages, not their versions, which are those of the day it was made."""
    return store.key(SUITE, *_PACKAGES, *_LEFT_OUT, target.platform.arch)


def _plan(target: Target, env: Environment) -> Plan:
    if not store.needed(env):
        return Plan("rootfs", store.key())
    wanted = key(target)
    found = store.change("Root file system", f"Debian {SUITE}", path(target), wanted)
    return Plan("rootfs", wanted, (found,) if found else (), checked=1)


def _apply(target: Target, env: Environment, plan: Plan) -> None:  # noqa: ARG001
    if plan.empty:
        return
    if os.geteuid() != 0:
        raise MeshwrightError("debootstrap needs root", hint="Run the lab as root")
    target.say(f"making a Debian {SUITE} with debootstrap; this takes 1 to 3 min")
    with store.work(target, "rootfs") as work:
        root, made = work / "root", work / "rootfs.tar"
        options = ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
        try:
            target.run([*_ISOLATED, str(work), "debootstrap", *options, SUITE, f"{_SEEN_AS}/root"], timeout=1800)
        except ProcessError as error:
            said = [line for line in error.output.splitlines() if line.startswith("E:")]
            raise MeshwrightError(
                f"debootstrap failed: {said[-1] if said else error.message}",
                hint="It downloads Debian packages: see whether this machine reaches Debian's servers",
            ) from None
        for name in _LEFT_OUT:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in _WANTED_EMPTY:
            (root / name).mkdir(parents=True, exist_ok=True)
        packing = ["tar", "--create", f"--directory={root}", "--sort=name", "--numeric-owner", f"--file={made}"]
        target.run([*packing, "--exclude=./dev/*", "."], timeout=600)
        store.publish(made, path(target), key(target))


bootstrap = Step("rootfs", _plan, _apply, cluster=False)
