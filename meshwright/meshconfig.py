"""The mesh's configuration as its istiod has it, whoever installed it."""

from __future__ import annotations

from typing import Any

import yaml

from meshwright.environment import Environment
from meshwright.kube import Session

__all__ = ["read"]


def read(session: Session, env: Environment) -> dict[str, Any] | None:
    """MeshConfig, from istiod's ConfigMap; None where there is none. Raises what a session raises."""
    name = f"istio-{env.istio.revision}" if env.istio.revision else "istio"
    found = session.get("v1", "ConfigMap", name, env.istio.namespace)
    if found is None:
        return None
    said = yaml.safe_load((found.get("data") or {}).get("mesh") or "")
    return said if isinstance(said, dict) else {}
