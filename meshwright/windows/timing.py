"""How long the steps of a run will take, from the records of earlier runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from meshwright.records import Record

__all__ = ["expected"]

_RUNS = 5


def expected(records: Iterable[Record]) -> Mapping[str, dt.timedelta]:
    """For each step, the longest that it took in the last five of these runs (newest first) in which it changed
    something; on several hosts, the slowest of them. A step that never changed anything is not in it.

    The longest and not the usual: a window that is left too late costs more than one that is not used.
    """
    found: dict[str, list[float]] = {}
    for record in records:
        took: dict[str, float] = {}
        for step in record.steps:
            if step["state"] == "changed" and step["seconds"] is not None:
                took[step["step"]] = max(took.get(step["step"], 0.0), step["seconds"])
        for name, seconds in took.items():
            found.setdefault(name, []).append(seconds)
    return {name: dt.timedelta(seconds=max(each[:_RUNS])) for name, each in found.items()}
