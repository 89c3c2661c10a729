"""The objects that an environment writes as values, rendered by the templates."""

from meshwright.rendering.objects import rendered

__all__ = ["rendered"]
