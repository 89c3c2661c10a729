"""The list of checks as a whole, the step that makes them, and the page that documents them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import mesh
import pytest
from fakes import environment, existing

from meshwright import check, checks, preflight
from meshwright.check import State
from meshwright.errors import Exit, MeshwrightError
from meshwright.journal import VARIABLE
from meshwright.step import Step

DOCS = Path(__file__).parents[3] / "docs" / "checks.md"
ALL = (*checks.CHECKS, *checks.WHEN_ASKED, *preflight.checks())


def test_every_check_is_documented_and_nothing_else() -> None:
    headings = re.findall(r"^### (\S+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [each.anchor for each in ALL], "in the order in which they are made, too"


def test_every_group_is_a_heading() -> None:
    headings = re.findall(r"^## (\S+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(dict.fromkeys(each.group for each in ALL))


def test_anchors_are_unique() -> None:
    assert len({each.anchor for each in ALL}) == len(ALL)


def test_a_check_comes_after_those_that_it_needs() -> None:
    seen: set[str] = set()
    for each in (*checks.CHECKS, *checks.WHEN_ASKED):
        assert set(each.needs) <= seen, each.anchor
        seen.add(each.anchor)


@pytest.mark.parametrize("env", [environment(), existing()], ids=["k3d", "existing"])
def test_no_check_needs_one_that_does_not_apply(env: Any) -> None:
    here = {each.anchor for each in checks.CHECKS if each.applies(env)}
    for each in checks.CHECKS:
        assert not each.applies(env) or set(each.needs) <= here, each.anchor


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.anchor)
def test_claims_are_sentences_and_hints_can_be_filled(each: check.Check) -> None:
    assert re.search(r"\b(is|are|has|have|runs|refuse|finds|answers?|can|outlive)\b", each.claim), each.claim
    assert not each.claim.endswith(".")
    for env in (environment("staging"), existing()):
        filled = each.hint.format(env=env)
        assert filled
        assert "{" not in filled


def test_a_group_brings_what_it_needs() -> None:
    anchors = [each.anchor for each in checks.chosen(["ingress"])]
    assert anchors == ["api-server-ready", "ingress-address", "ingress-answers"]


def test_no_group_is_all() -> None:
    assert checks.chosen([]) == list(checks.CHECKS)


def test_counts(world: Any) -> None:
    mesh_without_pods = [key for key in world.session.objects if key[1] == "Pod"]
    for key in mesh_without_pods:
        del world.session.objects[key]
    results = list(check.run(checks.chosen(["data-plane"]), world.host, world.env, pause=30))
    assert checks.counts(results) == {"checked": 5, "ok": 2, "warning": 0, "failed": 1, "not_verified": 2}


# The step


def hold(world: Any) -> None:
    step: Step = checks.hold
    plan = step.plan(world.host, world.env)
    assert plan.empty
    step.apply(world.host, world.env, plan)


def test_the_step_only_looks() -> None:
    assert checks.hold.check
    assert not checks.hold.destructive


def test_the_step_is_quiet_when_all_holds(world: Any) -> None:
    hold(world)
    assert world.host.sentences == ["23 checks hold"]


def test_the_step_tells_each_result_to_the_journal(world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    monkeypatch.setenv(VARIABLE, str(path))
    hold(world)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert {event["event"] for event in events} == {"check"}
    assert [event["result"]["check"] for event in events] == list(world.all())


def test_a_warning_is_told_and_does_not_fail_the_step(world: Any) -> None:
    world.session.version = lambda: "v1.33.0"
    hold(world)
    assert world.host.sentences[0].startswith("warning: kubectl is within one minor version")
    assert world.host.sentences[-1] == "23 checks were made, 1 with a warning"


def test_the_step_fails_with_the_first_claim_that_does_not_hold(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    world.session.put(mesh.node("n2", "False"))
    monkeypatch.setattr(check, "_settle", lambda c, t, e, _deadline, _pause: check._look(c, t, e))
    with pytest.raises(
        MeshwrightError, match=r"1 of 23 checks do not hold, first: every node is Ready: 1 of 2"
    ) as error:
        hold(world)
    assert error.value.exit_code is Exit.ERROR
    assert error.value.hint.endswith("(docs/checks.md#nodes-ready)")


def test_what_could_not_be_verified_fails_the_step_too(world: Any) -> None:
    world.host.answer("analyze", "")
    with pytest.raises(MeshwrightError, match="1 of 23 checks do not hold"):
        hold(world)
    assert world.all()["bookinfo-analyzed"].state is State.NOT_VERIFIED


def test_no_checks_at_all_are_a_failure(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", ())
    with pytest.raises(MeshwrightError, match="0 checks"):
        hold(world)
