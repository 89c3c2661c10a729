"""`meshwright promote` to and from environments with several clusters: one release, one file, all clusters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from promoting import AFTER, CHANGE, DONE, STAGING, World

from meshwright.cli import rolling
from meshwright.cli.child import Done
from meshwright.cli.planned import Planned
from meshwright.errors import Exit

CLUSTERS = "clusters: [{name: east}, {name: west, local: {istio: {tag: t}}}]\n"
FAILED = {"message": "1 of 9 checks do not hold", "hint": "", "exit": 1}
REFUSED = {"message": "another run is changing it", "hint": "", "exit": 3}


@pytest.fixture
def two(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, with two clusters of staging; `ran` has which one each deploy was run on, and the file as it was."""
    world.put("staging", STAGING + CLUSTERS)

    def run_deploy(_project: Any, name: str, deploy: str, data: dict[str, str], **_: Any) -> Done:
        assert (deploy, data["approved"]) == ("site", CHANGE.digest)
        world.ran.append((world.staging, name, data))
        end = world.ends.pop(0) if world.ends else Done(steps=list(DONE), checks=[{"check": "x", "state": "ok"}])
        assert isinstance(end, Done)
        return end

    def planned(_project: Any, loaded: Any, *_of: Any, **_more: Any) -> Planned:
        name = loaded.env.name.rpartition("/")[2]
        return Planned([CHANGE], {f"@cluster/{name}": CHANGE.digest}, checks=True)

    monkeypatch.setattr(rolling, "run_deploy", run_deploy)
    monkeypatch.setattr(rolling, "planned", planned)
    return world


def ran(two: World) -> list[tuple[bool, str]]:
    """Where the deploy was run, and whether the file had the new release then."""
    return [(text == AFTER + CLUSTERS, name) for text, name, _ in two.ran]


def records(two: World, name: str) -> list[Any]:
    file = two.root / ".meshwright" / "staging" / name / "records.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_it_is_applied_to_all_clusters_and_recorded_in_each(run: Any, two: World) -> None:
    said = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert said.code == Exit.OK, said.err
    assert ran(two) == [(True, "staging/east"), (True, "staging/west")]
    assert [step["cluster"] for step in said.document["steps"]] == ["staging/east", "staging/west"]
    assert not two.note.exists()
    for name in ("east", "west"):
        started, ended = records(two, name)
        assert (started["environment"], started["deploy"], ended["result"]) == ("staging", "promote", "ok")
    assert two.staging == AFTER + CLUSTERS
    shown = run("promote", "dev", "staging", "--plan").out
    assert "stays as it is in staging: clusters[1].local.istio.tag, istio.hub" in shown


def test_where_the_second_does_not_hold_it_is_5_and_the_way_back_is_prepared(run: Any, two: World) -> None:
    two.ends = [Done(steps=list(DONE)), Done(Exit.ERROR, steps=list(DONE), error=FAILED)]
    said = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert said.code == Exit.PARTIAL
    assert said.document["error"]["message"] == "staging/west: 1 of 9 checks do not hold"
    assert len(said.document["back"]) == 2
    assert two.note.exists()
    assert run("promote", "staging", "--back", "--yes").code == Exit.OK
    assert ran(two)[2:] == [(False, "staging/east"), (False, "staging/west")]
    assert (two.staging, two.note.exists()) == (STAGING + CLUSTERS, False)


def test_where_the_environment_says_so_all_are_put_back(run: Any, two: World) -> None:
    two.put("staging", two.staging.replace("applied: false", "applied: false\n  on_failure: restore"))
    two.ends = [Done(Exit.ERROR, steps=list(DONE), error=FAILED)]
    said = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert (said.code, said.document["restored"]) == (Exit.PARTIAL, True)
    assert [name for _, name, _ in two.ran] == ["staging/east", "staging/east", "staging/west"]
    assert "1.30.3   # older" in two.staging


def test_what_is_refused_in_the_first_leaves_the_file_as_it_was(run: Any, two: World) -> None:
    two.ends = [Done(Exit.REFUSED, error=REFUSED)]
    said = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert said.code == Exit.REFUSED
    assert (two.staging, two.note.exists()) == (STAGING + CLUSTERS, False)
    assert [name for _, name, _ in two.ran] == ["staging/east"]


@pytest.mark.parametrize(("first", "second"), [("dev", "staging/east"), ("staging/west", "dev")])
def test_a_release_is_that_of_an_environment(run: Any, two: World, first: str, second: str) -> None:
    said = run("promote", first, second, "--plan")
    assert said.code == Exit.BAD_INPUT
    assert "is one cluster of staging: a release is that of all of them" in said.err


def test_a_source_has_applied_it_where_all_of_its_clusters_have(run: Any, two: World) -> None:
    two.put("next", STAGING.replace("from: dev", "from: staging").replace("applied: false", "applied: true"))
    (two.root / "inventory" / "next.py").touch()
    gates = run("promote", "staging", "next", "--plan", "--json").document["gates"]
    [gate] = [each for each in gates if each["gate"] == "applied"]
    assert gate["state"] == "closed"
    assert "staging/east" in gate["text"]
