"""Certificates as a timeline of days left. The scale is logarithmic: a root lasts years, a workload's a day."""

from __future__ import annotations

import math
from collections.abc import Sequence

from meshwright.report import drawing
from meshwright.report.gathering import Certificate, Life

__all__ = ["left", "svg"]

_BAR, _VALUE, _ROW, _TOP = 1000, 155, 48, 26
_TICKS = (
    (1, "1 day"),
    (7, "1 week"),
    (30, "1 month"),
    (90, "3 months"),
    (365, "1 year"),
    (1095, "3 years"),
    (3650, "10 years"),
)
_LEAST = 0.125
_CHARACTERS = 100


def left(life: Life) -> str:
    """`12 days`, `20 hours`, `expired`."""
    if life.days < 0:
        return "expired"
    if life.days < 2:
        return f"{int(life.days * 24)} hours"
    return f"{int(life.days)} days"


def svg(certificates: Sequence[Certificate], name: str) -> str:
    """The picture of those that end one day, with `name` as its id; empty where there are none."""
    rows = [(each, each.life) for each in certificates if each.life is not None]
    if not rows:
        return ""
    longest = max(10.0, *(max(life.days, life.warn) for _, life in rows)) * 1.15
    height = _TOP + _ROW * len(rows) + 8
    first = rows[0]
    description = (
        f"{len(rows)} certificates, those that end first on top. The first is {first[0].role} {first[0].name}: "
        f"{left(first[1])} left. The table below says the same in words."
    )
    picture = drawing.svg(name, _BAR, height, "Days left of certificates", description)

    def at(days: float) -> float:
        """Where a number of days is."""
        return _BAR * _scale(days) / _scale(longest)

    previous = 0.0
    for days, said in _TICKS:
        x = at(days)
        if days <= longest:
            drawing.add(picture, "path", d=f"M{x:.1f} {_TOP - 4}V{height - 4}", class_="tick")
            if x - previous > 58:
                # The last one must not reach beyond the picture.
                drawing.add(picture, "text", said, x=min(x, _BAR - 28), y=14, class_="scale")
                previous = x
    for index, (each, life) in enumerate(rows):
        y = _TOP + _ROW * index
        state = each.state.replace(" ", "-")
        # What counts most is on the left, where a narrow screen begins.
        said = f"{left(life)}, {each.state}"
        drawing.add(picture, "text", said, x=0, y=y + 18, class_=f"value {state}")
        drawing.add(picture, "text", f"{each.role} {each.name}", _CHARACTERS, x=_VALUE, y=y + 18, class_="label")
        drawing.add(picture, "rect", x=0, y=y + 25, width=_BAR, height=12, rx=3, class_="room")
        width = max(3.0, at(life.days))
        drawing.add(picture, "rect", x=0, y=y + 25, width=width, height=12, rx=3, class_=f"bar {state}")
        for limit, kind in ((life.fail, "fail"), (life.warn, "warn")):
            mark = drawing.add(picture, "path", d=f"M{at(limit):.1f} {y + 22}v18", class_=f"mark {kind}")
            drawing.add(mark, "title", f"{kind} below {limit:.3g} days")
    return drawing.written(picture)


def _scale(days: float) -> float:
    return math.log1p(max(days, 0.0) / _LEAST)
