"""Deleting a k3d cluster: what it plans, what it removes, what it refuses, and being killed in the middle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeTarget, environment, existing

from meshwright import cluster, destroy, engine, identity, k3d, tools
from meshwright.environment import cluster_name
from meshwright.errors import Exit, MeshwrightError, ProcessError, Refused, Unreachable
from meshwright.plan import Action

ENV = environment()


@pytest.fixture(autouse=True)
def docker(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answers, and a k3d."""
    found = engine.Found("docker", {"DOCKER_HOST": "unix:///x"}, "it answers")
    monkeypatch.setattr(engine, "find", lambda _target, _env: found)
    monkeypatch.setattr(tools, "installed", lambda _target, _env, _tool: "/bin/k3d")
    monkeypatch.setattr(tools, "path", lambda _target, _env, _tool: "/bin/k3d")
    there(host, [])


def there(host: FakeTarget, names: list[str], labels: dict[str, str] | None = None) -> None:
    """What `k3d cluster list` says: stopped clusters of one server and one agent."""
    labels = {k3d.LABEL: "{}"} if labels is None else labels
    nodes = [
        {"name": f"k3d-x-{role}-0", "role": role, "runtimeLabels": labels, "State": {"Running": False}}
        for role in ("server", "agent", "loadbalancer")
    ]
    host.answer("cluster list", json.dumps([{"name": name, "nodes": nodes} for name in names]))


def files(host: FakeTarget) -> list[str]:
    folder = host.project.state / "lab"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def written(host: FakeTarget, *names: str) -> None:
    for name in names:
        host.write(f"{host.state}/lab/{name}", b"{}")


def run(host: FakeTarget) -> None:
    destroy.remove.apply(host, ENV, destroy.remove.plan(host, ENV))


def test_nothing_there_is_nothing_to_do(host: FakeTarget) -> None:
    assert destroy.remove.plan(host, ENV).empty


def test_the_plan_lists_what_goes(host: FakeTarget) -> None:
    name = cluster_name(ENV, host.project)
    there(host, [name, "another"])
    written(host, "kubeconfig", "identity.json", "k3d.yaml")
    plan = destroy.remove.plan(host, ENV)
    assert [(change.action, change.kind) for change in plan.changes] == [
        (Action.DESTROY, "Cluster"),
        (Action.DESTROY, "File"),
        (Action.DESTROY, "File"),
    ]
    assert plan.changes[0].name == name
    assert plan.changes[0].why == "with 2 nodes and everything in it"
    assert host.commands == [("/bin/k3d", "cluster", "list", "-o", "json")]


def test_it_deletes_the_cluster_and_its_files(host: FakeTarget) -> None:
    name = cluster_name(ENV, host.project)
    there(host, [name])
    written(host, "kubeconfig", "identity.json", "k3d.yaml", "creating")
    host.answer("cluster delete")
    run(host)
    assert host.commands[-1] == ("/bin/k3d", "cluster", "delete", name)
    assert files(host) == ["k3d.yaml"]


def test_k3d_gets_the_environments_kubeconfig_as_the_users(host: FakeTarget) -> None:
    there(host, [cluster_name(ENV, host.project)])
    host.answer("cluster delete")
    run(host)
    assert host.environs[-1] == {"DOCKER_HOST": "unix:///x", "KUBECONFIG": cluster.kubeconfig_path(host, ENV)}


def test_killed_in_the_middle_what_is_left_is_half_a_cluster(host: FakeTarget) -> None:
    there(host, [cluster_name(ENV, host.project)])
    host.answer("cluster delete", ProcessError("k3d exited with -9: killed", command=["k3d"]))
    with pytest.raises(ProcessError):
        run(host)
    assert files(host) == ["creating"]
    # What k3d left may have no server any more, and so no label: it is still known to be ours.
    there(host, [cluster_name(ENV, host.project)], labels={})
    host.shared.forget(("cluster", "lab"))
    assert cluster.view(host, ENV).state is cluster.State.CUT_OFF
    host.answer("cluster delete")
    run(host)
    assert files(host) == []


def test_files_of_a_cluster_that_somebody_deleted(host: FakeTarget) -> None:
    written(host, "kubeconfig", "identity.json")
    plan = destroy.remove.plan(host, ENV)
    assert {change.kind for change in plan.changes} == {"File"}
    destroy.remove.apply(host, ENV, plan)
    assert files(host) == []


def test_a_second_run_has_nothing_to_do(host: FakeTarget) -> None:
    there(host, [cluster_name(ENV, host.project)])
    host.answer("cluster delete", lambda *_: there(host, []) or "")
    run(host)
    assert destroy.remove.plan(host, ENV).empty


def test_a_cluster_of_somebody_else_with_that_name(host: FakeTarget) -> None:
    there(host, [cluster_name(ENV, host.project)], labels={})
    with pytest.raises(Refused, match="Meshwright did not create"):
        destroy.remove.plan(host, ENV)


@pytest.mark.parametrize("env", [existing(), environment("staging", protected=True)], ids=["existing", "protected"])
def test_what_is_never_destroyed(host: FakeTarget, env: Any) -> None:
    with pytest.raises(Refused, match="never destroyed") as refused:
        destroy.remove.plan(host, env)
    assert refused.value.exit_code is Exit.REFUSED
    assert host.commands == []


def test_no_engine_and_nothing_written_down(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find", lambda _target, _env: None)
    assert destroy.remove.plan(host, ENV).empty


def test_no_engine_says_nothing_about_a_cluster_that_there_was(
    host: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find", lambda _target, _env: None)
    written(host, "kubeconfig")
    with pytest.raises(MeshwrightError, match="cannot be seen: the step engine has not run") as error:
        destroy.remove.plan(host, ENV)
    assert "`meshwright apply lab cluster`" in error.value.hint


def test_an_engine_that_gives_no_answer_is_not_an_absent_cluster(
    host: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(_target: object, _env: object) -> None:
        raise Unreachable("the container engine does not answer")

    monkeypatch.setattr(engine, "find", find)
    with pytest.raises(Unreachable):
        destroy.remove.plan(host, ENV)


def test_the_identity_goes_with_the_cluster(host: FakeTarget) -> None:
    written(host, "identity.json")
    run(host)
    assert host.read(identity.path(host, ENV)) is None
