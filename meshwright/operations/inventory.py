"""Hosts for inventory/<env>.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

from meshwright.environment import Environment, Loaded, members
from meshwright.environment.hosts import inventory_names
from meshwright.environment.model import Host
from meshwright.errors import MeshwrightError
from meshwright.journal import Journal
from meshwright.project import Project

__all__ = ["Values", "hosts_for"]


class Values:
    """An environment as pyinfra host data. `to_json` is for `pyinfra INVENTORY debug-inventory`."""

    def __init__(self, project: Project, loaded: Loaded) -> None:
        self.project = project
        self.env: Environment = loaded.env

    def to_json(self) -> Any:
        """The values as JSON: references to secrets at most, never secrets."""
        return self.env.model_dump(mode="json")


def hosts_for(file: str) -> list[tuple[str, dict[str, Any]]]:
    """The hosts of the environment that an inventory file is named after, each with the environment's values. Of an
    environment with several clusters they are those of all, named @cluster/NAME, each with the values of its cluster.

    `file` is the inventory's `__file__`. Raises pyinfra's InventoryError, which pyinfra prints as one line.
    """
    path = Path(file).resolve()
    try:
        project = Project.find(path.parent)
        found = [each for loaded in members(project, path.stem) for each in _hosts(Values(project, loaded))]
    except MeshwrightError as error:
        raise InventoryError(str(error)) from None
    # pyinfra itself ends well, and says nothing, where there is no host at all.
    Journal.of_process().write("hosts", names=[name for name, _ in found])
    return found


def _hosts(values: Values) -> Iterator[tuple[str, dict[str, Any]]]:
    env = values.env
    for host, name in zip(env.hosts, inventory_names(env.name, env.hosts), strict=True):
        yield name, {"meshwright": values, **_ssh(host, name)}


def _ssh(host: Host, name: str) -> dict[str, Any]:
    settings = host.model_dump(exclude={"name"}, exclude_none=True)
    if host.name != "@local":
        # pyinfra accepts an unknown host key by default; a stranger must not get the operator's cluster.
        settings["ssh_strict_host_key_checking"] = "yes"
        if name != host.name:
            settings["ssh_hostname"] = host.name
    return settings
