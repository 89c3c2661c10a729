"""`meshwright apply`: shows, asks, and does exactly that, by pyinfra."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sshd
from fakes import CA, UID, FakeSession
from fakesteps import fill, world

from meshwright import cluster, identity, lock
from meshwright.cli import changing, child
from meshwright.errors import Exit
from meshwright.kube import Identity
from meshwright.project import Project

SITE = "make('tools'), make('istio', after='tools'), checking()"


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a deploy was run")

    monkeypatch.setattr(changing, "run_deploy", never)


def answers(monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
    """A person at a terminal."""
    lines: Iterator[str] = iter(typed)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _text: next(lines))


def test_a_bring_up_and_then_nothing_to_do(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("apply", "lab", "--yes")
    assert said.code == Exit.OK
    assert world(project) == ["istio", "tools"]
    assert said.out.splitlines()[0] == "tools:"
    assert said.out.splitlines()[-1] == "Plan: 1 to add, 0 to change, 0 to destroy; known later: istio."
    told = [line.partition(" (")[0] for line in said.err.splitlines()]
    assert told == [
        "tools ...",
        "  making tools",
        "tools: changed",
        "istio ...",
        "  making istio",
        "istio: changed",
        "check: unchanged",
    ]
    again = meshwright("apply", "lab", "--json")
    assert again.code == Exit.OK
    assert again.document["summary"]["changed"] == 0
    assert [step["state"] for step in again.document["steps"]] == ["unchanged"] * 3
    assert again.document["ok"] is True


@pytest.mark.usefixtures("no_child")
def test_nothing_to_do_and_nothing_to_check_ends_at_once(meshwright: Any, project: Project) -> None:
    fill(project, "make('a')")
    (project.root / "world" / "a").write_text("")
    said = meshwright("apply", "lab")
    assert (said.code, said.out) == (Exit.OK, "Plan: 0 to add, 0 to change, 0 to destroy.\n")
    assert meshwright("apply", "lab", "--json").document["steps"] == []


@pytest.mark.usefixtures("no_child")
def test_plan_shows_and_stops(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("apply", "lab", "--plan", "--yes")
    assert said.code == Exit.OK
    assert said.out == meshwright("plan", "lab").out
    assert world(project) == []


@pytest.mark.usefixtures("no_child")
def test_nobody_there_to_ask_is_64(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("apply", "lab")
    assert said.code == Exit.USAGE
    assert said.err == ("error: this needs an answer and standard input is not a terminal: run it with --yes\n")
    assert "world/tools" in said.out


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("typed", ["n", "", "no"])
def test_a_no_is_refused(meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    fill(project, SITE)
    answers(monkeypatch, typed)
    said = meshwright("apply", "lab")
    assert said.code == Exit.REFUSED
    assert said.err.endswith("error: not approved; nothing was changed\n")


def done(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The data of each deploy that would be run."""
    ran: list[dict[str, str]] = []

    def run(_project: object, _env: str, _deploy: str, data: dict[str, str], say: object) -> child.Done:
        ran.append(data)
        return child.Done()

    monkeypatch.setattr(changing, "run_deploy", run)
    return ran


def test_a_yes_passes_on_the_digest_of_what_was_shown(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, SITE)
    ran = done(monkeypatch)
    answers(monkeypatch, "y")
    assert meshwright("apply", "lab").code == Exit.OK
    digest = meshwright("plan", "lab", "--json").document["digest"]
    assert ran == [{"approved": digest}]


def test_consent_to_a_recreation_is_passed_on(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, SITE)
    ran = done(monkeypatch)
    meshwright("apply", "lab", "--yes", "--allow-recreate")
    assert ran[0]["allow_recreate"] == "true"


def test_the_names_of_what_is_taken_over_are_passed_on(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, SITE)
    ran = done(monkeypatch)
    file = meshwright("plan", "lab", "--json").document["steps"]
    name = next(f"{change['kind']}/{change['name']}" for step in file for change in step["changes"])
    assert meshwright("apply", "lab", "--yes", "--adopt", name).code == Exit.OK
    assert ran[0]["adopt"] == name
    assert meshwright("plan", "lab", "--adopt", name, "--out", "p.json").code == Exit.OK
    assert meshwright("apply", "lab", "--saved", "p.json").code == Exit.OK
    assert ran[1]["adopt"] == name


@pytest.mark.usefixtures("no_child")
def test_a_protected_environment_asks_for_its_name_whatever_yes_says(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, SITE)
    assert meshwright("apply", "prod", "--yes").code == Exit.USAGE
    answers(monkeypatch, "yes")
    said = meshwright("apply", "prod", "--yes")
    assert said.code == Exit.REFUSED
    assert said.err.endswith("error: 'yes' is not 'prod'; nothing was changed\n")


def test_the_name_of_a_protected_environment_is_its_approval(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, SITE)
    ran = done(monkeypatch)
    answers(monkeypatch, "prod")
    assert meshwright("apply", "prod").code == Exit.OK
    assert list(ran[0]) == ["approved"]


def test_a_failing_step_gives_its_exit_code_and_one_sentence(meshwright: Any, project: Project) -> None:
    fill(project, "make('a'), failing('broken', Exit.UNVERIFIED), make('never')")
    path = project.root / "deploys" / "site.py"
    path.write_text("from meshwright.errors import Exit\n" + path.read_text())
    said = meshwright("apply", "lab", "--yes", "--json")
    assert said.code == Exit.UNVERIFIED
    assert world(project) == ["a"]
    assert said.document["ok"] is False
    assert said.document["error"] == {"message": "the disk is full", "hint": "Make room", "exit": 4}
    assert said.document["summary"]["changed"] == 1
    assert said.err.splitlines()[-2:] == ["error: the disk is full", "hint: Make room"]


def test_a_check_that_does_not_hold_is_1(meshwright: Any, project: Project) -> None:
    fill(project, "checking()")
    (project.root / "world" / "bad").write_text("")
    said = meshwright("apply", "lab")
    assert said.code == Exit.ERROR
    assert said.err.splitlines()[-2:] == ["error: 1 of 1 checks failed: world/bad is there", "hint: Remove it"]


def test_a_second_run_is_refused(meshwright: Any, project: Project) -> None:
    fill(project, "make('a')")
    held = lock.acquire(f"mw-lab-{project.digest}", "lab: a")
    try:
        said = meshwright("apply", "lab", "--yes")
    finally:
        held.release()
    assert said.code == Exit.REFUSED
    assert f"error: another run is changing mw-lab-{project.digest}: lab: a, process" in said.err
    assert world(project) == []


# Saved plans


def saved(meshwright: Any, *words: str) -> str:
    assert meshwright("plan", *words, "--out", "p.json").code == Exit.OK
    return "p.json"


@pytest.mark.parametrize("environment", ["lab", "prod"])
def test_a_saved_plan_needs_no_question_even_where_protected(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    fill(project, SITE)
    ran = done(monkeypatch)
    file = saved(meshwright, environment)
    said = meshwright("apply", environment, "--saved", file)
    assert said.code == Exit.OK, said.err
    assert ran == [{"approved": meshwright("plan", environment, "--json").document["digest"]}]


def test_a_saved_plan_is_applied_for_real(meshwright: Any, project: Project) -> None:
    fill(project, "make('a'), make('b')")
    file = saved(meshwright, "prod")
    said = meshwright("apply", "prod", "--saved", file)
    assert said.code == Exit.OK, said.err
    assert world(project) == ["a", "b"]
    again = meshwright("apply", "prod", "--saved", file)
    assert again.code == Exit.REFUSED
    assert "is stale: a has nothing left to do; b has nothing left to do" in again.err


@pytest.mark.usefixtures("no_child")
def test_a_stale_plan_is_shown_and_refused(meshwright: Any, project: Project) -> None:
    fill(project, "make('a'), make('b')")
    file = saved(meshwright, "lab")
    (project.root / "world" / "a").write_text("")
    for more in ((), ("--plan",), ("--yes",)):
        said = meshwright("apply", "lab", "--saved", file, *more)
        assert said.code == Exit.REFUSED
        assert "+ File world/b" in said.out
        assert "is stale: a has nothing left to do" in said.err
        assert "hint: Look at it again: `meshwright plan lab site --out FILE`" in said.err
    assert meshwright("apply", "lab", "--saved", file, "--json").document["ok"] is False
    assert world(project) == ["a"]


@pytest.mark.usefixtures("no_child")
def test_a_saved_plan_can_be_looked_at_once_more(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    file = saved(meshwright, "prod")
    said = meshwright("apply", "prod", "--saved", file, "--plan", "--json")
    assert said.code == Exit.OK
    assert said.document["digest"] == json.loads((project.root / file).read_text())["digest"]


@pytest.mark.usefixtures("no_child")
def test_a_saved_plan_of_something_else(meshwright: Any, project: Project) -> None:
    fill(project, SITE, other="make('a')")
    file = saved(meshwright, "lab", "other")
    for words in (("lab",), ("prod", "other")):
        said = meshwright("apply", *words, "--saved", file)
        assert said.code == Exit.REFUSED
        assert "error: this plan is for lab other, not for " in said.err


@pytest.mark.usefixtures("no_child")
def test_a_saved_plan_for_another_cluster(meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project, "replace(make('a'), cluster=True)")
    path = project.root / "deploys" / "site.py"
    path.write_text("from dataclasses import replace\n" + path.read_text())
    session = FakeSession()
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    monkeypatch.setattr(identity, "verify", lambda *_: None)
    file = saved(meshwright, "lab")
    assert json.loads((project.root / file).read_text())["cluster"] == UID
    session.who = Identity("another", CA)
    said = meshwright("apply", "lab", "--saved", file)
    assert said.code == Exit.REFUSED
    assert f"made for the cluster with uid {UID}, and what answers now has uid another" in said.err


@pytest.mark.usefixtures("no_child")
def test_a_file_that_is_no_saved_plan_or_was_edited(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("apply", "lab", "--saved", "none.json")
    assert said.code == Exit.BAD_INPUT
    assert "error: --saved none.json: No such file or directory" in said.err
    (project.root / "words.json").write_text(json.dumps(meshwright("plan", "lab", "--json").document))
    said = meshwright("apply", "lab", "--saved", "words.json")
    assert said.code == Exit.BAD_INPUT
    assert "error: words.json is not a saved plan" in said.err
    file = project.root / saved(meshwright, "lab")
    file.write_text(file.read_text().replace("world/", "wonder/"))
    said = meshwright("apply", "lab", "--saved", "p.json")
    assert said.code == Exit.BAD_INPUT
    assert "error: p.json is not as it was saved" in said.err


@pytest.mark.skipif(sshd.BINARY is None and not os.environ.get("CI"), reason="needs an SSH server")
def test_a_protected_environment_with_two_hosts_is_changed_with_the_approval_of_each(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fill(project, "make('a'), make('b')")
    server = sshd.start(tmp_path_factory.mktemp("sshd"))
    try:
        hosts = [{"name": "@local"}, server.host().model_dump(exclude_none=True)]
        path = project.root / "group_data" / "prod.yaml"
        path.write_text(path.read_text() + f"hosts: {json.dumps(hosts)}\n")
        digests = meshwright("plan", "prod", "--json").document["digests"]
        assert list(digests) == ["@local", "127.0.0.1"]
        command = child.pyinfra("prod", "site", {"approved": json.dumps({**digests, "127.0.0.1": "sha256:0"})})
        refused = subprocess.run([*command, "-y"], cwd=project.root, capture_output=True, text=True)
        assert refused.returncode == 1
        assert "the plan has changed since it was approved (sha256:0" in refused.stderr
        assert world(project) == []
        answers(monkeypatch, "prod")
        said = meshwright("apply", "prod")
        assert said.code == Exit.OK, said.err
        assert world(project) == ["a", "b"]
    finally:
        server.stop()
