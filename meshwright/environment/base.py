"""What all models of values have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Model"]


class Model(BaseModel):
    """Unknown keys are refused, values are not coerced (a port given as text is an error), instances are constant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)
