"""Several clusters of one environment in one run of the real pyinfra."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakesteps
import pytest
from fakesteps import several, world
from pyinfra.api.exceptions import InventoryError
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector

from meshwright.operations import connector, hosts_for
from meshwright.operations.connector import ClusterConnector, target_of
from meshwright.project import Project


def pyinfra(project: Project, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", *arguments, "inventory/both.py", "deploys/site.py"],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": str(Path(fakesteps.__file__).parent), "PYINFRA_PROGRESS": "off"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    text = done.stdout.decode()
    assert "Traceback" not in text
    return done.returncode, text


def records(project: Project, name: str) -> list[dict[str, Any]]:
    path = project.root / ".meshwright" / name / "records.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_one_run_works_on_all_clusters_and_each_has_its_record(project: Project) -> None:
    several(project, "each('a'), each('b')")
    code, _ = pyinfra(project, "-y")
    assert code == 0
    assert world(project) == ["a@east", "a@west", "b@east", "b@west"]
    for name in ("both/east", "both/west"):
        first, *_, last = records(project, name)
        assert (first["environment"], first["deploy"], last["result"]) == (name, "site", "ok")
        assert [step["host"] for step in last["steps"]] == ["@local", "@local"]
    assert records(project, "both") == []


def test_limit_names_one_cluster(project: Project) -> None:
    several(project, "each('a')")
    code, _ = pyinfra(project, "-y", "--limit", "@cluster/west")
    assert code == 0
    assert world(project) == ["a@west"]


def test_the_dry_run_names_the_clusters_that_would_change(project: Project) -> None:
    several(project, "each('a')")
    (project.root / "world" / "a@east").touch()
    code, text = pyinfra(project, "--dry")
    assert code == 0
    assert re.search(r"a +1 \(@cluster/west\)", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_a_cluster_that_fails_does_not_hold_back_the_other(project: Project) -> None:
    several(project, "each('a', fails='both/east'), each('b')")
    code, text = pyinfra(project, "-y")
    assert code == 1
    assert "the disk is full" in text
    assert world(project) == ["a@west", "b@west"]
    assert records(project, "both/east")[-1]["result"] == "failed"
    assert records(project, "both/west")[-1]["result"] == "ok"


def test_hosts_are_of_all_clusters_with_their_own_values(project: Project) -> None:
    several(project, "")
    path = project.root / "group_data" / "both.yaml"
    path.write_text(
        path.read_text().replace("{name: west,", "{name: west, hosts: [{name: far.example, ssh_user: op}],")
    )
    (east, near), (west, far) = hosts_for(str(project.root / "inventory" / "both.py"))
    assert (east, west) == ("@cluster/east", "@cluster/west")
    assert near.pop("meshwright").env.cluster.context == "e"
    assert far.pop("meshwright").env.cluster.context == "w"
    assert near == {}
    assert far == {"ssh_user": "op", "ssh_strict_host_key_checking": "yes", "ssh_hostname": "far.example"}


def test_the_connector_is_this_machine_or_ssh(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector.LocalConnector, "__init__", lambda self, state, host: None)
    monkeypatch.setattr(connector.SSHConnector, "__init__", lambda self, state, host: None)
    state: Any = SimpleNamespace()
    near: Any = SimpleNamespace(data={}, name="@cluster/east")
    far: Any = SimpleNamespace(data={"ssh_hostname": "far.example"})
    assert type(ClusterConnector(state, near)) is LocalConnector
    assert type(ClusterConnector(state, far)) is SSHConnector
    near.connector, far.connector = ClusterConnector(state, near), ClusterConnector(state, far)
    far.connector.client = SimpleNamespace()
    # Messages name the host, which is what a person can reach.
    assert target_of(near, project).name == "@local"
    assert target_of(far, project).name == "far.example"


def test_a_name_is_in_the_group_of_its_cluster() -> None:
    assert list(ClusterConnector.make_names_data("east")) == [("@cluster/east", {}, ["@cluster/east"])]
    assert list(ClusterConnector.make_names_data("east/far.example")) == [
        ("@cluster/east/far.example", {}, ["@cluster/east"])
    ]
    with pytest.raises(InventoryError, match="@cluster needs the name of a cluster"):
        list(ClusterConnector.make_names_data(""))
