"""Names of hosts: what one looks like, and what was meant by text that is none."""

from __future__ import annotations

import re

__all__ = ["HOST", "HOST_WORDS", "is_host", "meant"]

HOST = r"(\*|(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*)"
"""The pattern of a host, which may begin with a wildcard."""
HOST_WORDS = "such as reviews.shop.svc.cluster.local or *.example.com, without scheme, port and path"
_MOST = 253


def is_host(text: str) -> bool:
    """Whether `text` is the name of a host."""
    return len(text) <= _MOST and re.fullmatch(HOST, text) is not None


def meant(text: str) -> str:
    """The host in an address, or as DNS has it, where `text` is no host; "" where nothing is certain."""
    _, scheme, rest = text.rpartition("://")
    host = re.sub(r":[0-9]+$", "", rest.partition("/")[0] if scheme else text)
    try:
        found = host.encode("idna").decode()
        # What is lost on the way there (ß) is for a person to say.
        certain = found.encode().decode("idna") == host.lower()
    except UnicodeError:
        return ""
    return found if certain and found != text and is_host(found) else ""
