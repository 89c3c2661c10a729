"""What all models of values have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Model"]


class Model(BaseModel):
    """Unknown keys are refused, values are not coerced (a port given as text is an error), instances are constant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    secret: ClassVar[bool] = False
    """Whether what is written in its place by mistake may be a secret, which no error message shows."""
