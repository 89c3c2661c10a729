"""Targets over pyinfra's connectors."""

from __future__ import annotations

from typing import Any

from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector

from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.target import Local, Target

__all__ = ["target_of"]


def target_of(host: Any, project: Project) -> Target:
    """The target of a connected pyinfra host: this machine, or over the SSH client that pyinfra has opened.

    Raises BadInput for any other connector.
    """
    connector = host.connector
    if isinstance(connector, LocalConnector):
        return Local(project)
    if isinstance(connector, SSHConnector) and connector.client is not None:
        from meshwright.ssh import SshTarget

        return SshTarget(connector.client, host.name, project)
    raise BadInput(
        f"{host.name} is reached by {type(connector).__name__}, which Meshwright does not know",
        hint="Use @local or a host behind SSH",
    )
