"""Clusters: kubeconfigs, the one session with an API server, and what is built on it."""

from meshwright.kube.discovery import Resource
from meshwright.kube.errors import ApiError
from meshwright.kube.session import Identity, Session, open_session

__all__ = ["ApiError", "Identity", "Resource", "Session", "open_session"]
