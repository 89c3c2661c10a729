"""`meshwright drift`: what it prints and what it ends with."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTarget

from meshwright.applied import Mark
from meshwright.cli import drift as command
from meshwright.drift import Drift, Drifted, Touched
from meshwright.errors import Exit, Unreachable

DEPLOY = """\
from meshwright import resources
from meshwright.deploy import run

steps = [resources.apply_all]

run(steps)
"""
MARK = Mark("sha256:1", "20261122-190000-aaaaaa", "2026-11-22T19:00:00.000Z", "resources")
TIME = "2026-11-22T19:03:11Z"
EDITED = Drifted(
    "ConfigMap",
    "shop/a",
    (
        Touched("data.k", "v", "theirs", "kubectl-edit", TIME),
        Touched("data.gone", "1", None),
        Touched("data.more", None, "2", "kubectl", added=True),
        Touched("data.long", None, "x" * 300, "kubectl", added=True),
    ),
)
GONE = Drifted("Secret", "shop/b")


@pytest.fixture
def found(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> list[Drift]:
    """What is found; a test fills it."""
    for name in ("site", "resources"):
        (host.project.root / "deploys" / f"{name}.py").write_text(DEPLOY)
    made: list[Drift] = []
    monkeypatch.setattr(command, "of", lambda _target, _env, _steps: iter(made))
    return made


def test_no_drift(run: Any, found: list[Drift]) -> None:
    found.append(Drift("resources", MARK, checked=2, pending=0))
    ran = run("drift", "lab")
    assert (ran.code, ran.out, ran.err) == (Exit.OK, "Drift: 0 deleted, 0 changed; 2 objects checked.\n", "")
    assert run("drift", "lab", "--json").document["ok"] is True


def test_drift_is_shown_and_ends_with_two(run: Any, found: list[Drift]) -> None:
    found.append(Drift("istio", MARK, checked=3, pending=0))
    found.append(Drift("resources", MARK, MARK, (EDITED, GONE), 2, 1, ("something to know",)))
    ran = run("drift", "lab", "resources")
    assert ran.code == Exit.CHANGES
    assert ran.out.splitlines() == [
        "resources:",
        "  ~ ConfigMap shop/a",
        '      ~ data.k: "v" -> "theirs"  (kubectl-edit, 2026-11-22 19:03:11 UTC)',
        '      - data.gone: "1" -> (removed)  (nobody records by whom)',
        '      + data.more: "2"  (kubectl)',
        f'      + data.long: "{"x" * 116}...  (kubectl)',
        "  - Secret shop/b: deleted; nobody records by whom",
        "  note: the run 20261122-190000-aaaaaa was interrupted or failed; what it did, and what it did not come to, "
        "is no drift",
        "  note: something to know",
        "Of your own, 1 object is changed and not applied; `meshwright plan lab resources` shows that.",
        "Drift: 1 deleted, 1 changed; 5 objects checked.",
    ]
    document = run("drift", "lab", "resources", "--json").document
    assert (document["ok"], document["command"]) == (False, "drift")
    assert document["summary"] == {
        "checked": 5, "deleted": 1, "changed": 1, "fields": 4, "pending": 1, "not_verified": 0,
    }  # fmt: skip
    [_, step] = document["steps"]
    assert step["applied"] == {"record": MARK.record, "time": MARK.at, "digest": "sha256:1"}
    assert step["interrupted"] == MARK.record
    assert [field["drift"] for field in step["objects"][0]["fields"]] == ["changed", "removed", "added", "added"]


def test_nothing_checked_is_no_success(run: Any, found: list[Drift]) -> None:
    ran = run("drift", "lab")
    assert ran.code == Exit.ERROR
    assert ran.out == "0 checked: nothing was applied here yet, as far as is known.\n"
    assert ran.err.startswith("hint: `meshwright apply lab site`")
    assert run("drift", "lab", "--json").document["ok"] is False


def test_what_could_not_be_compared_is_no_success_either(run: Any, found: list[Drift]) -> None:
    found.append(Drift("istio", MARK, checked=3, pending=0))
    found.append(Drift("resources", MARK, not_verified="it was deleted"))
    ran = run("drift", "lab")
    assert ran.code == Exit.ERROR
    assert "  not verified: it was deleted" in ran.out.splitlines()
    found.append(Drift("bookinfo", MARK, found=(GONE,), checked=1))
    assert run("drift", "lab").code == Exit.CHANGES


def test_a_deploy_without_objects(run: Any, found: list[Drift], host: FakeTarget) -> None:
    text = DEPLOY.replace("resources.apply_all", "tools.install").replace("import resources", "import tools")
    (host.project.root / "deploys" / "tools.py").write_text(text)
    ran = run("drift", "lab", "tools")
    assert ran.code == Exit.BAD_INPUT
    assert "the deploy tools applies no objects that could drift" in ran.err


def test_no_answer_is_an_error(run: Any, found: list[Drift], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> Any:
        raise Unreachable("no answer")

    monkeypatch.setattr(command, "of", unreachable)
    ran = run("drift", "lab")
    assert (ran.code, ran.out) == (Exit.ERROR, "")
    assert "no answer" in ran.err
