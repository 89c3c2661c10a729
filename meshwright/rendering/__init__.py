"""The objects that an environment writes as values, rendered by the templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshwright.environment import Environment
from meshwright.project import Project

if TYPE_CHECKING:
    from meshwright.rendering.objects import Rendered

__all__ = ["rendered"]


def rendered(project: Project, env: Environment, unread: list[str] | None = None) -> list[Rendered]:
    """The objects of the environment's values, in the order of the values; the place of each is that of its value.

    Secrets are read now, for this list alone. Where `unread` is given, one that cannot be read from here has no data,
    and why is put there. Raises BadInput: a template with a mistake or that makes no Kubernetes object, a reference to
    nothing; and what else `secrets.Resolver.resolve` does.
    """
    if type(env) is Environment:
        return []  # none among its values; the models of all kinds take 0.2 s to import
    from meshwright.rendering import objects

    return objects.rendered(project, env, unread)
