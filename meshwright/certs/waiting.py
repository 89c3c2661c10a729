"""How long proxies take to follow when nobody restarts them: an agent asks for its next certificate at half of the life
of the one that it has, and with it come the roots (istio.io/istio, security/pkg/nodeagent/cache, rotateTime).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from meshwright.certs.certificate import Certificate

__all__ = ["half_life", "renewed"]

# SECRET_GRACE_PERIOD_RATIO is 0.5, give or take 0.01 (pilot/cmd/pilot-agent/options).
_HALF = 0.51
# istiod lets a certificate begin two minutes before it is asked for, and clocks differ.
_MARGIN = dt.timedelta(minutes=2)


def half_life(leaf: Certificate) -> dt.timedelta:
    """How long after it was given a certificate has been replaced for certain."""
    return (leaf.not_after - leaf.not_before) * _HALF


def renewed(leaves: Iterable[Certificate]) -> dt.datetime | None:
    """By when the last of these certificates has been replaced; None for none."""
    return max((leaf.not_before + half_life(leaf) + _MARGIN for leaf in leaves), default=None)
