"""The environment's cluster: what state it is in, a session to it, and the step that brings it up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from meshwright import engine, identity, k3d, kube, ports, tools
from meshwright.environment import Environment, cluster_name
from meshwright.environment.model import ExistingCluster, K3dCluster
from meshwright.errors import MeshwrightError, Refused, Unreachable
from meshwright.kube import kubeconfig
from meshwright.plan import Action, Change, Field, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = [
    "State",
    "View",
    "answering",
    "context",
    "ensure",
    "kubeconfig_path",
    "lock_name",
    "marker_path",
    "name",
    "no_session",
    "node_ready",
    "session",
    "view",
]

_READY_PAUSE = 0.5


class State(StrEnum):
    """What is known about a k3d cluster. Only ABSENT says that there is none."""

    ABSENT = "absent"
    UNKNOWN = "unknown"
    """It cannot be asked for yet: the engine or k3d is not there."""
    CUT_OFF = "cut off"
    """Its creation was killed half-way; nothing but k3d has ever written to it."""
    STOPPED = "stopped"
    DOWN = "down"
    """Its nodes run, its API server does not answer."""
    UP = "up"


@dataclass(frozen=True)
class View:
    """A cluster as it was seen. `after` names the step that must run before more is known."""

    state: State
    seen: k3d.Seen | None = None
    after: str = ""


def name(target: Target, env: Environment) -> str:
    """The cluster's name as k3d has it; the context's name of an existing cluster."""
    if isinstance(env.cluster, ExistingCluster):
        return env.cluster.context
    return cluster_name(env, target.project)


def lock_name(target: Target, env: Environment) -> str:
    """The name under which runs on this cluster exclude each other."""
    return name(target, env).replace("/", "_")


def context(target: Target, env: Environment) -> str:
    """The context's name in the environment's own kubeconfig."""
    if isinstance(env.cluster, ExistingCluster):
        return env.cluster.context
    return f"k3d-{name(target, env)}"


def kubeconfig_path(target: Target, env: Environment) -> str:
    """The environment's own kubeconfig on the host. The user's is never touched."""
    return f"{target.state}/{env.name}/kubeconfig"


def view(target: Target, env: Environment) -> View:
    """How the cluster stands, asked once until something is changed."""
    return target.shared.get(("cluster", env.name), lambda: _look(target, env))


def session(target: Target, env: Environment) -> kube.Session | None:
    """The session to the cluster; None when there is provably none that could answer yet.

    Raises Unreachable, Forbidden, Refused (another cluster).
    """
    if isinstance(env.cluster, ExistingCluster):
        _extract(target, env, env.cluster)
    elif view(target, env).state is not State.UP:
        return None
    return kube.open_session(target, kubeconfig_path(target, env), context(target, env))


def answering(target: Target, env: Environment) -> kube.Session:
    """The same for what cannot do without. Raises MeshwrightError too: there is none that could answer."""
    found = session(target, env)
    if found is None:
        hint = f"`meshwright apply {env.name} cluster` brings it up"
        raise MeshwrightError(no_session(target, env), hint=hint)
    return found


def no_session(target: Target, env: Environment) -> str:
    """Why `session` gave none, as the sentence of an error."""
    now = view(target, env)
    if now.state is State.UNKNOWN:
        return f"nothing is known about the cluster of {env.name}: the step `{now.after}` has not run"
    return f"the cluster of {env.name} ({name(target, env)}) is {now.state}"


def _look(target: Target, env: Environment) -> View:
    if isinstance(env.cluster, ExistingCluster):
        return View(State.UP)
    found = engine.find(target, env)
    if found is None:
        return View(State.UNKNOWN, after="engine")
    tool = tools.installed(target, env, "k3d")
    if tool is None:
        return View(State.UNKNOWN, after="tools")
    seen = k3d.observe(target, tool, found.environ, name(target, env))
    if seen is None:
        return View(State.ABSENT)
    if target.read(marker_path(target, env)) is not None:
        return View(State.CUT_OFF, seen)
    if seen.config is None:
        raise Refused(
            f"k3d has a cluster {seen.name} that Meshwright did not create",
            hint=f"Give this environment another cluster.name, or delete that one: k3d cluster delete {seen.name}",
        )
    if not seen.running:
        return View(State.STOPPED, seen)
    return View(State.UP if _answers(target, env, tool, found) else State.DOWN, seen)


def _answers(target: Target, env: Environment, tool: str, found: engine.Found) -> bool:
    if target.read(kubeconfig_path(target, env)) is None:
        _fetch_kubeconfig(target, env, tool, found)
    try:
        kube.open_session(target, kubeconfig_path(target, env), context(target, env)).ready()
    except Unreachable:
        return False
    return True


def marker_path(target: Target, env: Environment) -> str:
    """While this file is there, what k3d has under the cluster's name is half a cluster: being made or deleted."""
    return f"{target.state}/{env.name}/creating"


def _fetch_kubeconfig(target: Target, env: Environment, tool: str, found: engine.Found) -> None:
    done = target.run([tool, "kubeconfig", "get", name(target, env)], env=found.environ, timeout=30)
    target.write(kubeconfig_path(target, env), done.stdout)
    target.shared.forget((kube.Session, kubeconfig_path(target, env), context(target, env)))


def _extract(target: Target, env: Environment, cluster: ExistingCluster) -> None:
    source = target.expand(cluster.kubeconfig)
    document = kubeconfig.read(target, source)
    ours = kubeconfig.dump(kubeconfig.extract(document, cluster.context, file=source, read_file=target.read))
    if target.read(kubeconfig_path(target, env)) != ours:
        target.write(kubeconfig_path(target, env), ours)


def _plan(target: Target, env: Environment) -> Plan:
    now = view(target, env)
    if isinstance(env.cluster, ExistingCluster):
        # Somebody else keeps it; all there is to find out is whether it is the right one and answers.
        existing = session(target, env)
        assert existing is not None
        if env.unpinned:
            note = f"{' and '.join(env.unpinned)} are not given: it cannot be proven that this is the right cluster"
            return Plan("cluster", digest(env.cluster.model_dump()), checked=1, notes=(note,))
        identity.verify(target, env, existing)
        return Plan("cluster", digest(env.cluster.model_dump()), checked=1)
    wanted = k3d.fixed(env.cluster, env)
    label = name(target, env)
    changes: tuple[Change, ...] = ()
    made = now.seen.config if now.seen and now.seen.config is not None else {}
    fields = k3d.differences(wanted, made)
    if now.state in (State.ABSENT, State.CUT_OFF):
        why = "its creation was cut off; what there is of it is removed first" if now.state is State.CUT_OFF else ""
        created = tuple(Field(key, None, value) for key, value in wanted.items() if value not in ([], {}))
        changes = (Change(Action.ADD, "Cluster", label, created, why),)
    elif now.state is not State.UNKNOWN and (fields or _lacks_nodes(now, env.cluster)):
        why = "k3d cannot change this in place" if fields else "it has not all of its nodes"
        changes = (Change(Action.RECREATE, "Cluster", label, fields, why),)
    elif now.state is State.STOPPED:
        changes = (Change(Action.CHANGE, "Cluster", label, (Field("state", "stopped", "running"),)),)
    elif now.state is State.DOWN:
        fields = (Field("state", "running, but its API server does not answer", "running"),)
        changes = (Change(Action.CHANGE, "Cluster", label, fields),)
    return Plan("cluster", digest(wanted), changes, checked=1, after=now.after)


def _lacks_nodes(now: View, cluster: K3dCluster) -> bool:
    roles = [node.role for node in now.seen.nodes] if now.seen else []
    return roles.count("server") != cluster.servers or roles.count("agent") != cluster.agents


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    cluster = env.cluster
    if isinstance(cluster, ExistingCluster) or not plan.changes:
        return
    tool = tools.path(target, env, "k3d")
    found = engine.find(target, env)
    if found is None:
        raise Unreachable("the container engine does not run", hint="Put the step `engine` before `cluster`")
    label = name(target, env)
    deadline = time.monotonic() + cluster.timeout
    [change] = plan.changes
    if change.action is Action.CHANGE:
        target.say(f"starting cluster {label}")
        target.run([tool, "cluster", "start", label], env=_environ(cluster, found), timeout=cluster.timeout)
    else:
        _create(target, env, cluster, tool, _environ(cluster, found), view(target, env).state)
    _fetch_kubeconfig(target, env, tool, found)
    _wait(target, env, deadline)
    opened = kube.open_session(target, kubeconfig_path(target, env), context(target, env))
    if change.action is not Action.CHANGE:
        identity.record(target, env, opened)
    target.remove(marker_path(target, env))


def _environ(cluster: K3dCluster, found: engine.Found) -> dict[str, str]:
    """What a k3d that creates or starts nodes needs: both use its tools image."""
    return dict(found.environ) | ({"K3D_IMAGE_TOOLS": cluster.tools_image} if cluster.tools_image else {})


def _create(
    target: Target, env: Environment, cluster: K3dCluster, tool: str, environ: dict[str, str], state: State
) -> None:
    label = name(target, env)
    target.write(marker_path(target, env), b"")
    if state is not State.ABSENT:
        target.say(f"removing cluster {label}")
        k3d.delete(target, tool, environ, label, kubeconfig_path(target, env))
    chosen = ports.choose(
        target,
        {"api_port": cluster.api_port, **{port.name: port.publish for port in env.ingress.ports if port.publish}},
    )
    config = f"{target.state}/{env.name}/k3d.yaml"
    root = str(target.project.root) if target.local else target.state
    target.write(config, k3d.config_file(target.project, label, env, root, chosen).encode())
    target.say(f"creating cluster {label} from {cluster.image}")
    target.run(
        [tool, "cluster", "create", "--config", config],
        env=environ,
        timeout=cluster.timeout + 30,
        hint=f"{env.name} uses {cluster.image}; docs/lab.md says how the lab's images are made",
    )


def _wait(target: Target, env: Environment, deadline: float) -> None:
    """Until /readyz answers and every node is Ready: what `kubectl get componentstatuses` was for."""
    opened = kube.open_session(target, kubeconfig_path(target, env), context(target, env))
    while True:
        try:
            why = _lacking(opened)
        except MeshwrightError as error:
            why = error.message
        if not why:
            return
        if time.monotonic() > deadline:
            raise MeshwrightError(
                f"cluster {name(target, env)} did not become ready: {why}",
                hint="`docker logs` of its nodes says more; `meshwright destroy` removes it",
            )
        time.sleep(_READY_PAUSE)


def _lacking(opened: kube.Session) -> str:
    """What a cluster lacks to be ready; empty when it lacks nothing."""
    if not opened.ready():
        return "its API server says that it is not ready"
    nodes = opened.list("v1", "Node")
    waiting = [node["metadata"]["name"] for node in nodes if not node_ready(node)]
    if waiting:
        return f"nodes that are not Ready: {', '.join(waiting)}"
    return "" if nodes else "no node has come up"


def node_ready(node: dict[str, object]) -> bool:
    """True when a Node object has the condition Ready."""
    status = node.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


ensure = Step("cluster", _plan, _apply, cluster=False)
"""Brings up a k3d cluster as the environment wants it; for an existing cluster, proves that it is the right one."""
