"""Templates: whose is taken, and what is said about a broken one."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright import template
from meshwright.errors import BadInput
from meshwright.project import Project


def write(project: Project, name: str, text: str) -> None:
    folder = project.root / "templates"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_the_projects_template_goes_before_ours(project: Project) -> None:
    assert "k3d.io/v1alpha5" in (template._OWN / "k3d.yaml.j2").read_text()
    write(project, "k3d.yaml.j2", "mine: {{ name }}\n")
    assert template.render(project, "k3d.yaml.j2", name="x") == "mine: x\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: {{ nme }}\n", "templates/x.j2:2: 'nme' is undefined"),
        ("a: 1\n\n{% if %}\n", "templates/x.j2:3: Expected an expression, got 'end of statement block'"),
        ("a: 1\nb: {{ nme | tojson }}\n", "templates/x.j2:2: 'nme' is undefined"),
        ("{{ {'a': [nme]} | tojson }}\n", "templates/x.j2:1: 'nme' is undefined"),
        ("a: 1\nb: {{ range | tojson }}\n", "templates/x.j2:2: tojson cannot write type"),
        (
            "a: 1\n{{ 1 / 0 }}\n",
            "templates/x.j2:2: the template cannot be rendered: ZeroDivisionError: division by zero",
        ),
        ("{{ 'text'.index('y') }}\n", "templates/x.j2:1: the template cannot be rendered: ValueError"),
        ("{% include 'y.j2' %}", "there is no template y.j2"),
    ],
)
def test_a_broken_template_is_told_with_its_line(project: Project, text: str, sentence: str) -> None:
    write(project, "x.j2", text)
    with pytest.raises(BadInput) as caught:
        template.render(project, "x.j2")
    assert caught.value.message == sentence


def test_a_missing_template_is_bad_input(project: Project) -> None:
    with pytest.raises(BadInput, match=r"^there is no template nonesuch\.j2\."):
        template.render(project, "nonesuch.j2")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20))
def test_text_through_tojson_is_the_same_text_in_yaml(project: Project, value: str) -> None:
    write(project, "x.j2", "a: {{ value | tojson }}\n")
    assert yaml.safe_load(template.render(project, "x.j2", value=value)) == {"a": value}
