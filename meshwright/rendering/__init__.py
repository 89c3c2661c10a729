"""The objects that an environment writes as values, rendered by the templates."""

from meshwright.rendering.objects import Rendered, rendered

__all__ = ["Rendered", "rendered"]
