"""The environment's cluster: how it is seen, planned and brought up, also after a kill at any instant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import CA, UID, FakeSession, FakeTarget, environment, existing

from meshwright import cluster, engine, k3d, kube, tools
from meshwright.cluster import State
from meshwright.environment import Environment
from meshwright.environment.model import K3dCluster
from meshwright.errors import Forbidden, MeshwrightError, ProcessError, Refused, Unreachable
from meshwright.kube import Identity
from meshwright.plan import Action, Plan
from meshwright.project import Project

PORTS = [{"name": "http2", "port": 80, "target_port": 8080, "node_port": 30080, "publish": "auto"}]


def env_with(**values: Any) -> Environment:
    made = {"kind": "k3d", "image": "k3s:1", "timeout": 1, **values}
    return environment(cluster=made, ingress={"ports": PORTS})


ENV = env_with()


class Killed(BaseException):
    """kill -9 at this instant."""


class World:
    """k3d and its clusters: what the commands of a FakeTarget do, and the API servers that answer then."""

    def __init__(self, host: FakeTarget) -> None:
        self.host = host
        self.name = cluster.name(host, ENV)
        self.clusters: dict[str, dict[str, Any]] = {}
        self.session = FakeSession()
        self.failing: Exception | None = None
        self.half = False
        host.answer("cluster list", lambda _c, _i: json.dumps(list(self.clusters.values())))
        host.answer("cluster create", self.create)
        host.answer("cluster start", self.start)
        host.answer("cluster delete", self.delete)
        host.answer("kubeconfig get", lambda _c, _i: "apiVersion: v1\n")

    def create(self, command: Sequence[str], _input: bytes | None) -> str:
        document = yaml.safe_load(Path(command[-1]).read_text())
        name = document["metadata"]["name"]
        assert name not in self.clusters, "k3d refuses a name that it has"
        key, _, label = document["options"]["runtime"]["labels"][0]["label"].partition("=")
        roles = ["server"] * document["servers"] + ["agent"] * document["agents"]
        nodes: list[dict[str, Any]] = [
            {
                "name": f"k3d-{name}-{role}-{number}",
                "role": role,
                "runtimeLabels": {key: label},
                "portMappings": {"6443": [{"HostPort": document["kubeAPI"]["hostPort"]}]},
                "State": {"Running": True},
            }
            for number, role in enumerate(roles)
        ]
        self.clusters[name] = {"name": name, "nodes": nodes[:1] if self.half else nodes}
        if self.half:
            raise Killed
        self.session = FakeSession(*[node(each["name"], "True") for each in nodes])
        return ""

    def start(self, command: Sequence[str], _input: bytes | None) -> str:
        for each in self.clusters[command[-1]]["nodes"]:
            each["State"] = {"Running": True}
        return ""

    def delete(self, command: Sequence[str], _input: bytes | None) -> str:
        del self.clusters[command[-1]]
        return ""

    def stop(self) -> None:
        self.clusters[self.name]["nodes"][0]["State"] = {"Running": False}

    def open(self, _target: FakeTarget, path: str, _context: str) -> FakeSession:
        assert self.host.read(path), "no kubeconfig"
        found = self.clusters.get(self.name)
        running = found and all(each["State"]["Running"] for each in found["nodes"])
        self.session.failing = (
            {"ready": self.failing or Unreachable("no answer")} if self.failing or not running else {}
        )
        return self.session


def node(name: str, ready: str) -> dict[str, Any]:
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}


@pytest.fixture
def world(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(host)
    monkeypatch.setattr(engine, "find", lambda _t, _e: engine.Found("docker", {"DOCKER_HOST": "unix:///x"}, "it is"))
    monkeypatch.setattr(tools, "installed", lambda _t, _e, tool: tool)
    monkeypatch.setattr(tools, "path", lambda _t, _e, tool: tool)
    monkeypatch.setattr(kube, "open_session", made.open)
    monkeypatch.setattr(cluster, "_READY_PAUSE", 0.01)
    return made


def plan(host: FakeTarget, env: Environment = ENV) -> Plan:
    host.shared.look_again()
    return cluster.ensure.plan(host, env)


def apply(host: FakeTarget, env: Environment = ENV) -> Plan:
    made = plan(host, env)
    cluster.ensure.apply(host, env, made)
    host.shared.look_again()
    return made


def only(made: Plan) -> tuple[str, list[str], str]:
    [change] = made.changes
    assert change.kind == "Cluster"
    return change.action.value, [field.path for field in change.fields], change.why


# Names


def test_names_derive_from_environment_and_project(host: FakeTarget) -> None:
    assert cluster.name(host, ENV) == f"mw-lab-{host.project.digest}"
    assert cluster.name(host, env_with(name="mine")) == "mine"
    assert cluster.context(host, env_with(name="mine")) == "k3d-mine"
    assert cluster.kubeconfig_path(host, ENV) == f"{host.state}/lab/kubeconfig"


def test_names_of_an_existing_cluster_are_those_of_its_context(host: FakeTarget) -> None:
    env = existing(context="arn:aws:eks/prod")
    assert cluster.name(host, env) == cluster.context(host, env) == "arn:aws:eks/prod"
    assert cluster.lock_name(host, env) == "arn:aws:eks_prod"


def test_two_clones_have_two_clusters(tmp_path: Path) -> None:
    one, other = (FakeTarget(Project(tmp_path / name)) for name in ("one", "other"))
    assert cluster.name(one, ENV) != cluster.name(other, ENV)


# How it is seen


def test_before_the_engine_and_k3d_are_there_nothing_is_known(
    host: FakeTarget, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "installed", lambda _t, _e, _tool: None)
    made = plan(host)
    assert (made.after, made.changes) == ("tools", ())
    assert cluster.no_session(host, ENV) == "nothing is known about the cluster of lab: the step `tools` has not run"
    monkeypatch.setattr(engine, "find", lambda _t, _e: None)
    made = plan(host)
    assert (made.after, made.changes) == ("engine", ())
    assert host.commands == []


def test_an_engine_that_does_not_answer_is_not_an_absent_cluster(
    host: FakeTarget, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_target: object, _env: object) -> None:
        raise Unreachable("the engine does not answer")

    monkeypatch.setattr(engine, "find", silent)
    with pytest.raises(Unreachable):
        plan(host)


def test_a_k3d_that_fails_is_not_an_absent_cluster(host: FakeTarget, world: World) -> None:
    host.answer("cluster list", (1, "boom"))
    with pytest.raises(ProcessError):
        plan(host)


def test_an_absent_cluster_is_to_add(host: FakeTarget, world: World) -> None:
    made = plan(host)
    assert only(made) == (
        "+",
        ["image", "servers", "agents", "loadbalancer", "api_port", "disable", "publish.http2"],
        "",
    )
    assert made.checked == 1
    assert cluster.session(host, ENV) is None
    assert cluster.no_session(host, ENV) == f"the cluster of lab ({world.name}) is absent"


def test_it_is_asked_once_until_something_changes(host: FakeTarget, world: World) -> None:
    cluster.view(host, ENV)
    cluster.view(host, ENV)
    assert len(host.commands) == 1
    host.shared.look_again()
    cluster.view(host, ENV)
    assert len(host.commands) == 2


def test_a_cluster_of_somebody_else_is_refused(host: FakeTarget, world: World) -> None:
    world.clusters[world.name] = {"name": world.name, "nodes": []}
    with pytest.raises(Refused) as caught:
        plan(host)
    assert caught.value.message == f"k3d has a cluster {world.name} that Meshwright did not create"
    assert caught.value.hint == (
        f"Give this environment another cluster.name, or delete that one: k3d cluster delete {world.name}"
    )


def test_an_api_server_that_does_not_let_us_in_is_not_down(host: FakeTarget, world: World) -> None:
    apply(host)
    world.failing = Forbidden("401")
    with pytest.raises(Forbidden):
        plan(host)


# Bringing it up


def test_a_created_cluster_needs_nothing_more(host: FakeTarget, world: World) -> None:
    made = apply(host)
    again = plan(host)
    assert again.empty
    assert again.desired == made.desired
    assert cluster.view(host, ENV).state is State.UP
    assert cluster.session(host, ENV) is world.session
    identity = host.read(f"{host.state}/lab/identity.json")
    assert identity is not None
    assert json.loads(identity) == {"uid": UID, "ca_sha256": CA}
    assert host.read(cluster.marker_path(host, ENV)) is None
    path = Path(cluster.kubeconfig_path(host, ENV))
    assert path.read_text() == "apiVersion: v1\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert host.sentences == [f"creating cluster {world.name} from k3s:1"]


def test_every_process_is_led_to_the_engine(host: FakeTarget, world: World) -> None:
    apply(host, env_with(tools_image="tools:1"))
    assert all(environ["DOCKER_HOST"] == "unix:///x" for environ in host.environs)
    [creation] = [e for c, e in zip(host.commands, host.environs, strict=True) if "create" in c]
    assert creation["K3D_IMAGE_TOOLS"] == "tools:1"


def test_a_port_that_was_chosen_is_never_a_difference(host: FakeTarget, world: World) -> None:
    apply(host)
    host.remove(f"{host.state}/lab/k3d.yaml")
    assert plan(host).empty


def test_a_stopped_cluster_is_started(host: FakeTarget, world: World) -> None:
    apply(host)
    world.stop()
    made = plan(host)
    assert cluster.session(host, ENV) is None
    assert made.changes[0].action is Action.CHANGE
    assert [(f.path, f.before, f.after) for f in made.changes[0].fields] == [("state", "stopped", "running")]
    apply(host)
    assert plan(host).empty
    assert host.sentences[-1] == f"starting cluster {world.name}"


def test_a_cluster_whose_api_server_is_silent_is_started_anew(host: FakeTarget, world: World) -> None:
    apply(host)
    world.failing = Unreachable("no answer")
    [change] = plan(host).changes
    assert change.action is Action.CHANGE
    assert change.fields[0].before == "running, but its API server does not answer"
    assert cluster.session(host, ENV) is None


def test_what_k3d_cannot_change_is_a_recreation(host: FakeTarget, world: World) -> None:
    apply(host)
    other = env_with(agents=1, image="k3s:2")
    assert only(plan(host, other)) == ("-/+", ["agents", "image"], "k3d cannot change this in place")
    apply(host, other)
    assert plan(host, other).empty
    assert host.sentences[1:] == [f"removing cluster {world.name}", f"creating cluster {world.name} from k3s:2"]


def test_a_stopped_cluster_that_is_wrong_too_is_a_recreation(host: FakeTarget, world: World) -> None:
    apply(host)
    world.stop()
    assert only(plan(host, env_with(servers=3)))[0] == "-/+"


def test_a_cluster_that_lost_a_node_is_a_recreation(host: FakeTarget, world: World) -> None:
    env = env_with(agents=1)
    apply(host, env)
    del world.clusters[world.name]["nodes"][1]
    assert only(plan(host, env)) == ("-/+", [], "it has not all of its nodes")


def test_deleting_keeps_k3d_away_from_the_users_kubeconfig(host: FakeTarget, world: World) -> None:
    apply(host)
    apply(host, env_with(agents=1))
    [deletion] = [e for c, e in zip(host.commands, host.environs, strict=True) if "delete" in c]
    assert deletion["KUBECONFIG"] == cluster.kubeconfig_path(host, ENV)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([node("a", "True"), node("b", "False"), node("c", "Unknown")], "nodes that are not Ready: b, c"),
        ([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}], "nodes that are not Ready: a"),
        ([], "no node has come up"),
    ],
)
def test_a_cluster_is_up_only_when_its_nodes_are(
    host: FakeTarget, world: World, nodes: list[dict[str, Any]], why: str
) -> None:
    apply(host)
    world.session = FakeSession(*nodes)
    with pytest.raises(MeshwrightError) as caught:
        cluster._wait(host, ENV, 0)
    assert caught.value.message == f"cluster {world.name} did not become ready: {why}"


def test_an_api_server_that_is_not_ready_is_waited_for(
    host: FakeTarget, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(host)
    answers = iter([False, False, True])
    monkeypatch.setattr(FakeSession, "ready", lambda _self: next(answers))
    cluster._wait(host, ENV, float("inf"))
    assert list(answers) == []


def test_a_creation_that_fails_says_what_the_image_was(host: FakeTarget, world: World) -> None:
    host.answer("cluster create", (1, "manifest for k3s:1 not found"))
    with pytest.raises(ProcessError) as caught:
        apply(host)
    assert caught.value.message == "k3d exited with 1: manifest for k3s:1 not found"
    assert caught.value.hint == "lab uses k3s:1; docs/lab.md says how the lab's images are made"
    assert only(plan(host))[0] == "+"


def test_a_session_is_opened_anew_with_a_new_kubeconfig(host: FakeTarget) -> None:
    text = (
        "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'https://127.0.0.1:%d'}}],"
        " users: [{name: u, user: {token: t}}], contexts: [{name: %s, context: {cluster: c, user: u}}]}"
    )
    found = engine.Found("docker", {}, "")
    where = cluster.kubeconfig_path(host, ENV), cluster.context(host, ENV)
    servers = []
    for port in (20001, 20002):
        host.answer("kubeconfig get", text % (port, where[1]))
        cluster._fetch_kubeconfig(host, ENV, "k3d", found)
        session = kube.open_session(host, *where)
        assert kube.open_session(host, *where) is session
        servers.append(session.context.server)
    assert servers == ["https://127.0.0.1:20001", "https://127.0.0.1:20002"]


# Killed at any instant


class Mortal(FakeTarget):
    """A host on which the run is killed at its n-th change: before it when `after` is false, right after it else."""

    instants = -1
    after = False

    def _instant(self) -> bool:
        self.instants -= 1
        if self.instants == 0 and not self.after:
            raise Killed
        return self.instants == 0

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        now = self._instant()
        super().write(path, data, mode)
        if now:
            raise Killed

    def remove(self, path: str) -> None:
        now = self._instant()
        super().remove(path)
        if now:
            raise Killed

    def run(self, command: Sequence[str], **options: Any) -> Any:
        now = self._instant() if {"create", "start", "delete"} & set(command) else False
        done = super().run(command, **options)
        if now:
            raise Killed
        return done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("start", ["absent", "stopped", "wrong", "half"])
def test_a_run_that_was_killed_at_any_instant_is_finished_by_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch, start: str, after: bool
) -> None:
    wanted = env_with(agents=1)
    instants = 0
    while True:
        instants += 1
        host = Mortal(project)
        for file in Path(host.state).glob("lab/*"):
            file.unlink()
        world = World(host)
        monkeypatch.setattr(engine, "find", lambda _t, _e: engine.Found("docker", {}, ""))
        monkeypatch.setattr(tools, "installed", lambda _t, _e, tool: tool)
        monkeypatch.setattr(tools, "path", lambda _t, _e, tool: tool)
        monkeypatch.setattr(kube, "open_session", world.open)
        if start != "absent":
            world.half = start == "half"
            try:
                apply(host, env_with() if start == "wrong" else wanted)
            except Killed:
                world.half = False
        if start == "stopped":
            world.stop()
        host.instants, host.after = instants, after
        try:
            apply(host, wanted)
            killed = False
        except Killed:
            killed = True
        host.instants = -1
        apply(host, wanted)
        assert plan(host, wanted).empty
        assert cluster.view(host, wanted).state is State.UP
        seen = k3d.observe(host, "k3d", {}, world.name)
        assert seen is not None
        assert isinstance(wanted.cluster, K3dCluster)
        assert seen.config == k3d.fixed(wanted.cluster, wanted)
        assert len(seen.nodes) == 2
        assert host.read(cluster.marker_path(host, wanted)) is None
        identity = host.read(f"{host.state}/lab/identity.json")
        assert identity is not None
        if not killed:
            break
    assert instants > 2


def test_half_a_cluster_is_made_anew_without_consent_because_nothing_is_in_it(host: FakeTarget, world: World) -> None:
    world.half = True
    with pytest.raises(Killed):
        apply(host)
    world.half = False
    action, _, why = only(plan(host))
    assert (action, why) == ("+", "its creation was cut off; what there is of it is removed first")
    assert cluster.session(host, ENV) is None


# An existing cluster

THEIRS = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "dev",
    "clusters": [
        {"name": "p", "cluster": {"server": "https://prod.example:6443", "insecure-skip-tls-verify": True}},
        {"name": "d", "cluster": {"server": "https://dev.example:6443"}},
    ],
    "users": [{"name": "p", "user": {"token": "prod-token"}}, {"name": "d", "user": {"token": "dev-token"}}],
    "contexts": [
        {"name": "prod", "context": {"cluster": "p", "user": "p"}},
        {"name": "dev", "context": {"cluster": "d", "user": "d"}},
    ],
}


@pytest.fixture
def prod(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    theirs = host.project.root / "their kubeconfig"
    theirs.write_text(yaml.safe_dump(THEIRS))
    session = FakeSession()
    monkeypatch.setattr(kube, "open_session", lambda _target, _path, _context: session)
    return session


def test_only_the_context_that_is_meant_is_taken_over(host: FakeTarget, prod: FakeSession) -> None:
    env = existing(kubeconfig="their kubeconfig")
    theirs = (host.project.root / "their kubeconfig").read_bytes()
    assert cluster.session(host, env) is prod
    text = host.read(cluster.kubeconfig_path(host, env))
    assert text is not None
    ours = yaml.safe_load(text)
    assert [c["name"] for c in ours["contexts"]] == ["prod"]
    assert b"dev" not in text
    assert (host.project.root / "their kubeconfig").read_bytes() == theirs
    assert Path(cluster.kubeconfig_path(host, env)).stat().st_mode & 0o777 == 0o600


def test_an_existing_cluster_that_is_the_right_one_needs_nothing(host: FakeTarget, prod: FakeSession) -> None:
    made = cluster.ensure.plan(host, existing(kubeconfig="their kubeconfig"))
    assert made.empty
    assert made.checked == 1
    assert host.commands == []


def test_an_existing_cluster_that_is_another_one_is_refused(host: FakeTarget, prod: FakeSession) -> None:
    prod.who = Identity(UID, "00" * 32)
    with pytest.raises(Refused, match="this is another cluster than prod means"):
        cluster.ensure.plan(host, existing(kubeconfig="their kubeconfig"))


def test_an_existing_cluster_that_does_not_answer_is_not_absent(host: FakeTarget, prod: FakeSession) -> None:
    prod.failing["identity"] = Unreachable("no answer")
    with pytest.raises(Unreachable):
        cluster.ensure.plan(host, existing(kubeconfig="their kubeconfig"))
