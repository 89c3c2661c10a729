"""How much one run may do to a protected environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import Words

__all__ = ["Limits"]

_Count = Annotated[int, Field(ge=0, le=100000), Words("a whole number from 0 to 100000")]


class Limits(Model):
    """The most that one run may do to a protected environment; more is refused, whoever approves it."""

    deletions: _Count = 10
    """Things that are deleted, or destroyed and made anew."""
    changes: _Count = 100
    """Things that are changed in place."""
    restarts: _Count = 10
    """Deployments, StatefulSets and DaemonSets whose pods are replaced, because their pod template changes."""
