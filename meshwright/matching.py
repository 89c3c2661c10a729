"""Parts of objects that may have any shape, and hosts that may be wildcards."""

from __future__ import annotations

from typing import Any

__all__ = ["covers", "dig", "items", "meets"]


def dig(value: Any, *path: str | int) -> Any:
    """The part of `value` at `path`; None where there is none."""
    for part in path:
        inside: Any = value if isinstance(value, dict | list) else {}
        try:
            value = inside[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def items(value: Any, *path: str | int) -> list[Any]:
    """The list in `value` at `path`; empty where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []


def covers(pattern: str, host: str) -> bool:
    """Whether every host of `host` is one of `pattern`; either may be a wildcard."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[2:]


def meets(one: str, other: str) -> bool:
    """Whether some host is one of both."""
    return covers(one, other) or covers(other, one)
