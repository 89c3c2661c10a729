"""Shows an environment: every value, and where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from meshwright.environment.loader import Loaded
from meshwright.environment.problems import Path, dotted
from meshwright.environment.scalars import resolve

__all__ = ["Shown", "scalar", "show"]

# Comments stand in one column, unless a line is longer than this.
_WIDEST = 72
_SIMPLE = re.compile(r"[A-Za-z0-9/](?:[-A-Za-z0-9._/:@]*[-A-Za-z0-9._/@])?")


@dataclass(frozen=True)
class Shown:
    """An environment as people and programs read it.

    `lines` are YAML that gives the same environment again, each value with a comment that says where it came from:
    FILE:LINE or `default`. Optional values that nobody gave are left out. `values` are all values as JSON data,
    `sources` says for each of them by its path where it came from.
    """

    lines: tuple[str, ...]
    values: dict[str, Any]
    sources: dict[str, str]


def show(loaded: Loaded) -> Shown:
    """Every value of an environment with its source. Pure: nothing is read or printed."""
    values = loaded.env.model_dump(mode="json", by_alias=True, exclude={"name"})
    sources = {path: loaded.env.where(*path) for path, _ in _leaves(values)}
    rows = [(text, "" if path is None else sources[path]) for text, path in _mapping(values, (), sources)]
    width = max((len(text) for text, source in rows if source and len(text) <= _WIDEST), default=0)
    lines = tuple(f"{text:<{width}}  # {source}" if source else text for text, source in rows)
    return Shown(lines, values, {dotted(path): source for path, source in sources.items()})


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    if not value or not isinstance(value, dict | list):
        yield path, value
    for part, item in inner:
        yield from _leaves(item, (*path, part))


# A line of YAML, and the path of the value that it shows (None: it only opens a mapping or list).
Row = tuple[str, Path | None]


def _mapping(values: dict[str, Any], path: Path, sources: dict[Path, str]) -> Iterator[Row]:
    for key, value in values.items():
        inner: Path = (*path, key)
        if value is None and sources[inner] == "default":
            continue
        name = _text(key)
        if isinstance(value, dict) and value:
            yield f"{name}:", None
            yield from _indented(_mapping(value, inner, sources))
        elif isinstance(value, list) and value:
            yield f"{name}:", None
            yield from _indented(_list(value, inner, sources))
        else:
            yield f"{name}: {scalar(value)}", inner


def _list(items: list[Any], path: Path, sources: dict[Path, str]) -> Iterator[Row]:
    for index, item in enumerate(items):
        inner: Path = (*path, index)
        if isinstance(item, dict) and item:
            rows = _mapping(item, inner, sources)
        elif isinstance(item, list) and item:
            rows = _list(item, inner, sources)
        else:
            rows = iter([(scalar(item), inner)])
        for number, (text, at) in enumerate(rows):
            yield f"{'  ' if number else '- '}{text}", at


def _indented(rows: Iterator[Row]) -> Iterator[Row]:
    return ((f"  {text}", path) for text, path in rows)


def scalar(value: Any) -> str:
    """A value without parts (or an empty mapping or list) as YAML that every reader takes for the same."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        # Python's 1e-05 has no dot, which some readers of YAML take for text.
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    return str(value) if not isinstance(value, dict | list) else ("{}" if isinstance(value, dict) else "[]")


def _text(text: str) -> str:
    """Text as YAML: plain where every reader takes it for the same text, else in double quotes."""
    if _SIMPLE.fullmatch(text) and resolve(text) == text:
        return text
    return str(yaml.dump(text, default_style='"', allow_unicode=True, width=2**31)).rstrip("\n")
