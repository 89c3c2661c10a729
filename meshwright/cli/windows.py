"""`meshwright windows`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import click

from meshwright.cli.common import environment_argument, json_option
from meshwright.cli.output import Output, table
from meshwright.environment import members
from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.windows import gate, words
from meshwright.windows.calendar import Calendar, Opening, State
from meshwright.wording import utc

__all__ = ["command"]

_HEAD = ("opens", "closes", "lasts", "opens (UTC)", "closes (UTC)", "windows")
_NEVER = "-"


@click.command(
    "windows",
    help="Show whether ENV may be changed now and until when, and its next openings, in its time zone and in UTC.",
    epilog="Example: meshwright windows prod --limit 10",
)
@environment_argument
@json_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Show the next N openings.")
def command(environment: str, as_json: bool, limit: int) -> int:
    """Reads the values alone: no host and no cluster is asked."""
    output = Output(as_json, "windows", environment)
    loaded = members(Project.find(), environment)[0]  # the windows of all its clusters are the same
    at = gate.now()
    if loaded.env.windows is None:
        output.answer([f"{environment} has no windows: it may be changed at any time"])
        output.document(ok=True, summary={"checked": 0}, at=utc(at), open=True, until=None, openings=[])
        return Exit.OK
    calendar = Calendar.of(loaded.env.windows)
    state = calendar.state(at)
    openings = calendar.coming(at, limit)
    output.answer(_said(environment, calendar, state, at))
    if openings:
        output.answer(["", *table(_HEAD, (_row(opening, calendar) for opening in openings))])
    else:
        output.answer(["no window opens in the next year"])
    output.document(
        ok=True,
        summary={"checked": len(calendar.allow) + len(calendar.deny), "shown": len(openings)},
        timezone=loaded.env.windows.timezone,
        cutoff_seconds=int(calendar.cutoff.total_seconds()),
        at=utc(at),
        open=state.opening is not None,
        until=_ending(state.opening.end if state.opening else None),
        closed_by=state.closed_by or None,
        openings=[_as_json(opening, calendar, at) for opening in openings],
    )
    return Exit.OK


def _said(environment: str, calendar: Calendar, state: State, at: dt.datetime) -> Iterator[str]:
    opening, zone = state.opening, calendar.zone
    if opening is None:
        yield f"{environment} is closed for changes: {state.closed_by}"
    elif opening.end is None:
        yield f"{environment} is open for changes"
    else:
        windows = f" ({', '.join(opening.windows)})" if opening.windows else ""
        left = words.rough(opening.lasts(at))
        yield f"{environment} is open for changes until {words.moment(opening.end, zone)}, for {left}{windows}"
        if opening.lasts(at) <= calendar.cutoff:
            yield f"but nothing is begun in the last {words.rough(calendar.cutoff)} of an opening"
    yield f"it is {words.moment(at, zone)}, {words.moment(at, dt.UTC)}"


def _row(opening: Opening, calendar: Calendar) -> tuple[str, ...]:
    ends = [words.moment(opening.end, zone) if opening.end else _NEVER for zone in (calendar.zone, dt.UTC)]
    return (
        words.moment(opening.start, calendar.zone),
        ends[0],
        words.rough(opening.lasts()) if opening.end else _NEVER,
        f"{opening.start:%Y-%m-%d %H:%M}",
        f"{opening.end:%Y-%m-%d %H:%M}" if opening.end else _NEVER,
        ", ".join(opening.windows) or _NEVER,
    )


def _as_json(opening: Opening, calendar: Calendar, at: dt.datetime) -> dict[str, Any]:
    end = opening.end
    latest = end - calendar.cutoff if end else None
    return {
        "begun": opening.start == at,
        "start": utc(opening.start),
        "end": _ending(end),
        "start_local": opening.start.astimezone(calendar.zone).isoformat(timespec="seconds"),
        "end_local": end.astimezone(calendar.zone).isoformat(timespec="seconds") if end else None,
        # Until when something may be begun.
        "begin_until": _ending(latest),
        "seconds": int(opening.lasts().total_seconds()) if end else None,
        "windows": list(opening.windows),
    }


def _ending(at: dt.datetime | None) -> str | None:
    return utc(at) if at else None
