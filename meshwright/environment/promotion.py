"""What a promotion to the environment needs, as values; `meshwright.promotion` knows what they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meshwright.environment.base import Model
from meshwright.environment.maintenance import Duration
from meshwright.environment.vocabulary import Name, Text, Words

__all__ = ["Approvals", "Promotion"]


class Approvals(Model):
    """Who approves a promotion to the environment: signatures over the digest of the release."""

    signers: Text
    """The file of those who may, as ssh-keygen reads it (ALLOWED SIGNERS of ssh-keygen(1)); relative to the project
    folder. A principal is an e-mail address as Git has it."""
    count: Annotated[int, Field(ge=1, le=20), Words("a whole number from 1 to 20")] = 1
    """How many of them must have signed. Who wrote the change does not count."""


class Promotion(Model):
    """What must hold before a release is promoted to the environment."""

    from_: Annotated[Name | None, Field(alias="from")] = None
    """The environment that a release comes from; any where absent."""
    applied: bool = True
    """Whether the environment that it comes from must have applied it, and its checks have passed."""
    soak: Duration | None = None
    """How long it must have been there since."""
    approvals: Approvals | None = None
    """Whose approval it takes; nobody's where absent."""
    drift: Literal["refuse", "overwrite"] = "refuse"
    """refuse: what was changed in the cluster from outside is not overwritten unseen."""
    on_failure: Literal["stop", "restore"] = "stop"
    """What is done when the release does not hold: `stop` with the way back prepared, or `restore` the file and the
    cluster at once."""
