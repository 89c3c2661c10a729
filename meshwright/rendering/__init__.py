"""The objects that an environment writes as values, rendered by the templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshwright.environment import Environment
from meshwright.project import Project

if TYPE_CHECKING:
    from meshwright.rendering.objects import Rendered

__all__ = ["rendered"]


def rendered(project: Project, env: Environment) -> list[Rendered]:
    """The objects of the environment's values, in the order of the values; the place of each is that of its value.

    Raises BadInput: a template with a mistake or that makes no Kubernetes object, a credential that cannot be read.
    """
    if type(env) is Environment:
        return []  # none among its values; the models of all kinds take 0.2 s to import
    from meshwright.rendering import objects

    return objects.rendered(project, env)
