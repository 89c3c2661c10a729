"""Machines outside the cluster that are part of the mesh (VMs), reached over SSH as `certs.vms` of an environment says.

The agent of a machine reads whom it trusts as istiod from a file that somebody has put there, root-cert.pem. So a
change of the root writes that file; its gates wait until the file is right, and until the machine's Envoy trusts and
presents what everybody does. The file has certificates alone: no key is read or written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from meshwright import probe
from meshwright.certs import sds
from meshwright.certs.certificate import Certificate, bundle, pem
from meshwright.certs.finding import Finding
from meshwright.certs.place import Place
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.environment.certs import Machine
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.kube import Session
from meshwright.project import Project
from meshwright.target import Local, Target

__all__ = ["ENVOY", "FILE", "findings", "found", "in_mesh", "places", "write"]

Object = dict[str, Any]

ENVOY, FILE = "machine", "root file"
"""The kinds of their places: what its Envoy trusts and presents, and the file by which its agent trusts istiod."""

# What istiod writes on an entry that a machine's own agent has registered (pilot/pkg/autoregistration).
_REGISTERED = ("istio.io/autoRegistrationGroup", "istio.io/workloadController")
_GROUP = "networking.istio.io"

_AGENT = "Its agent takes new roots with its next certificate, or when it is restarted there: systemctl restart istio"
_SSH = "Can it be reached over SSH as certs.vms says?"
# The agent's user is not ours, and certificates are no secret.
_MODE = 0o644


def found(live: Session) -> list[Object]:
    """Every WorkloadEntry. Raises Forbidden, Unreachable."""
    kind = live.preferred(_GROUP, "WorkloadEntry")
    return live.list(kind.api_version, "WorkloadEntry") if kind else []


def in_mesh(entry: Object) -> bool:
    """Whether a WorkloadEntry is a machine with an agent: one that registered itself, or has an identity in the mesh.
    Others are only addresses, such as a database's."""
    annotations = entry["metadata"].get("annotations") or {}
    return any(name in annotations for name in _REGISTERED) or bool((entry.get("spec") or {}).get("serviceAccount"))


def findings(live: Session, known: Collection[str] = ()) -> Iterator[Finding]:
    """One for each machine of the mesh that is not among `known`: nobody here can see what it trusts."""
    for entry in found(live):
        metadata = entry["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        if in_mesh(entry) and name not in known:
            yield Finding(
                State.FAILED,
                f"machine {name}",
                "it is outside the cluster: its root-cert.pem cannot be seen from here, so no gate could wait for it",
                f"Say in certs.vms how {name} is reached over SSH, or take it out of the mesh for the change (delete "
                "its WorkloadEntry) and give it the new root-cert.pem before it comes back",
            )


def places(live: Session, env: Environment) -> list[Place]:
    """What each machine of the environment has: its file, and its Envoy; some asked at once."""
    asked = live.map(lambda item: _places(*item), sorted(env.certs.vms.items()))
    return [place for each in asked for place in each]


def _places(name: str, machine: Machine) -> list[Place]:
    of_file = f"of machine {name}"
    try:
        with _reached(machine) as target:
            return [_file(target, machine, of_file), _envoy(target, machine, name)]
    except MeshwrightError as error:
        return [Place(kind, label, error=error, hint=_SSH) for kind, label in ((FILE, of_file), (ENVOY, name))]


def _file(target: Target, machine: Machine, label: str) -> Place:
    try:
        text = target.read(machine.root)
        if text is None:
            return Place(FILE, label, frozenset(), why=f"it has no {machine.root}", hint="Is certs.vms right?")
        return Place(FILE, label, frozenset(bundle(text, f"{machine.root} {label}")))
    except MeshwrightError as error:
        return Place(FILE, label, error=error, hint=_SSH)


def _envoy(target: Target, machine: Machine, name: str) -> Place:
    """Its admin port is open to the machine itself alone, so it is asked from there."""
    try:
        page = probe.get(target, f"http://127.0.0.1:{machine.admin}{sds.SECRETS}")
        if page.status != 200:
            raise Unreachable(f"the Envoy of machine {name} answers {page.status}")
        served = sds.of_envoy(page.text.encode(), f"the Envoy of machine {name}")
    except MeshwrightError as error:
        return Place(ENVOY, name, error=error, hint="Is its agent running? `systemctl status istio` there")
    why = "" if served.roots else "it has received no roots (ROOTCA)"
    roots = frozenset(served.roots) if served.roots else None
    return Place(ENVOY, name, roots, served.chain or (), why=why, hint=_AGENT)


def write(env: Environment, labels: Collection[str], roots: Iterable[Certificate]) -> list[str]:
    """Writes `roots` into the file of each machine whose file's place is among `labels`; gives the machines' names.
    Raises MeshwrightError: it may not be written there; Unreachable."""
    written, text = [], pem(roots).encode()
    for name, machine in sorted(env.certs.vms.items()):
        if f"{FILE} of machine {name}" in labels:
            with _reached(machine) as target:
                target.write(machine.root, text, _MODE)
            written.append(name)
    return written


@contextlib.contextmanager
def _reached(machine: Machine) -> Iterator[Target]:
    """A connection for as long as it takes: between two looks there may be hours."""
    project = Project.find()
    if machine.host.name == "@local":
        target: Target = Local(project)
    else:
        from meshwright.ssh import connect  # only where there are machines

        target = connect(machine.host, project)
    try:
        yield target
    finally:
        target.close()
