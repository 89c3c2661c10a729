"""`meshwright destroy`: the plan, the typed name, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTarget

from meshwright import cluster, k3d
from meshwright.cli import changing
from meshwright.cli.child import Done
from meshwright.errors import Exit

DEPLOY = """\
from meshwright import destroy
from meshwright.deploy import run

steps = [destroy.remove]

run(steps)
"""


@pytest.fixture
def runs(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A cluster that is there; gives the deploys that are run instead of pyinfra."""
    (host.project.root / "deploys" / "destroy.py").write_text(DEPLOY)
    seen = k3d.Seen("x", (k3d.Node("k3d-x-server-0", "server", True, {}),), {})
    monkeypatch.setattr(cluster, "view", lambda _target, _env: cluster.View(cluster.State.UP, seen))
    ran: list[tuple[Any, ...]] = []

    def run_deploy(_project: object, environment: str, deploy: str, data: dict[str, str], **_: object) -> Done:
        ran.append((environment, deploy, data))
        return Done(steps=[{"step": "destroy", "state": "changed", "seconds": 1.0}])

    monkeypatch.setattr(changing, "run_deploy", run_deploy)
    return ran


def test_the_plan_alone(run: Any, runs: list[Any]) -> None:
    ran = run("destroy", "lab", "--plan")
    assert ran.code == Exit.OK
    assert "  - Cluster mw-lab-" in ran.out
    assert "with 1 node and everything in it" in ran.out
    assert ran.out.splitlines()[-1] == "Plan: 0 to add, 0 to change, 1 to destroy."
    assert runs == []


def test_the_name_must_be_given(run: Any, runs: list[Any]) -> None:
    ran = run("destroy", "lab", "--confirm", "lab")
    assert ran.code == Exit.OK
    [(environment, deploy, data)] = runs
    assert (environment, deploy) == ("lab", "destroy")
    assert data["approved"].startswith("sha256:")


def test_another_name_is_refused(run: Any, runs: list[Any]) -> None:
    ran = run("destroy", "lab", "--confirm", "prod")
    assert (ran.code, runs) == (Exit.REFUSED, [])
    assert "nothing was changed" in ran.err


def test_nobody_there_to_type_it(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ran = run("destroy", "lab")
    assert (ran.code, runs) == (Exit.USAGE, [])


def test_existing_clusters(run: Any, runs: list[Any], host: FakeTarget) -> None:
    ran = run("destroy", "prod", "--confirm", "prod")
    assert (ran.code, runs, host.commands) == (Exit.REFUSED, [], [])
    assert "never destroyed" in ran.err


def test_nothing_to_destroy(run: Any, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "view", lambda _target, _env: cluster.View(cluster.State.ABSENT))
    ran = run("destroy", "lab")
    assert (ran.code, runs) == (Exit.OK, [])
    assert run("destroy", "lab", "--json").document["summary"]["destroy"] == 0


def test_json_is_one_document(run: Any, runs: list[Any]) -> None:
    document = run("destroy", "lab", "--confirm", "lab", "--json").document
    assert (document["ok"], document["summary"]["destroy"], document["summary"]["changed"]) == (True, 1, 1)
    assert runs


def test_a_reason_goes_into_the_record(run: Any, runs: list[Any]) -> None:
    assert run("destroy", "lab", "--confirm", "lab", "--reason", "42").code == Exit.OK
    [(_, _, data)] = runs
    assert data["reason"] == '"42"'
