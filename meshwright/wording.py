"""Names, counts and times as they are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

__all__ = ["counted", "listed", "now", "some", "utc"]


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, sorted; the first five and how many more."""
    return some(sorted(names))


def some(words: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first `most` of `words`, and how many more."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def counted(count: int, noun: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{count} {noun}" if count == 1 else f"{count} {'proxies' if noun == 'proxy' else noun + 's'}"


def utc(at: dt.datetime, precision: str = "seconds") -> str:
    """A time in UTC as ISO 8601 writes it, with a Z; `precision` is a `timespec` of `datetime.isoformat`."""
    return at.isoformat(timespec=precision).replace("+00:00", "Z")


def now(precision: str = "seconds") -> str:
    """The present time, so."""
    return utc(dt.datetime.now(dt.UTC), precision)
