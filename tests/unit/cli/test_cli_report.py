"""`meshwright report`."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTarget

from meshwright import cluster
from meshwright.errors import Exit, Unreachable


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(_target: object, env: Any) -> None:
        if env.name == "prod":
            raise Unreachable("10.0.0.1:6443 cannot be reached")

    monkeypatch.setattr(cluster, "session", session)
    monkeypatch.setattr(cluster, "no_session", lambda _target, env: f"the cluster of {env.name} is absent")


def test_all_environments_on_one_page(run: Any, host: FakeTarget) -> None:
    out = host.project.root / "report.html"
    ran = run("report", "--out", "report.html")
    assert ran.code == Exit.OK
    assert ran.out.startswith("report.html: 2 environments, ")
    assert "not verified: mesh of prod: 10.0.0.1:6443 cannot be reached\n" in ran.err
    text = out.read_text()
    assert '<h2 id="env-1-name">lab</h2>' in text
    assert '<h2 id="env-2-name">prod</h2>' in text
    assert "the cluster of lab is absent" in text


def test_one_environment_and_its_values(run: Any, host: FakeTarget) -> None:
    ran = run("report", "lab", "--json")
    assert (ran.code, ran.document["ok"], ran.document["environment"]) == (Exit.OK, True, "lab")
    assert ran.document["summary"] == {"checked": 1, "not_verified": 3}
    [lab] = ran.document["environments"]
    assert (lab["environment"], lab["state"]) == ("lab", "the cluster of lab is absent")
    assert lab["not_verified"]["drift"] == "the cluster of lab is absent"
    assert lab["windows"]["state"] == "it has no windows: it may be changed at any time"
    assert not list(host.project.root.glob("*.html"))


def test_several_are_in_the_order_of_the_line(run: Any, host: FakeTarget) -> None:
    found = run("report", "prod", "lab", "prod", "--json").document["environments"]
    assert [each["environment"] for each in found] == ["prod", "lab"]


def test_values_of_one_that_cannot_be_read_are_its_own_matter(run: Any, host: FakeTarget) -> None:
    (host.project.root / "group_data" / "lab.yaml").write_text("clutser: 1\n")
    assert run("report", "--out", "r.html").code == Exit.OK
    ran = run("report", "lab", "--out", "r.html")
    assert ran.code == Exit.ERROR, "nothing at all was found out"
    assert "clutser is not a known key" in (host.project.root / "r.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), Exit.USAGE, "say where the page is to be written: --out report.html"),
        (("nonesuch", "--out", "r.html"), Exit.BAD_INPUT, "there is no environment 'nonesuch'"),
        (("lab", "--out", "."), Exit.ERROR, "error: . is a folder"),
        (("lab", "--out", "none/r.html"), Exit.ERROR, "error: there is no folder none"),
    ],
)
def test_bad_input(run: Any, host: FakeTarget, words: tuple[str, ...], code: Exit, said: str) -> None:
    ran = run("report", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert not list(host.project.root.glob("*.html"))


def test_a_project_without_environments(run: Any, host: FakeTarget) -> None:
    for file in (host.project.root / "inventory").glob("*.py"):
        file.unlink()
    ran = run("report", "--out", "r.html")
    assert (ran.code, ran.out) == (Exit.ERROR, "")
    assert "there are no environments" in ran.err
