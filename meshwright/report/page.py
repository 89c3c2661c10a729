"""The page: one file of HTML with everything in it, for people.

It runs no script and asks for nothing: its Content-Security-Policy allows its own style, by digest, and nothing else.
Everything from a cluster or a record is text of others, and escaped.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from meshwright import __version__
from meshwright.release import short
from meshwright.report import picture, timeline
from meshwright.report.gathering import Certificate, Gathered, Touched
from meshwright.report.mesh import Mesh
from meshwright.report.runs import Run
from meshwright.report.text import clean, cut

__all__ = ["Cell", "rendered"]

_TEMPLATES = Path(__file__).parents[1] / "templates"
_LONGEST = 400
_ANYWHERE = 1000
_SHORT = 7

OVERVIEW = ("Environment", "Cluster", "Release", "Since (UTC)", "Checks", "Drift", "Window", "Root, days left")
RUNS = ("When (UTC)", "Who", "Deploy", "Result", "Changes", "Seconds", "Commit", "Why, and what was said")
CERTIFICATES = ("Certificate", "State", "Left", "Until (UTC)", "What was found")
OPENINGS = ("Opens", "Closes", "Lasts", "Windows")
ROUTES = ("From", "To", "Share")
DRIFT = ("Object", "Field", "How", "Applied", "There now", "By")


@dataclass(frozen=True)
class Cell:
    """A cell of a table. `kind` colours it: ok, warning, failed, not-verified; `more` stands below, smaller; `link`
    leads to a place of the page."""

    text: str
    kind: str = ""
    more: str = ""
    link: str = ""
    code: bool = False


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class _Part:
    """An environment, made ready for the template."""

    id: str
    of: Gathered
    runs: list[Row]
    certificates: list[Row]
    timeline: str
    picture: str
    routes: list[Row]
    openings: list[Row]
    drift: list[Row]


def rendered(found: Sequence[Gathered], now: dt.datetime) -> str:
    """The page of these environments as they were at `now`."""
    jinja = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    jinja.filters["csp"] = _csp
    parts = [_part(f"env-{index}", each) for index, each in enumerate(found, start=1)]
    heads = {"OVERVIEW": OVERVIEW, "RUNS": RUNS, "CERTIFICATES": CERTIFICATES, "OPENINGS": OPENINGS}
    return jinja.get_template("report.html.j2").render(
        parts=parts,
        overview=[_standing(each) for each in parts],
        version=__version__,
        made=f"{now:%Y-%m-%d %H:%M} UTC",
        days=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        **heads,
        ROUTES=ROUTES,
        DRIFT=DRIFT,
    )


def _shown(value: Any) -> Any:
    # Pictures are markup, a class of its own.
    return cut(clean(value), _ANYWHERE) if type(value) is str else value


def _csp(style: str) -> str:
    """The source expression that allows this style, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def _part(id_: str, found: Gathered) -> _Part:
    month = found.month
    return _Part(
        id_,
        found,
        runs=[_run(each) for each in found.runs],
        certificates=[_certificate(each) for each in found.certificates],
        timeline=timeline.svg(found.certificates, f"{id_}-timeline"),
        picture=picture.svg(found.mesh, f"{id_}-mesh") if found.mesh else "",
        routes=list(_routes(found.mesh)) if found.mesh else [],
        openings=[tuple(map(Cell, each)) for each in month.openings] if month else [],
        drift=[_touched(each) for each in found.drift],
    )


def _standing(part: _Part) -> Row:
    each = part.of.standing
    release = short(each.release).removeprefix("sha256:") if each.release else "-"
    up = each.state == "up"
    checks = "failed" if "failed" in each.verified else "ok" if "held" in each.verified else ""
    drifted = {"none": "ok", "not verified": "not-verified", "nothing applied": ""}.get(each.drift, "warning")
    days = "not verified" if each.root_days is None else str(each.root_days)
    return (
        Cell(each.environment, link=f"#{part.id}", more="protected" if part.of.protected else ""),
        Cell("up", "ok") if up else Cell("not verified", "not-verified", more=cut(each.state, _LONGEST)),
        Cell(release, code=bool(each.release), more="the files hold another by now" if each.pending else ""),
        Cell((each.since or "-")[:16].replace("T", " ")),
        Cell(each.verified, checks),
        Cell(each.drift, drifted),
        Cell(each.window),
        Cell(days, "not-verified" if each.root_days is None else ""),
    )


_RESULTS = {"ok": "ok", "failed": "failed", "refused": "warning", "interrupted": "failed", "running": "warning"}


def _run(run: Run) -> Row:
    said = cut(" · ".join(filter(None, (run.reason, run.message))), _LONGEST)
    counts = (("+", run.add), ("~", run.change), ("−", run.destroy))
    return (
        Cell(run.started[:16].replace("T", " "), more=run.id),
        Cell(cut(run.who, _LONGEST)),
        Cell(run.deploy or "-"),
        Cell(run.result, _RESULTS.get(run.result, "not-verified")),
        Cell(" ".join(f"{sign}{count}" for sign, count in counts if count) or "none"),
        Cell("-" if run.seconds is None else f"{run.seconds:.1f}"),
        Cell(
            (run.commit or "-")[:_SHORT], code=run.commit is not None, more="and changes not in it" if run.dirty else ""
        ),
        Cell(said or "-", more="a window was overridden" if run.override else ""),
    )


def _certificate(each: Certificate) -> Row:
    life = each.life
    return (
        Cell(cut(f"{each.role} {each.name}".strip(), _LONGEST)),
        Cell(each.state, each.state.replace(" ", "-")),
        Cell(timeline.left(life) if life else "-"),
        Cell(life.until[:16].replace("T", " ") if life else "-"),
        Cell(cut(each.detail, _LONGEST), more=cut(each.hint, _LONGEST) if each.state != "ok" else ""),
    )


def _routes(mesh: Mesh) -> Iterator[Row]:
    for edge in mesh.edges:
        source, target = mesh.nodes[edge.source], mesh.nodes[edge.target]
        yield (
            Cell(f"{source.kind} {source.name}".strip()),
            Cell(f"{target.kind} {target.name}".strip(), more=cut("; ".join(target.lines), _LONGEST)),
            Cell(picture.share(edge) or "-"),
        )


def _touched(each: Touched) -> Row:
    return (
        Cell(f"{each.kind} {each.name}", more=each.step),
        Cell(each.path or "-", code=bool(each.path)),
        Cell(each.how, "warning"),
        Cell(_value(each.before), code=each.before is not None),
        Cell(_value(each.after), code=each.after is not None),
        Cell(each.by or "nobody records by whom"),
    )


def _value(value: Any) -> str:
    return "-" if value is None else cut(json.dumps(value, ensure_ascii=False), 200)
