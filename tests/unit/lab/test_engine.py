from __future__ import annotations

import pytest
from fakes import environment, existing

from meshwright import engine
from meshwright.errors import Forbidden, MeshwrightError, ProcessError, Unreachable
from meshwright.lab import dockerd
from meshwright.lab.api import Answer
from meshwright.plan import Action
from meshwright.target import Platform

USERS = "/var/run/docker.sock"


@pytest.fixture
def answers(monkeypatch, places):
    """What sockets answer, by path; and which were asked."""
    said: dict[str, Answer] = {}
    asked: list[str] = []

    def ping(path, timeout):
        assert timeout <= 3
        asked.append(path)
        return said.get(path, Answer.NO)

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine.api, "ping", ping)
    said["asked"] = asked  # type: ignore[assignment]
    return said


def with_engine(kind):
    return environment(engine={"kind": kind})


def own_socket(host):
    return str(dockerd.places(host.project).socket)


def test_auto_takes_the_users_engine_where_it_answers(host, answers):
    answers[USERS] = Answer.YES
    found = engine.find(host, with_engine("auto"))
    assert found == engine.Found("docker", {"DOCKER_HOST": f"unix://{USERS}"}, f"the engine at unix://{USERS} answers")


def test_docker_host_says_where_the_users_engine_is(host, answers, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    answers["/run/user/1000/docker.sock"] = Answer.YES
    found = engine.find(host, with_engine("docker"))
    assert found is not None
    assert found.environ == {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}


@pytest.mark.parametrize("dead", [Answer.NO, Answer.SILENT, Answer.FORBIDDEN])
def test_auto_goes_on_to_the_labs_own_and_says_why(host, answers, dead):
    answers[USERS] = dead
    answers[own_socket(host)] = Answer.YES
    found = engine.find(host, with_engine("auto"))
    assert found is not None
    assert (found.kind, found.environ) == ("lab", {"DOCKER_HOST": f"unix://{own_socket(host)}"})
    assert dead.value in found.why


def test_lab_does_not_even_ask_the_users_engine(host, answers):
    answers[USERS] = Answer.YES
    assert engine.find(host, with_engine("lab")) is None
    assert answers["asked"] == [own_socket(host)]


@pytest.mark.parametrize("dead", [Answer.NO, Answer.SILENT])
def test_the_users_engine_is_not_ours_to_start(host, answers, dead):
    answers[USERS] = dead
    with pytest.raises(Unreachable, match=f"does not answer: {dead.value}") as raised:
        engine.find(host, with_engine("docker"))
    assert "engine.kind to lab" in raised.value.hint


def test_the_users_engine_may_be_forbidden(host, answers):
    answers[USERS] = Answer.FORBIDDEN
    with pytest.raises(Forbidden, match="may not use the container engine"):
        engine.find(host, with_engine("docker"))


def test_the_labs_engine_may_be_forbidden_or_silent(host, answers):
    answers[own_socket(host)] = Answer.FORBIDDEN
    with pytest.raises(Forbidden, match="for root only"):
        engine.find(host, with_engine("lab"))
    answers[own_socket(host)] = Answer.SILENT
    with pytest.raises(Unreachable, match="gives no answer"):
        engine.find(host, with_engine("lab"))


def test_without_linux_there_is_no_engine_of_our_own(host, answers):
    assert answers["asked"] == []
    host.platform = Platform("darwin", "arm64")
    with pytest.raises(Unreachable, match="does not answer"):
        engine.find(host, with_engine("auto"))


def test_other_addresses_are_left_to_docker(host, answers, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://builder")
    host.answer("docker version", "28.2.2")
    found = engine.find(host, with_engine("auto"))
    assert found is not None
    assert found.environ == {"DOCKER_HOST": "ssh://builder"}
    assert host.environs == [{"DOCKER_HOST": "ssh://builder"}]
    assert answers["asked"] == []


def test_other_addresses_that_fail(host, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    host.answer("docker version", ProcessError("docker version did not end within 3 s", command=["docker"]))
    with pytest.raises(Unreachable, match="did not end within 3 s"):
        engine.find(host, with_engine("docker"))


def test_asked_once_per_run(host, answers):
    answers[USERS] = Answer.YES
    for _ in range(3):
        engine.find(host, with_engine("auto"))
    assert len(answers["asked"]) == 1


def test_on_another_host(host, answers):
    host.local, host.name = False, "gateway-1"
    with pytest.raises(MeshwrightError, match="for this machine only"):
        engine.find(host, with_engine("lab"))
    host.answer("docker version", ProcessError("cannot start docker: No such file", command=["docker"]))
    with pytest.raises(Unreachable, match="the container engine on gateway-1 does not answer"):
        engine.find(host, with_engine("auto"))
    host.answer("docker version", "28.2.2")
    assert engine.find(host, with_engine("auto")) == engine.Found("docker", {}, "the engine on gateway-1 answers")
    assert answers["asked"] == []


def test_a_running_engine_is_nothing_to_do(host, answers):
    answers[own_socket(host)] = Answer.YES
    plan = engine.ensure.plan(host, with_engine("lab"))
    assert plan.empty
    assert plan.checked == 1
    engine.ensure.apply(host, with_engine("lab"), plan)


def test_a_stopped_one_is_one_change_and_then_found(host, answers, monkeypatch):
    def start(_target):
        answers[own_socket(host)] = Answer.YES

    monkeypatch.setattr(dockerd, "start", start)
    env = with_engine("lab")
    plan = engine.ensure.plan(host, env)
    assert [(c.action, c.kind) for c in plan.changes] == [(Action.ADD, "Engine")]
    assert plan.digest == engine.ensure.plan(host, env).digest
    engine.ensure.apply(host, env, plan)
    assert host.sentences == ["starting the lab's own container engine"]
    assert engine.find(host, env) is not None
    assert engine.ensure.plan(host, env).desired == plan.desired
    assert engine.ensure.plan(host, env).empty


@pytest.mark.usefixtures("answers")
def test_the_plan_says_what_is_missing_before_it_fails(host, monkeypatch):
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    plan = engine.ensure.plan(host, with_engine("lab"))
    assert len(plan.changes) == 1
    assert plan.notes == (
        "dockerd is not installed yet: deploys/lab.py installs it",
        "starting it needs root",
    )


def test_an_existing_cluster_needs_no_engine(host, answers):
    assert engine.ensure.plan(host, existing()).empty
    assert answers["asked"] == []
