"""Targets over pyinfra's connectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyinfra.api.exceptions import InventoryError
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.state import State
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector

from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.target import Local, Target

__all__ = ["ClusterConnector", "target_of"]


class ClusterConnector(BaseConnector):
    """`@cluster/NAME`: one cluster of an environment that has several.

    An inventory can have @local once only, and a host behind SSH too, but several clusters may be reached through
    either. Each is in the group of its name, so that `--limit @cluster/NAME` finds all of its hosts. Where its data has
    an `ssh_hostname` the host is behind SSH, else it is this machine.
    """

    handles_execution = True

    def __new__(cls, state: State, host: PyinfraHost) -> BaseConnector:  # type: ignore[misc]
        """The connector that does the work."""
        behind_ssh = host.data.get("ssh_hostname") is not None
        return SSHConnector(state, host) if behind_ssh else LocalConnector(state, host)

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """The host itself, and the group of its cluster."""
        if not name:
            raise InventoryError("@cluster needs the name of a cluster: @cluster/NAME")
        yield f"@cluster/{name}", {}, [f"@cluster/{name.partition('/')[0]}"]


def target_of(host: Any, project: Project) -> Target:
    """The target of a connected pyinfra host: this machine, or over the SSH client that pyinfra has opened.

    Raises BadInput for any other connector.
    """
    connector = host.connector
    if isinstance(connector, LocalConnector):
        return Local(project)
    if isinstance(connector, SSHConnector) and connector.client is not None:
        from meshwright.ssh import SshTarget

        return SshTarget(connector.client, host.data.get("ssh_hostname") or host.name, project)
    raise BadInput(
        f"{host.name} is reached by {type(connector).__name__}, which Meshwright does not know",
        hint="Use @local or a host behind SSH",
    )
