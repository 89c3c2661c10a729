"""Commands over all clusters of an environment: what they show, in which order they change, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from fakes import FakeSession
from fakesteps import several, world

from meshwright import cluster
from meshwright.check import Check, Failed
from meshwright.cli import canary
from meshwright.errors import Exit, MeshwrightError
from meshwright.kube import Identity
from meshwright.project import Project

SITE = "each('a'), checking()"


def rollout(project: Project, text: str) -> None:
    path = project.root / "group_data" / "both.yaml"
    path.write_text(path.read_text() + f"rollout: {text}\n")


def test_an_apply_changes_all_and_a_second_one_nothing(meshwright: Any, project: Project) -> None:
    several(project, SITE)
    said = meshwright("apply", "both", "--yes")
    assert said.code == Exit.OK
    assert world(project) == ["a@east", "a@west"]
    assert said.out.splitlines() == [
        "== both/east",
        "a:",
        "  + File world/a@east",
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "",
        "== both/west",
        "a:",
        "  + File world/a@west",
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "",
        "both/east: changed (1 step)",
        "both/west: changed (1 step)",
        "2 clusters: 2 succeeded, 0 failed, 0 not begun.",
    ]
    again = meshwright("apply", "both", "--yes")
    assert again.code == Exit.OK
    assert again.out.splitlines()[-3:-1] == ["both/east: unchanged", "both/west: unchanged"]


def test_where_the_second_fails_it_is_5_and_named(meshwright: Any, project: Project) -> None:
    several(project, "each('a', fails='both/west'), checking()")
    said = meshwright("apply", "both", "--yes")
    assert said.code == Exit.PARTIAL
    assert world(project) == ["a@east"]
    assert said.out.splitlines()[-3:] == [
        "both/east: changed (1 step)",
        "both/west: failed: the disk is full",
        "2 clusters: 1 succeeded, 1 failed, 0 not begun.",
    ]
    assert "both/west: error: the disk is full" in said.err
    document = meshwright("apply", "both", "--yes", "--json").document
    east, west = document["clusters"]
    assert (document["ok"], document["summary"]["succeeded"], document["summary"]["failed"]) == (False, 1, 1)
    assert (east["environment"], east["state"], east["exit"]) == ("both/east", "succeeded", 0)
    assert (west["environment"], west["state"], west["exit"]) == ("both/west", "failed", 1)
    assert west["error"]["message"] == "the disk is full"


def test_where_the_first_fails_the_rest_is_not_begun(meshwright: Any, project: Project) -> None:
    several(project, "each('a', fails='both/east'), checking()")
    said = meshwright("apply", "both", "--yes", "--json")
    assert said.code == Exit.PARTIAL
    assert world(project) == []
    assert [each["state"] for each in said.document["clusters"]] == ["failed", "not begun"]
    assert said.document["summary"]["not_begun"] == 1


def test_a_failed_one_that_alone_had_something_to_do_is_still_5(meshwright: Any, project: Project) -> None:
    several(project, "each('a', fails='both/west')")
    (project.root / "world" / "a@east").touch()
    said = meshwright("apply", "both", "--yes")
    assert said.code == Exit.PARTIAL
    assert said.out.splitlines()[-3:-1] == ["both/east: nothing to do", "both/west: failed: the disk is full"]


def test_the_first_of_a_rollout_comes_first(meshwright: Any, project: Project) -> None:
    several(project, "each('a', fails='both/west both/east'), checking()")
    rollout(project, "{first: west}")
    said = meshwright("apply", "both", "--yes", "--json")
    # The first failed and the other was not begun: not all have failed.
    assert said.code == Exit.PARTIAL
    assert [(each["environment"], each["state"]) for each in said.document["clusters"]] == [
        ("both/west", "failed"),
        ("both/east", "not begun"),
    ]


def test_what_the_clusters_before_have_done_for_it_too_is_no_surprise(meshwright: Any, project: Project) -> None:
    several(project, "make('tools'), each('a'), checking()")
    said = meshwright("apply", "both", "--yes")
    assert said.code == Exit.OK, said.err
    assert world(project) == ["a@east", "a@west", "tools"]


def test_several_at_once_and_a_budget(meshwright: Any, project: Project) -> None:
    several(project, "each('a', fails='both/west'), checking()")
    path = project.root / "group_data" / "both.yaml"
    path.write_text(path.read_text() + "  - {name: north, cluster: {context: o}}\n")
    rollout(project, "{at_once: 2, failure_budget: 1}")
    said = meshwright("apply", "both", "--yes", "--json")
    assert said.code == Exit.PARTIAL
    assert world(project) == ["a@east", "a@north"]
    assert [each["state"] for each in said.document["clusters"]] == ["succeeded", "failed", "succeeded"]
    assert "both/north: a: changed" in said.err


def test_what_is_refused_for_one_is_refused_before_anything(meshwright: Any, project: Project) -> None:
    several(project, "each('a', refuses='both/west')")
    said = meshwright("apply", "both", "--yes")
    assert (said.code, world(project)) == (Exit.REFUSED, [])
    assert said.err.splitlines()[0] == "error: both/west: the cluster is another one"


def test_two_names_of_one_cluster_are_refused(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(project, "each('a')")
    monkeypatch.setattr("meshwright.cli.planned._uid", lambda *_: "u-1")
    said = meshwright("apply", "both", "--yes")
    assert (said.code, world(project)) == (Exit.REFUSED, [])
    assert said.err.splitlines()[0] == "error: both/east and both/west are one cluster: both have the uid u-1"


def test_plan_shows_each_cluster(meshwright: Any, project: Project) -> None:
    several(project, SITE)
    (project.root / "world" / "a@east").touch()
    said = meshwright("plan", "both", "--detailed-exitcode")
    assert said.code == Exit.CHANGES
    assert said.out.splitlines() == [
        "== both/east",
        "Plan: 0 to add, 0 to change, 0 to destroy.",
        "",
        "== both/west",
        "a:",
        "  + File world/a@west",
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "",
        "2 clusters of both: both/west ended with 2.",
    ]
    document = meshwright("plan", "both", "--json").document
    assert document["environment"] == "both"
    assert [each["environment"] for each in document["clusters"]] == ["both/east", "both/west"]
    assert [list(each["digests"]) for each in document["clusters"]] == [["@cluster/east"], ["@cluster/west"]]
    assert document["summary"]["add"] == 1
    assert document["summary"]["clusters"] == 2


def test_plan_of_one_cluster_is_that_of_an_environment(meshwright: Any, project: Project) -> None:
    several(project, SITE)
    said = meshwright("plan", "both/west", "--json").document
    assert said["environment"] == "both/west"
    assert "clusters" not in said
    assert list(said["digests"]) == ["@cluster/west"]
    done = meshwright("apply", "both/west", "--yes")
    assert (done.code, world(project)) == (Exit.OK, ["a@west"])


def test_one_that_cannot_be_planned_keeps_nobody_from_looking_at_the_others(meshwright: Any, project: Project) -> None:
    several(project, "each('a', refuses='both/east')")
    said = meshwright("plan", "both", "--json")
    east, west = said.document["clusters"]
    assert (said.code, east["error"]["message"]) == (3, "both/east: the cluster is another one")
    assert (east["ok"], west["ok"], west["summary"]["add"]) == (False, True, 1)


def test_the_digests_of_a_plan_approve_a_run_of_pyinfra_itself(meshwright: Any, project: Project) -> None:
    several(project, SITE)
    found = meshwright("plan", "both", "--json").document["clusters"]
    digests = {host: digest for each in found for host, digest in each["digests"].items()}
    wrong = json.dumps(digests | {"@cluster/west": digests["@cluster/east"]})
    command = [sys.executable, "-m", "pyinfra", "-y", "inventory/both.py", "deploys/site.py", "--data"]
    ran = subprocess.run([*command, f"approved={wrong}"], cwd=project.root, capture_output=True, timeout=120)
    assert ran.returncode == 1
    assert b"the plan has changed since it was approved" in ran.stderr
    ran = subprocess.run([*command, f"approved={json.dumps(digests)}"], cwd=project.root, timeout=120)
    assert (ran.returncode, world(project)) == (0, ["a@east", "a@west"])


@pytest.mark.parametrize(
    "words",
    [
        ["logs"],
        ["ingress"],
        ["kubeconfig"],
        ["destroy", "--confirm", "both"],
        ["rollback"],
        ["env", "show"],
        ["plan", "--out", "x"],
    ],
)
def test_what_is_for_one_cluster_names_them(meshwright: Any, project: Project, words: list[str]) -> None:
    several(project, SITE)
    at = 2 if words[0] == "env" else 1
    said = meshwright(*words[:at], "both", *words[at:])
    assert said.code == Exit.USAGE
    assert said.err.splitlines() == [
        "error: both has 2 clusters, and this is for one: both/east or both/west",
        "hint: Say which, such as both/east",
    ]


def test_a_saved_plan_is_of_one_cluster(meshwright: Any, project: Project, tmp_path: Any) -> None:
    several(project, SITE)
    file = tmp_path / "saved"
    assert meshwright("plan", "both/east", "--out", str(file)).code == Exit.OK
    assert meshwright("apply", "both", "--saved", str(file)).code == Exit.REFUSED
    assert meshwright("apply", "both/east", "--saved", str(file)).code == Exit.OK
    assert world(project) == ["a@east"]


def test_a_protected_environment_wants_its_own_name_once(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(project, SITE)
    path = project.root / "group_data" / "both.yaml"
    path.write_text("protected: true\n" + path.read_text())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    typed = iter(["both/east", "both"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _text: next(typed))
    assert meshwright("apply", "both", "--yes").code == Exit.REFUSED
    assert world(project) == []
    assert meshwright("apply", "both", "--yes").code == Exit.OK
    assert world(project) == ["a@east", "a@west"]


def claim(project: Project, after: str, before: bool = True) -> Check:
    """A check that holds `before` world/a@east is there, and after that where `after` is empty."""

    def find(_target: Any, _env: Any) -> str:
        changed = (project.root / "world" / "a@east").exists()
        if after if changed else not before:
            raise Failed(after or "not yet")
        return "it does"

    return Check("g", "It holds", find=find, anchor="x", hint="Look")


@pytest.mark.parametrize(
    ("after", "before", "stops"),
    [("", True, False), ("", False, False), ("it broke", True, True), ("still not", False, False)],
)
def test_without_checks_in_the_deploy_those_of_the_first_decide(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch, after: str, before: bool, stops: bool
) -> None:
    several(project, "each('a')")
    monkeypatch.setattr(canary.checks, "CHECKS", (claim(project, after, before),))
    said = meshwright("apply", "both", "--yes", "--json")
    first, second = said.document["clusters"]
    if stops:
        assert (said.code, world(project)) == (5, ["a@east"])
        assert (first["exit"], second["state"]) == (4, "not begun")
        assert first["error"]["message"] == "1 check that held before the change failed: It holds: it broke"
    else:
        assert (said.code, world(project)) == (0, ["a@east", "a@west"])
        assert [each["detail"] for each in first["checks"]] == (["it does"] if before else [])
        assert second["checks"] == []


def test_check_and_drift_and_history_have_a_section_for_each(
    meshwright: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(project, SITE)
    session = FakeSession()
    monkeypatch.setattr(session, "identity", lambda: Identity("u", "c"), raising=False)

    def opened(_target: Any, env: Any) -> Any:
        raise MeshwrightError(f"{env.name} sleeps")

    monkeypatch.setattr(cluster, "session", opened)
    assert meshwright("apply", "both", "--yes").code == Exit.OK
    said = meshwright("history", "both", "--json").document
    assert [[each["environment"] for each in part["records"]] for part in said["clusters"]] == [
        ["both/east"],
        ["both/west"],
    ]
    said = meshwright("check", "both", "--group", "ingress")
    assert said.code == Exit.ERROR
    assert said.out.splitlines()[-1] == "2 clusters of both: both/east ended with 1, both/west ended with 1."
    said = meshwright("environments", "--json").document
    assert [each["environment"] for each in said["environments"]] == ["both/east", "both/west", "lab", "prod"]
    assert said["environments"][0]["state"] == "both/east sleeps"
