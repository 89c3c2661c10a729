"""Machines outside the cluster that are part of the mesh (VMs): their roots are in a file on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.certs.finding import Finding
from meshwright.check import State
from meshwright.kube import Session

__all__ = ["findings", "found", "in_mesh"]

Object = dict[str, Any]

# What istiod writes on an entry that a machine's own agent has registered (pilot/pkg/autoregistration).
_REGISTERED = ("istio.io/autoRegistrationGroup", "istio.io/workloadController")
_GROUP = "networking.istio.io"


def found(live: Session) -> list[Object]:
    """Every WorkloadEntry. Raises Forbidden, Unreachable."""
    kind = live.preferred(_GROUP, "WorkloadEntry")
    return live.list(kind.api_version, "WorkloadEntry") if kind else []


def in_mesh(entry: Object) -> bool:
    """Whether a WorkloadEntry is a machine with an agent: one that registered itself, or has an identity in the mesh.
    Others are only addresses, such as a database's."""
    annotations = entry["metadata"].get("annotations") or {}
    return any(name in annotations for name in _REGISTERED) or bool((entry.get("spec") or {}).get("serviceAccount"))


def findings(live: Session) -> Iterator[Finding]:
    """One for each machine of the mesh: nobody here can see what it trusts."""
    for entry in found(live):
        if in_mesh(entry):
            metadata = entry["metadata"]
            yield Finding(
                State.FAILED,
                f"machine {metadata['namespace']}/{metadata['name']}",
                "it is outside the cluster: its root-cert.pem cannot be seen from here, so no gate could wait for it",
                "Take it out of the mesh for the change (delete its WorkloadEntry), and give it the new root-cert.pem "
                "before it comes back",
            )
