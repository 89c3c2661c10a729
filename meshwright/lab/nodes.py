"""Bundles of images in the nodes of a cluster that runs already.

What every node needs it reads when it starts. A bundle is asked for later, so its archive lies one folder further down
in the folder that is mounted into the nodes, and containerd is told to read it there.
"""

from __future__ import annotations

from collections.abc import Mapping

from meshwright import cluster, engine
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.lab import images, store
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["load"]

_AGENT = "/var/lib/rancher/k3s/agent"


def _mark(bundle: str) -> str:
    # Beside the images in the node's own volume: a node that is made anew has neither.
    return f"{_AGENT}/bundles/{bundle}.key"


def _plan(target: Target, env: Environment, step: str, bundle: str) -> Plan:
    if not store.needed(env):
        return Plan(step, store.key())
    archive, desired = images.archive(target, bundle), images.key(target, bundle)
    now = cluster.view(target, env)
    if not store.current(archive, desired):
        return Plan(step, desired, after=f"{bundle} images")
    if now.seen is None or now.state is not cluster.State.UP:
        return Plan(step, desired, after="cluster")
    wanted = archive.with_name(f"{archive.name}.key").read_text(encoding="utf-8")
    environ = _environ(target, env)
    changes = []
    for node in now.seen.nodes:
        done = target.run(["docker", "exec", node.name, "cat", _mark(bundle)], env=environ, timeout=30, ok=(0, 1))
        if done.text.strip() != wanted.strip():
            changes.append(Change(Action.ADD, "Images", f"{bundle} in {node.name}"))
    return Plan(step, desired, tuple(changes), checked=len(now.seen.nodes))


def _environ(target: Target, env: Environment) -> Mapping[str, str]:
    found = engine.find(target, env)
    assert found is not None  # the cluster runs in it
    return found.environ


def _apply(target: Target, env: Environment, plan: Plan, bundle: str) -> None:
    environ = _environ(target, env)
    archive = f"{_AGENT}/images/bundles/{bundle}.tar"
    # The mark comes last: a run that is killed before reads the archive again, which does no harm.
    script = f"ctr images import {archive} >&2 && mkdir -p {_AGENT}/bundles && cp {archive}.key {_mark(bundle)}"
    for change in plan.changes:
        node = change.name.rpartition(" ")[2]
        target.say(f"giving {node} the images of the {bundle}")
        try:
            target.run(["docker", "exec", node, "sh", "-c", script], env=environ, timeout=300)
        except ProcessError as error:
            lines = [line for line in error.output.splitlines() if line.strip()] or [error.message]
            raise MeshwrightError(
                f"{node} does not take the images of the {bundle}: {lines[-1].strip()}",
                hint="cluster.volumes must mount the folder of the lab's images, as group_data/lab.yaml has it",
            ) from None


def load(bundle: str) -> Step:
    """The step that gives every node of the cluster the images of a bundle, such as `addons`."""
    step = f"{bundle} in nodes"
    return Step(
        step,
        lambda target, env: _plan(target, env, step, bundle),
        lambda target, env, plan: _apply(target, env, plan, bundle),
    )
