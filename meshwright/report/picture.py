"""The mesh as a picture: gateways on the left, routes in the middle, destinations with their weights on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshwright.report import drawing
from meshwright.report.mesh import Edge, Mesh, Node
from meshwright.report.text import cut
from meshwright.wording import counted

__all__ = ["share", "svg"]

_WIDTH, _GAP, _BETWEEN, _EDGE = 264, 170, 14, 10
_HEADING, _LINE, _SLOT, _TOP = 20, 16, 19, 34
_LINES = 3
_COLUMNS = {"gateway": 0, "route": 1, "destination": 2}
_HEADS = {"gateway": "Gateways", "route": "Routes", "destination": "Destinations"}
_TITLE_CHARACTERS, _LINE_CHARACTERS, _LABEL_CHARACTERS = 29, 36, 25


@dataclass
class _Box:
    node: Node
    x: float
    y: float = 0
    height: float = 0
    out: list[Edge] = field(default_factory=list)
    into: list[Edge] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """What stands below its name."""
        said = [self.node.kind] if self.node.kind not in ("", "Service", "Gateway", "VirtualService") else []
        said += self.node.lines
        return said if len(said) <= _LINES else [*said[: _LINES - 1], f"and {len(said) - _LINES + 1} more"]


def svg(mesh: Mesh, name: str) -> str:
    """The picture, with `name` as its id; empty where there is nothing to draw."""
    if not mesh.nodes:
        return ""
    boxes = [_Box(node, _EDGE + _COLUMNS[node.layer] * (_WIDTH + _GAP)) for node in mesh.nodes]
    for edge in mesh.edges:
        boxes[edge.source].out.append(edge)
        boxes[edge.target].into.append(edge)
    for box in boxes:
        needed = _HEADING + _LINE * len(box.lines) + 14
        box.height = max(needed, _SLOT * len(box.into) + 8 if box.node.layer == "destination" else 0)
    bottom = _placed(boxes)
    width = 2 * _EDGE + 3 * _WIDTH + 2 * _GAP
    picture = drawing.svg(name, width, bottom + _EDGE, "The mesh", _described(mesh))
    for layer, column in _COLUMNS.items():
        x = _EDGE + column * (_WIDTH + _GAP)
        drawing.add(picture, "text", _HEADS[layer], x=x, y=20, class_="head")
    for edge in mesh.edges:
        _draw_edge(picture, edge, boxes)
    for box in boxes:
        _draw_box(picture, box)
    return drawing.written(picture)


def share(edge: Edge) -> str:
    """The shares of an edge in a few words."""
    parts = [each.rpartition(": ")[2] for each in edge.shares]
    if len(parts) > 1 and len(set(parts)) == 1:
        return f"{len(parts)} rules: {parts[0]}"
    return ", ".join(edge.shares)


def _described(mesh: Mesh) -> str:
    counts = ", ".join(counted(sum(node.layer == layer for node in mesh.nodes), layer) for layer in _COLUMNS)
    return f"{counts}, and where requests go from each to the next. The table below says the same in words."


def _placed(boxes: Sequence[_Box]) -> float:
    """Gives each box its height on the page, near those that it leads to; returns the lowest end."""
    place = {id(box): index for index, box in enumerate(boxes)}
    layers = {layer: [box for box in boxes if box.node.layer == layer] for layer in _COLUMNS}
    order = {place[id(box)]: index for index, box in enumerate(layers["gateway"])}
    for layer in ("route", "destination"):
        layers[layer].sort(key=lambda box: min((order.get(edge.source, 0) for edge in box.into), default=len(boxes)))
        order = {place[id(box)]: index for index, box in enumerate(layers[layer])}
    bottom = 0.0
    for layer in ("destination", "route", "gateway"):
        y = float(_TOP)
        for box in layers[layer]:
            targets = [boxes[edge.target] for edge in box.out]
            middle = sum(each.y + each.height / 2 for each in targets) / len(targets) if targets else 0
            box.y = max(y, middle - box.height / 2)
            y = box.y + box.height + _BETWEEN
        bottom = max(bottom, y - _BETWEEN)
    for box in boxes:
        # Edges that do not cross where they arrive.
        box.into.sort(key=lambda edge: boxes[edge.source].y)
    return bottom


def _draw_box(picture: drawing.Element, box: _Box) -> None:
    # A picture within the picture: text that is wider than the box ends with it.
    kind = f"box {box.node.layer}"
    group = drawing.add(picture, "svg", class_=kind, x=box.x, y=box.y, width=_WIDTH, height=box.height)
    drawing.add(group, "rect", x=1, y=1, width=_WIDTH - 2, height=box.height - 2, rx=7)
    drawing.add(group, "text", box.node.name, _TITLE_CHARACTERS, x=12, y=21, class_="name")
    for index, line in enumerate(box.lines, start=1):
        drawing.add(group, "text", line, _LINE_CHARACTERS, x=12, y=22 + _LINE * index, class_="line")


def _draw_edge(picture: drawing.Element, edge: Edge, boxes: Sequence[_Box]) -> None:
    source, target = boxes[edge.source], boxes[edge.target]
    x1, y1 = source.x + _WIDTH, source.y + source.height / 2
    slot = target.into.index(edge) + 0.5
    step = min(_SLOT, target.height / len(target.into))
    x2, y2 = target.x, target.y + target.height / 2 + (slot - len(target.into) / 2) * step
    # The last part is straight: the share stands on it.
    straight = x2 - (0.62 * (x2 - x1) if edge.shares else 8)
    middle = (x1 + straight) / 2
    path = f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {straight:.1f} {y2:.1f}"
    width = 1.25 + 2.25 * _percent(edge) / 100
    kind = "edge mirrored" if edge.mirrored else "edge"
    drawing.add(picture, "path", d=f"{path}H{x2 - 1:.1f}", class_=kind, stroke_width=width)
    drawing.add(
        picture, "path", d=f"M{x2 - 7:.1f} {y2 - 4:.1f}L{x2:.1f} {y2:.1f}L{x2 - 7:.1f} {y2 + 4:.1f}Z", class_="tip"
    )
    if edge.shares:
        said = cut(share(edge), 80)
        drawing.add(picture, "text", said, _LABEL_CHARACTERS, x=x2 - 12, y=y2 - 4, class_="share")


def _percent(edge: Edge) -> float:
    """The largest share, 0 to 100."""
    largest = 0.0
    for each in edge.shares:
        number = each.rpartition(": ")[2].partition(" ")[0]
        largest = max(largest, float(number) if number.replace(".", "", 1).isdecimal() else 0)
    return min(largest, 100.0)
