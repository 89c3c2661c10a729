"""The hosts that an environment is talked to through, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import HostName, Port, Text, Words

__all__ = ["AnyHost", "Host", "inventory_names"]


class Host(Model):
    """A host to talk through."""

    name: HostName
    """`@local`, or the name or address of a host behind SSH."""
    ssh_user: Text | None = None
    """User on that host; the SSH client's own default where absent."""
    ssh_port: Port | None = None
    """Port of its SSH server."""
    ssh_key: Text | None = None
    """Path of the private key file on this machine."""
    ssh_known_hosts_file: Text | None = None
    """Path of the known_hosts file that names the host's key; the user's own where absent."""


def _spelled_out(host: object) -> object:
    """A host given by its name alone is a mapping with that name."""
    return {"name": host} if isinstance(host, str) else host


def inventory_names(environment: str, hosts: Sequence[Host]) -> list[str]:
    """What the hosts of an environment are called in pyinfra's inventory and in approvals: their own names, and
    @cluster/CLUSTER (or @cluster/CLUSTER/HOST where there are several) for one of several clusters, because two of
    these may be reached through the same host."""
    _, _, member = environment.partition("/")
    if not member:
        return [host.name for host in hosts]
    name = f"@cluster/{member}"
    return [name] if len(hosts) == 1 else [f"{name}/{host.name}" for host in hosts]


AnyHost = Annotated[
    Host,
    BeforeValidator(_spelled_out, json_schema_input_type=HostName | Host),
    Words("the name of a host, or a mapping with its name"),
]
