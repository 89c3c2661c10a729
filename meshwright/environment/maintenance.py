"""When an environment may be changed, as values; `meshwright.windows` knows what they mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from meshwright.environment.base import Model
from meshwright.environment.vocabulary import Name, Words

__all__ = ["Cron", "TimeZone", "Window", "Windows"]

_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_DAYS = f"{_DAY}(-{_DAY})?"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_NUMBER = "[1-9][0-9]{0,3}"

TimeZone = Annotated[
    str, Field(min_length=1, max_length=100), Words("the name of an IANA time zone, such as Europe/Berlin or UTC")
]
Cron = Annotated[
    str, Field(min_length=1, max_length=200), Words("the five fields of cron as text, such as 0 22 * * mon-thu")
]
Duration = Annotated[
    str,
    Field(pattern=f"^({_NUMBER}d)?({_NUMBER}h)?({_NUMBER}m)?$", min_length=2),
    Words("days, hours and minutes, such as 4h, 90m or 1d12h"),
]
Weekly = Annotated[
    str,
    Field(pattern=f"^{_DAYS}(,{_DAYS})* {_TIME}-({_TIME}|24:00)$"),
    Words("days of the week and times of the day, such as mon-thu 22:00-04:00"),
]
Days = Annotated[
    str, Field(pattern=rf"^{_DATE}(\.\.{_DATE})?$"), Words("a day, 2026-12-24, or days, 2026-12-24..2027-01-02")
]


def _without_removed(windows: object) -> object:
    """A window that is null is none: so ENV.yaml takes away one that all.yaml has."""
    if isinstance(windows, dict):
        return {name: window for name, window in windows.items() if window is not None}
    return windows


class Window(Model):
    """A time that comes again and again: `cron` with `duration`, or `weekly`."""

    cron: Cron | None = None
    """Minute, hour, day of month, month, day of week: when the window begins."""
    duration: Duration | None = None
    """How long the window lasts after each match of cron, in time that passes."""
    weekly: Weekly | None = None
    """From when to when by the clocks; where the end is before the beginning, it is on the next day."""


Named = Annotated[
    dict[Name, Window],
    BeforeValidator(_without_removed, json_schema_input_type=dict[Name, Window | None]),
]


class Windows(Model):
    """When the environment may be changed."""

    timezone: TimeZone
    """The IANA time zone of all times here, such as Europe/Berlin."""
    allow: Named = {}
    """When changes are allowed, by name; none: whenever they are not denied. null takes away one of all.yaml."""
    deny: Named = {}
    """When changes are not allowed, whatever else allows them, by name; null takes away one of all.yaml."""
    blackouts: list[Days] = []
    """Whole days, or first..last, on which nothing is changed."""
    cutoff: Duration | None = None
    """The last part of each opening, in which nothing new is begun."""
