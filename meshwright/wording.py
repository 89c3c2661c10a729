"""Names and counts as they stand in sentences."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["counted", "listed"]

_SHOWN = 5


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, sorted; the first five and how many more."""
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def counted(count: int, noun: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{count} {noun}" if count == 1 else f"{count} {'proxies' if noun == 'proxy' else noun + 's'}"
