"""`meshwright environments`: a table of all, whose clusters may be absent, unreachable, or hang (#7)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fakes import FakeTarget

from meshwright import cluster
from meshwright.cli import common
from meshwright.errors import Exit, Forbidden, Unreachable

STATES: dict[str, Any] = {
    "lab": None,
    "prod": Unreachable("the API server at https://10.0.0.1:6443 cannot be reached"),
    "away": Forbidden("context away may not list ConfigMaps"),
}


@pytest.fixture
def clusters(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each environment's cluster says: nothing (it does not exist), an error, or how long it says nothing."""
    root = host.project.root
    (root / "inventory" / "away.py").touch()
    (root / "group_data" / "away.yaml").write_text("cluster: {kind: existing, context: away}\n")
    (root / "deploys" / "site.py").write_text("steps = []\n")
    states = dict(STATES)

    def session(_target: Any, env: Any) -> None:
        found = states[env.name]
        if isinstance(found, Exception):
            raise found
        time.sleep(found or 0)

    monkeypatch.setattr(cluster, "session", session)
    monkeypatch.setattr(cluster, "no_session", lambda _target, env: f"the cluster of {env.name} is absent")
    # Each is looked at in a thread of its own, and closes its target.
    monkeypatch.setattr(common, "_target", lambda *_of: FakeTarget(host.project))
    return states


def rows(out: str) -> dict[str, str]:
    head, *lines = out.splitlines()
    assert head.split()[0] == "environment"
    return {line.split()[0]: line for line in lines}


def test_clusters_that_do_not_exist_are_a_state_and_no_error(run: Any, clusters: dict[str, Any]) -> None:
    ran = run("environments")
    assert ran.code == Exit.OK
    found = rows(ran.out)
    assert sorted(found) == ["away", "lab", "prod"]
    assert found["lab"].endswith("the cluster of lab is absent")
    assert found["prod"].endswith("the API server at https://10.0.0.1:6443 cannot be reached")
    assert found["away"].endswith("context away may not list ConfigMaps")


def test_the_document_has_a_state_for_each(run: Any, clusters: dict[str, Any]) -> None:
    ran = run("environments", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["ok"], document["summary"]) == (Exit.OK, True, {"checked": 3, "up": 0})
    assert {each["environment"]: each["state"] for each in document["environments"]}["lab"].endswith("is absent")


def test_one_that_says_nothing_keeps_nobody_waiting(run: Any, clusters: dict[str, Any]) -> None:
    clusters["prod"] = 20
    started = time.monotonic()
    ran = run("environments", "--timeout", "1")
    assert ran.code == Exit.OK
    assert rows(ran.out)["prod"].endswith("no answer in 1 s")
    assert rows(ran.out)["lab"].endswith("the cluster of lab is absent")
    assert time.monotonic() - started < 20


def test_values_that_cannot_be_used_are_a_state_too(run: Any, host: FakeTarget, clusters: dict[str, Any]) -> None:
    (host.project.root / "group_data" / "away.yaml").write_text("clutser: 1\n")
    ran = run("environments")
    assert ran.code == Exit.OK
    assert "clutser is not a known key" in rows(ran.out)["away"]
    assert rows(ran.out)["lab"].endswith("the cluster of lab is absent")


def test_without_any_it_says_so(run: Any, host: FakeTarget) -> None:
    for file in (host.project.root / "inventory").glob("*.py"):
        file.unlink()
    assert run("environments").out == "there are no environments\n"
