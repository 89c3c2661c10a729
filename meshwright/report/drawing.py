"""Elements of SVG. Text and attributes are escaped when they are written out, whatever is in them."""

from __future__ import annotations

from xml.etree import ElementTree as Tree

from meshwright.report.text import clean, cut

__all__ = ["add", "svg", "written"]

Element = Tree.Element

_TOOLTIP = 300


def svg(name: str, width: float, height: float, title: str, description: str) -> Element:
    """A picture with the id `name`, and what it shows in words for who does not see it."""
    size = {"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "height": f"{height:g}"}
    ids = {"id": name, "role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    picture = Element("svg", {**size, **ids})
    Tree.SubElement(picture, "title", {"id": f"{name}-title"}).text = clean(title)
    Tree.SubElement(picture, "desc", {"id": f"{name}-desc"}).text = clean(description)
    return picture


def add(parent: Element, tag: str, text: str = "", most: int = 0, **attributes: str | float) -> Element:
    """An element in `parent`; `_` in the name of an attribute is `-`, and one at its end is left out. Text that is
    longer than `most` is cut, and has more of it as a tooltip."""
    said = {
        key.rstrip("_").replace("_", "-"): f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
        for key, value in attributes.items()
    }
    made = Tree.SubElement(parent, tag, said)
    if text:
        text = clean(text)
        if most and len(text) > most:
            Tree.SubElement(made, "title").text = cut(text, _TOOLTIP)
            made[-1].tail = cut(text, most)
        else:
            made.text = text
    return made


def written(picture: Element) -> str:
    """The picture as text for the middle of a page."""
    return Tree.tostring(picture, encoding="unicode", short_empty_elements=False)
