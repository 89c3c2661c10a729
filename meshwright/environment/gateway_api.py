"""Which CRDs of the Gateway API an environment wants."""

from __future__ import annotations

from typing import Literal

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import Sha256, Version

__all__ = ["GatewayApiCrds"]


class GatewayApiCrds(Model):
    """The CRDs of the Gateway API, which Kubernetes does not bring by itself."""

    crds: Literal["auto", "never"] = "auto"
    """`auto`: installed where the environment has objects of the Gateway API; `never`: somebody else keeps them."""
    release: Version | None = None
    """Release of the Gateway API, without a v; the one that this version of Istio is made with where absent."""
    channel: Literal["standard", "experimental"] = "standard"
    """Which of the two files of the release."""
    sha256: Sha256 | None = None
    """The sha256 of that file; it is not downloaded without."""
