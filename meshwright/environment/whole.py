"""Which model the values need: most of it is for objects, and costs time to import."""

from __future__ import annotations

from typing import Any

from meshwright.environment.model import Environment, Resources

__all__ = ["model_for"]


def model_for(values: Any) -> type[Environment]:
    """`Environment`, or the one with all kinds of objects where the values have some (or a key that nobody knows)."""
    resources = values.get("resources") if isinstance(values, dict) else None
    if isinstance(resources, dict) and resources.keys() - Resources.model_fields.keys():
        from meshwright.environment.mesh.resources import MeshEnvironment

        return MeshEnvironment
    return Environment
