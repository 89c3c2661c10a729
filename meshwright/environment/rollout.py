"""How a change goes over the clusters of an environment that has several, as values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import Name, Words

__all__ = ["Rollout"]


class Rollout(Model):
    """How a change goes over the environment's clusters: one first, and the rest when its checks hold."""

    first: Name | None = None
    """The cluster that is changed first; the first of `clusters` where absent."""
    at_once: Annotated[int, Field(ge=1, le=16), Words("a whole number from 1 to 16")] = 1
    """How many of the rest are changed at the same time."""
    failure_budget: Annotated[int, Field(ge=0, le=1000), Words("a whole number from 0 to 1000")] = 0
    """How many of the rest may fail before no further one is begun. Where the first one fails, none is."""
