"""Hosts of an inventory file, with their values."""

from __future__ import annotations

import json

import pytest
from fakesteps import fill
from pyinfra.api.exceptions import InventoryError

from meshwright.operations import hosts_for
from meshwright.project import Project


def test_the_hosts_have_the_environments_values(project: Project) -> None:
    fill(project, "")
    [(name, data)] = hosts_for(str(project.root / "inventory" / "lab.py"))
    assert name == "@local"
    assert set(data) == {"meshwright"}
    assert data["meshwright"].env.name == "lab"
    assert data["meshwright"].project == project


def test_hosts_behind_ssh_have_their_settings_and_strict_host_keys(project: Project) -> None:
    fill(project, "")
    with (project.root / "group_data" / "prod.yaml").open("a") as file:
        file.write(
            "hosts:\n"
            "  - name: bastion.example\n"
            "    ssh_user: op\n"
            "    ssh_port: 2222\n"
            "    ssh_known_hosts_file: hosts\n"
            "  - '@local'\n"
        )
    (far, settings), (near, none) = hosts_for(str(project.root / "inventory" / "prod.py"))
    values = settings.pop("meshwright")
    assert (far, settings) == (
        "bastion.example",
        {
            "ssh_user": "op",
            "ssh_port": 2222,
            "ssh_known_hosts_file": "hosts",
            "ssh_strict_host_key_checking": "yes",
        },
    )
    assert near == "@local"
    assert none == {"meshwright": values}


def test_the_values_can_be_shown_as_json(project: Project) -> None:
    fill(project, "")
    [(_, data)] = hosts_for(str(project.root / "inventory" / "lab.py"))
    shown = json.loads(json.dumps(data["meshwright"].to_json()))
    assert shown["istio"]["version"] == "1.30.3"


def test_an_inventory_without_values_is_one_sentence(project: Project) -> None:
    fill(project, "")
    (project.root / "inventory" / "labb.py").write_text("")
    with pytest.raises(InventoryError) as caught:
        hosts_for(str(project.root / "inventory" / "labb.py"))
    assert str(caught.value) == (
        "there is no environment 'labb'; there are lab, prod; the nearest is lab. "
        "inventory/labb.py is there; write group_data/labb.yaml beside it"
    )
