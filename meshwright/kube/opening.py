"""The session with a cluster, shared by all who ask a target for it."""

from __future__ import annotations

from meshwright.kube import kubeconfig
from meshwright.kube.session import Session
from meshwright.target import Target

__all__ = ["open_session"]


def open_session(target: Target, kubeconfig_path: str, context: str) -> Session:
    """The session with the cluster of `context` in the file `kubeconfig_path` of `target`, shared by all who ask this
    target for it. Nothing is sent yet. Raises MeshwrightError and BadInput for a file or context that cannot be used.
    """
    return target.shared.get(
        (Session, kubeconfig_path, context),
        lambda: Session(kubeconfig.load(target, kubeconfig_path, context), target),
        Session.close,
    )
