"""`meshwright plan`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from fakesteps import fill, world

from meshwright.cli import run
from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.saved import parse

SITE = "make('tools'), make('istio', after='cluster'), checking()"


def test_the_plan_for_people(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("plan", "lab")
    assert said.code == Exit.OK
    assert said.err == ""
    assert said.out == (
        "tools:\n"
        "  + File world/tools\n"
        "      size: 5\n"
        "istio:\n"
        "  known after cluster\n"
        "Plan: 1 to add, 0 to change, 0 to destroy; known later: istio.\n"
    )
    assert world(project) == []


def test_the_plan_for_programs(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("plan", "lab", "--json")
    document = said.document
    assert said.err == ""
    steps = document.pop("steps")
    digest = document.pop("digest")
    assert digest.startswith("sha256:")
    assert document.pop("digests") == {"@local": digest}
    assert document == {
        "format_version": "1.0",
        "command": "plan",
        "environment": "lab",
        "ok": True,
        "summary": {"checked": 1, "add": 1, "change": 0, "destroy": 0, "unchanged": 0, "known_later": 1},
    }
    assert [(step["step"], step["known_after"]) for step in steps] == [
        ("tools", None),
        ("istio", "cluster"),
        ("check", None),
    ]
    assert steps[0]["changes"] == [
        {
            "action": "add",
            "kind": "File",
            "name": "world/tools",
            "fields": [{"path": "size", "before": None, "after": 5}],
            "why": "",
        }
    ]


def test_the_digest_is_the_same_until_something_changes(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    first = meshwright("plan", "lab", "--json").document["digest"]
    assert meshwright("plan", "lab", "--json").document["digest"] == first
    (project.root / "world" / "tools").write_text("")
    assert meshwright("plan", "lab", "--json").document["digest"] != first


@pytest.mark.parametrize(("site", "code"), [("make('a')", 2), ("make('a', after='b')", 2), ("checking()", 0), ("", 0)])
def test_the_exit_code_with_detail(meshwright: Any, project: Project, site: str, code: int) -> None:
    fill(project, site)
    assert meshwright("plan", "lab").code == 0
    assert meshwright("plan", "lab", "--detailed-exitcode").code == code


def test_another_deploy(meshwright: Any, project: Project) -> None:
    fill(project, "make('a')", other_one="make('b')")
    assert "world/b" in meshwright("plan", "lab", "other-one").out


def test_an_unknown_deploy(meshwright: Any, project: Project) -> None:
    fill(project, "")
    said = meshwright("plan", "lab", "sitee")
    assert said.code == Exit.BAD_INPUT
    assert said.err == ("error: there is no deploy 'sitee'\nhint: Did you mean site? Deploys of this project: site\n")


def test_a_bad_value_is_told_with_its_place(meshwright: Any, project: Project) -> None:
    fill(project, "")
    values = project.root / "group_data" / "lab.yaml"
    values.write_text("cluster: {kind: k3d, image: 'k3s:1', agents: two}\n")
    said = meshwright("plan", "lab")
    assert said.code == Exit.BAD_INPUT
    assert "group_data/lab.yaml:1" in said.err
    assert "agents" in said.err


def test_a_deploy_with_stock_operations_is_planned_by_pyinfra(meshwright: Any, project: Project) -> None:
    fill(project, "", lab="make('image'), make('there'), checking()")
    (project.root / "world" / "there").write_text("")
    path = project.root / "deploys" / "lab.py"
    stock = "from pyinfra.operations import files\nfiles.directory(name='folder', path='world/folder')\n"
    path.write_text(stock + path.read_text())
    said = meshwright("plan", "lab", "lab")
    assert said.err == ""
    assert said.out == (
        "folder:\n"
        "  ~ Operation folder\n"
        "image:\n"
        "  + File world/image\n"
        "      size: 5\n"
        "Plan: 1 to add, 1 to change, 0 to destroy.\n"
    )
    assert world(project) == ["there"]


@pytest.mark.usefixtures("meshwright")
def test_a_mistake_in_a_stock_deploy_is_told_in_pyinfras_words(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(project, "", lab="nonesuch")
    assert run(["plan", "lab", "lab"]) == Exit.ERROR
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: pyinfra could not plan this deploy\n")
    assert "name 'nonesuch' is not defined" in said.err


def test_what_stops_a_step_of_a_stock_deploy_keeps_its_sentence_and_code(meshwright: Any, project: Project) -> None:
    fill(project, "", lab="unseen()")
    said = meshwright("plan", "lab", "lab")
    assert said.code == Exit.REFUSED
    assert said.err == "error: the cluster is another one\nhint: Look where it leads\n"


def test_an_unknown_environment_of_a_stock_deploy(meshwright: Any, project: Project) -> None:
    fill(project, "", lab="")
    assert meshwright("plan", "nonesuch", "lab").code == Exit.BAD_INPUT


def test_a_plan_is_saved_for_its_owner_alone(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    said = meshwright("plan", "lab", "--out", "my plan.json")
    assert said.code == Exit.OK
    assert said.err == "saved; `meshwright apply lab site --saved 'my plan.json'` does exactly this\n"
    file = project.root / "my plan.json"
    assert file.stat().st_mode & 0o777 == 0o600
    saved = parse(file.read_bytes(), "my plan.json")
    assert (saved.environment, saved.deploy, saved.cluster) == ("lab", "site", None)
    assert datetime.fromisoformat(saved.created).utcoffset() == timedelta(0)
    document = meshwright("plan", "lab", "--json").document
    assert saved.digest == document["digest"]
    assert list(saved.steps) == document["steps"]


def test_a_plan_that_cannot_be_saved_leaves_the_old_one(meshwright: Any, project: Project) -> None:
    fill(project, SITE)
    (project.root / "old.json").write_text("old")
    said = meshwright("plan", "lab", "--out", "old.json/p.json")
    assert said.code == Exit.BAD_INPUT
    assert "--out old.json/p.json: " in said.err
    fill(project, "unseen()")
    assert meshwright("plan", "lab", "--out", "old.json").code == Exit.REFUSED
    assert (project.root / "old.json").read_text() == "old"


def test_only_one_thing_is_shown(meshwright: Any, project: Project) -> None:
    fill(project, "make('tools'), make('other')")
    said = meshwright("plan", "lab", "--only", "File/world/other")
    assert said.code == Exit.OK
    assert said.out == "other:\n  + File world/other\n      size: 5\nPlan: 1 to add, 0 to change, 0 to destroy.\n"
    assert meshwright("plan", "lab", "--only", "File/world/other", "--detailed-exitcode").code == Exit.CHANGES


def test_a_part_of_a_plan_is_nothing_to_approve_by(meshwright: Any, project: Project) -> None:
    fill(project, "make('tools'), make('other')")
    words = ("--only", "File/world/other", "--only", "File/world/tools")
    document = meshwright("plan", "lab", "--json", *words).document
    assert document["digest"] is None
    assert [step["digest"] for step in document["steps"]] == [None, None]
    assert document["summary"]["add"] == 2


def test_only_something_that_is_not_there(meshwright: Any, project: Project) -> None:
    fill(project, "make('tools')")
    said = meshwright("plan", "lab", "--only", "File/world/tool")
    assert said.code == Exit.BAD_INPUT
    assert "the nearest is File/world/tools" in said.err


def test_only_and_out_do_not_go_together(meshwright: Any, project: Project) -> None:
    fill(project, "make('tools')")
    said = meshwright("plan", "lab", "--only", "File/world/tools", "--out", "p.json")
    assert said.code == Exit.USAGE
    assert not (project.root / "p.json").exists()


def test_a_plan_of_pyinfras_own_parts_cannot_be_saved(meshwright: Any, project: Project) -> None:
    fill(project, SITE, lab="make('tools')")
    said = meshwright("plan", "lab", "lab", "--out", "p.json")
    assert said.code == Exit.BAD_INPUT
    assert "a plan of lab cannot be saved" in said.err
