"""Sealed backups of the CA of a mesh: files that age has encrypted, which only the recipients can open.

In one is a List of the CA's Secrets as they were, so that it can be put back without Meshwright too:
`age --decrypt -i KEY FILE | kubectl create -f -`. The keys are in memory alone until they are sealed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshwright import cluster
from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET
from meshwright.certs.phase import STANDBY
from meshwright.environment import Environment
from meshwright.environment.certs import Backup
from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session
from meshwright.plan import Action, Change, Plan
from meshwright.project import Project
from meshwright.secrets import age, files
from meshwright.step import Step
from meshwright.target import Target, write_atomically

__all__ = ["KIND", "NONE", "SECRETS", "announced", "before", "make", "read"]

Object = dict[str, Any]

SECRETS = (PLUGGED_SECRET, SELF_SIGNED_SECRET, STANDBY)
"""What is in a backup, as far as it is there."""

NONE = "no backup of the CA is made: certs.backup.recipients is empty"
"""What a plan says where nobody could open one."""

KIND = "Backup"
"""What plans call a backup."""

_KEPT = ("name", "namespace", "labels", "annotations")


def announced(env: Environment, why: str) -> Change | None:
    """The backup as a change of a plan; None where there are no recipients. Raises BadInput: one of them is none."""
    said = env.certs.backup
    if not said.recipients:
        return None
    _recipients(said)
    count = f"{len(said.recipients)} recipient{'s' if len(said.recipients) > 1 else ''}"
    return Change(Action.ADD, KIND, f"{said.folder}/{env.name}-TIME.age", why=f"sealed for {count}; {why}")


def make(project: Project, env: Environment, live: Session, now: dt.datetime) -> Path | None:
    """Seals the CA's Secrets and writes them to a new file in the folder of the environment; None where there are no
    recipients. Raises MeshwrightError: there is none of the Secrets, or the file cannot be written; Forbidden,
    Unreachable."""
    said, namespace = env.certs.backup, env.istio.namespace
    if not said.recipients:
        return None
    found = [live.get("v1", "Secret", name, namespace) for name in SECRETS]
    items = [_kept(secret) for secret in found if secret is not None]
    if not items:
        raise MeshwrightError(f"there is no CA Secret in {namespace} that could be backed up")
    data = _sealed(said, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode())
    path = files.located(project, said.folder) / f"{env.name}-{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z.age"
    try:
        write_atomically(path, data)
    except OSError as error:
        raise MeshwrightError(
            f"the backup {path} cannot be written: {error.strerror}", hint="certs.backup.folder says where it goes"
        ) from None
    return path


def before(step: Step) -> Step:
    """The step, which backs the CA up before it begins a change of the root, and before it lets the old key go: that is
    where its plan adds or deletes the standby Secret. Where no backup is made, the plan says so."""

    def plan(target: Target, env: Environment) -> Plan:
        found = step.plan(target, env)
        reasons = [_WHY.get(change.action, "") for change in found.changes if change.name.endswith(f"/{STANDBY}")]
        if not any(reasons):
            return found
        change = announced(env, reasons[0])
        if change is None:
            return replace(found, notes=(*found.notes, NONE))
        return replace(found, changes=(change, *found.changes))

    def apply(target: Target, env: Environment, found: Plan) -> None:
        if any(change.kind == KIND for change in found.changes):
            live = cluster.session(target, env)
            assert live is not None
            path = make(target.project, env, live, dt.datetime.now(dt.UTC))
            target.say(f"the CA is backed up in {path}")
            found = replace(found, changes=tuple(change for change in found.changes if change.kind != KIND))
        step.apply(target, env, found)

    return replace(step, plan=plan, apply=apply)


_WHY = {Action.ADD: "before anything is written", Action.DESTROY: "before the old key is let go of"}


def read(project: Project, name: str) -> list[Object]:
    """The Secrets in a backup, with their keys. Opened with the identities of SOPS_AGE_KEY_FILE, or of the file where
    sops looks for them. Raises BadInput: it is no backup; MeshwrightError: it is sealed for somebody else."""
    try:
        found = json.loads(age.decrypted(project, name, None))
        items = found["items"]
        good = found["kind"] == "List" and all(_is_ca(each) for each in items)
    except (ValueError, KeyError, TypeError):
        # What is in it is not shown, whatever it is.
        good, items = False, []
    if not good or not items:
        raise BadInput(f"{name} is sealed, but no backup of a CA", hint="`meshwright certs backup ENV` makes one")
    return list(items)


def _is_ca(item: Object) -> bool:
    metadata, data = item["metadata"], item["data"]
    return item["kind"] == "Secret" and metadata["name"] in SECRETS and bool(metadata["namespace"]) and bool(data)


def _kept(secret: Object) -> Object:
    """A Secret without what the cluster makes of it."""
    metadata = {key: value for key, value in secret["metadata"].items() if key in _KEPT}
    data = secret.get("data") or {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret.get("type", "Opaque"),
        "metadata": metadata,
        "data": data,
    }


def _recipients(said: Backup) -> Sequence[Any]:
    import pyrage  # type: ignore[import-untyped]  # needed by few

    found = []
    for number, text in enumerate(said.recipients):
        kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(text))
        except pyrage.RecipientError:
            raise BadInput(
                f"certs.backup.recipients[{number}] is {text[:40]}, which age cannot read",
                hint="`age-keygen -y KEYFILE` prints the recipient of a key",
            ) from None
    return found


def _sealed(said: Backup, data: bytes) -> bytes:
    import pyrage

    sealed: bytes = pyrage.encrypt(data, _recipients(said), armored=True)
    return sealed
