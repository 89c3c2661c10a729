"""Who and what a run comes from: the user, the machine, the commit. What cannot be found out is null, never a guess."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

from meshwright import kube, process
from meshwright.errors import MeshwrightError

__all__ = ["commit", "kubernetes_user", "who"]


def who() -> dict[str, str | None]:
    """The user of this process and who became it by sudo, and the machine."""
    uid = os.getuid()
    try:
        # Not by USER or LOGNAME, which anybody can set.
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {"user": user, "sudo_user": os.environ.get("SUDO_USER"), "machine": socket.gethostname(), "kubernetes": None}


def kubernetes_user(session: kube.Session) -> str | None:
    """The name under which the API server knows us; None where it does not say (Kubernetes before 1.28)."""
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    try:
        answer = session.create(question)
    except MeshwrightError:
        return None
    name = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
    return str(name) if name else None


def commit(root: Path) -> dict[str, Any] | None:
    """The commit that the project folder is at, and whether anything in the folder differs from it; None without git,
    outside a checkout, and before the first commit."""
    try:
        done = process.run(
            ["git", "status", "--porcelain=v2", "--branch", "--", "."],
            cwd=str(root),
            # Nothing is written, not even git's own index.
            env={"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            timeout=10,
        )
    except MeshwrightError:
        return None
    lines = done.text.splitlines()
    name = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if not name or name == "(initial)":
        return None
    return {"id": name, "dirty": any(not line.startswith("#") for line in lines)}
