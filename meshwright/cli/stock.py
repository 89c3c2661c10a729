"""Plans of deploys that use pyinfra's stock operations: pyinfra's own dry run, as a child."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from meshwright import journal, process
from meshwright.cli.child import pyinfra
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.plan import Action, Change, Plan, digest
from meshwright.project import Project

__all__ = ["dry_run"]


def dry_run(project: Project, environment: str, deploy: str) -> list[Plan]:
    """The plan of deploys/DEPLOY.py: our own steps as they planned themselves, stock operations by name.

    Raises MeshwrightError: what the child said.
    """
    name = deploy.replace("-", "_")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        command = [*pyinfra(environment, name, {}), "--dry", "--json"]
        done = process.run(
            command,
            cwd=str(project.root),
            env={journal.VARIABLE: str(path), "PYINFRA_PROGRESS": "off"},
            timeout=300,
            ok=None,
        )
        events = [event for event, _ in journal.read(path)]
    for event in events:
        if event["event"] == "error":
            raise MeshwrightError(event["message"], hint=event["hint"], exit_code=event["exit"])
    if done.code != 0 or not done.stdout.strip():
        raise ProcessError("pyinfra could not plan this deploy", command=command, output=done.complaint, code=done.code)
    own = {plan["step"]: plan for event in events if event["event"] == "plan" for plan in event["plans"]}
    return [_plan(row, own) for row in json.loads(done.text)["plan"]]


def _plan(row: dict[str, Any], own: dict[str, dict[str, Any]]) -> Plan:
    said = own.get(row["name"])
    if said is None:
        changes = tuple(Change(Action.CHANGE, "Operation", row["name"]) for _ in row["hosts_with_change"])
        return Plan(row["name"], digest(row["name"]), changes, checked=1)
    return Plan.of_json(said)
