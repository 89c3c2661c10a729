"""Clusters: kubeconfigs, the one session with an API server, and what is built on it."""

from meshwright.kube.discovery import Resource
from meshwright.kube.errors import ApiError
from meshwright.kube.opening import open_session
from meshwright.kube.session import Session
from meshwright.kube.tls import Identity

__all__ = ["ApiError", "Identity", "Resource", "Session", "open_session"]
