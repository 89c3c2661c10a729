"""Reading deploy files: one list for both ways of running it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from meshwright import deploy
from meshwright.errors import BadInput, Exit
from meshwright.project import Project

HEAD = """
from meshwright.deploy import run
from meshwright.plan import Plan
from meshwright.step import Step

def step(name):
    return Step(name, lambda t, e: Plan(name, "d"), lambda t, e, p: None)

"""


def write(project: Project, name: str, text: str) -> None:
    (project.root / "deploys" / f"{name}.py").write_text(HEAD + textwrap.dedent(text))


def test_the_list_of_the_file_is_what_is_loaded(project: Project) -> None:
    write(project, "site", "steps = [step('a'), step('b')]\nrun(steps)")
    assert [step.name for step in deploy.load(project, "site")] == ["a", "b"]


def test_a_name_may_have_the_dash_of_a_command(project: Project) -> None:
    write(project, "certs_check_root", "steps = [step('a')]")
    assert [step.name for step in deploy.load(project, "certs-check-root")] == ["a"]


def test_names_are_the_files(project: Project) -> None:
    for name in ("site", "_shared", "addons"):
        write(project, name, "")
    (project.root / "deploys" / "readme.md").write_text("")
    assert deploy.names(project) == ["addons", "site"]


def test_an_unknown_deploy_names_the_nearest_and_all(project: Project) -> None:
    write(project, "site", "")
    write(project, "cluster", "")
    with pytest.raises(BadInput) as caught:
        deploy.load(project, "clutser")
    assert caught.value.message == "there is no deploy 'clutser'"
    assert caught.value.hint == "Did you mean cluster? Deploys of this project: cluster, site"
    assert caught.value.exit_code is Exit.BAD_INPUT


def test_a_name_that_is_near_to_nothing(project: Project) -> None:
    write(project, "site", "")
    with pytest.raises(BadInput) as caught:
        deploy.load(project, "../inventory/lab")
    assert caught.value.hint == "Deploys of this project: site"


@pytest.mark.parametrize("text", ["", "steps = step('a')", "steps = (step('a'),)", "steps = [step('a'), 'b']"])
def test_a_file_without_a_list_of_steps(project: Project, text: str) -> None:
    write(project, "site", text)
    with pytest.raises(BadInput) as caught:
        deploy.load(project, "site")
    assert caught.value.message == "deploys/site.py has no list `steps` of steps"
    assert caught.value.hint == "End the file with `steps = [...]` and `run(steps)`; docs/extending.md shows one"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps = [", "deploys/site.py:9: SyntaxError: '[' was never closed"),
        ("\nsteps = [stpe('a')]", "deploys/site.py:10: NameError: name 'stpe' is not defined"),
        ("import meshwright.nonesuch", "deploys/site.py:9: ModuleNotFoundError: No module named 'meshwright.nonesuch'"),
        ("def broken():\n    return 1 / 0\nbroken()", "deploys/site.py:10: ZeroDivisionError: division by zero"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(project: Project, text: str, sentence: str) -> None:
    write(project, "site", text)
    with pytest.raises(BadInput) as caught:
        deploy.load(project, "site")
    assert caught.value.message == sentence


def test_an_error_in_other_code_is_not_blamed_on_the_file(project: Project) -> None:
    write(project, "site", "import json\njson.loads('{')")
    with pytest.raises(ValueError, match="Expecting property name"):
        deploy.load(project, "site")


def test_a_bad_input_of_the_file_itself_stays_what_it_is(project: Project) -> None:
    write(project, "site", "from meshwright.errors import BadInput\nraise BadInput('no such addon')")
    with pytest.raises(BadInput, match=r"^no such addon$"):
        deploy.load(project, "site")


def test_reading_a_file_ends_with_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    write(project, "site", "steps = [step('a')]\nrun(steps)")
    write(project, "bad", "run([])\nraise KeyError")
    with pytest.raises(BadInput):
        deploy.load(project, "bad")
    steps = deploy.load(project, "site")
    import meshwright.operations

    monkeypatch.setattr(meshwright.operations, "run_steps", ran.append)
    deploy.run(steps)
    assert ran == [steps]


def test_two_steps_of_one_name_are_refused(project: Project) -> None:
    write(project, "site", "steps = [step('a'), step('b'), step('a')]")
    with pytest.raises(BadInput) as caught:
        deploy.load(project, "site")
    assert caught.value.message == "deploys/site.py has two steps named 'a'"


def test_site_leaves_addons_alone() -> None:
    own = Project(Path(__file__).parents[2])
    names = [step.name for step in deploy.load(own, "site")]
    assert "resources" in names
    assert "addons" not in names
    assert "addons" in [step.name for step in deploy.load(own, "addons")]
