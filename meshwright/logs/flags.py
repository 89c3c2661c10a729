"""Envoy's response flags in words.

The letters are those of Envoy's access log documentation (%RESPONSE_FLAGS%), source/common/stream_info/utility.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

__all__ = ["FLAGS", "in_words"]

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "DC": "the client ended the connection",
        "DF": "the name of the upstream cannot be resolved",
        "DI": "delayed by a fault rule",
        "DO": "an overload manager dropped it",
        "DPE": "the client broke the protocol",
        "DR": "the client reset the stream",
        "DT": "the request or connection took longer than its limit",
        "FI": "aborted by a fault rule",
        "IH": "a header has a value that strict checking refuses",
        "LH": "the local service failed its health check",
        "LR": "this proxy reset the connection",
        "NC": "the route's cluster does not exist",
        "NFCF": "no filter configuration has come yet",
        "NR": "no route is configured for it",
        "OM": "the overload manager ended it",
        "RFCF": "a filter's configuration was refused",
        "RL": "rate limited",
        "RLSE": "the rate limit service failed",
        "SI": "the stream was idle for too long",
        "TDS": "a tunnel through the upstream was not made",
        "UAEX": "denied by authorization",
        "UC": "the upstream ended the connection",
        "UF": "the upstream could not be connected to",
        "UH": "no healthy endpoint in the upstream",
        "UMSDR": "the upstream request took longer than its maximum stream duration",
        "UO": "a circuit breaker of the upstream is open",
        "UPE": "the upstream broke the protocol",
        "UR": "the upstream reset the stream",
        "URX": "retried as often as is allowed, or too many connection attempts",
        "UT": "the upstream did not answer in time",
    }
)


def in_words(flags: Iterable[str]) -> str:
    """What flags mean, as one phrase; "" for none. An unknown one is named as such."""
    return "; ".join(FLAGS.get(flag, f"flag {flag}") for flag in flags)
