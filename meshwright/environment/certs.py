"""How long certificates must still last in one environment, who can open the backups of its CA, and which machines
outside the cluster follow its root."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meshwright.environment.base import Model
from meshwright.environment.hosts import AnyHost
from meshwright.environment.vocabulary import Port, Text, Words

__all__ = ["Backup", "Certs", "Machine"]

Days = Annotated[int, Field(ge=0, le=3650), Words("a whole number of days from 0 to 3650")]
Percent = Annotated[int, Field(ge=0, le=100), Words("a whole number from 0 to 100")]
Recipient = Annotated[
    str,
    Field(pattern=r"^(age1[02-9ac-hj-np-z]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( .*)?)$"),
    Words("a recipient of age (age1...) or a public key of SSH (ssh-ed25519 or ssh-rsa)"),
]


Entry = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    Words("NAMESPACE/NAME of a WorkloadEntry"),
]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+$"), Words("an absolute path")]


class Backup(Model):
    """Sealed backups of the CA, made before its root is changed and before the old key is let go of. Without recipients
    none is made, and the plan says so."""

    recipients: list[Recipient] = []
    """Who can open them: public keys of age, or of SSH."""
    folder: Text = ".meshwright/backups"
    """Where they are put, on the machine that runs Meshwright; relative to the project."""


class Machine(Model):
    """A machine outside the cluster that is part of the mesh (VM), as it is reached over SSH: a change of the root
    writes its root-cert.pem and waits for its Envoy."""

    host: AnyHost
    """The host behind SSH; its user may read and replace the file."""
    root: AbsolutePath = "/etc/certs/root-cert.pem"
    """Path on it of the file from which its agent learns istiod's root, where Istio's guide puts it."""
    admin: Port = 15000
    """Port on it of its Envoy's admin interface."""


class Certs(Model):
    """How long certificates must still last (below `warn` it is a warning, below `fail` a failure), backups of the CA,
    and the machines outside the cluster that follow its root."""

    root_days_warn: Days = 365
    """Days left of a root: a new one takes planning, because everybody has to trust it first."""
    root_days_fail: Days = 90
    """Days left of a root below which the check fails."""
    ca_days_warn: Days = 60
    """Days left of an intermediate certificate and of istiod's serving certificates."""
    ca_days_fail: Days = 30
    """Days left of these below which the check fails."""
    gateway_days_warn: Days = 21
    """Days left of a gateway's credential; whoever renews it does so about 30 days before its end."""
    gateway_days_fail: Days = 7
    """Days left of a gateway's credential below which the check fails."""
    leaf_percent_warn: Percent = 40
    """Percent left of a workload certificate's life; the agent gets a new one at half of it."""
    leaf_percent_fail: Percent = 10
    """Percent left of a workload certificate's life below which the check fails."""
    textfile: Text | None = None
    """Path on the host of a file for Prometheus' node exporter, which certs_check_root writes; it ends in .prom."""
    backup: Backup = Backup()
    """Sealed backups of the CA."""
    vms: dict[Entry, Machine] = {}
    """The machines of the mesh, by NAMESPACE/NAME of their WorkloadEntry."""
