"""YAML documents as kubectl reads them, with their lines.

PyYAML splits the text; the values are made here: its own constructor guesses more than Kubernetes does (dates, numbers
to the base 60), lets the last of two equal keys win, has no bound on what aliases unfold to, and is slower.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from meshwright.errors import BadInput

__all__ = ["Document", "read"]

_DEPTH = 100
_VALUES = 2_000_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# What YAML 1.1 takes for something else and Kubernetes takes for text.
_TEXT = frozenset({"str", "timestamp", "value"})
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?", re.ASCII)
# Numbers of YAML 1.2 that are text to YAML 1.1.
_LATE = re.compile(r"[-+]?(?:0o[0-7]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+)", re.ASCII)
_BOOL = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_INT = re.compile(r"([-+]?)(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*|0([0-7]+))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True)
class Document:
    """One document as JSON data, the line where it begins, and the lines where the entries of its `items` do."""

    value: Any
    line: int
    items: tuple[int, ...] = ()


class _Wrong(Exception):
    """Well-formed YAML that is not taken."""

    def __init__(self, node: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.line = node.start_mark.line + 1


def read(text: str, name: str) -> Iterator[Document]:
    """The documents of a file whose name for people is `name`; empty ones are left out.

    Raises BadInput: it is not YAML, it has a key twice, a value that JSON does not have, or too much of anything.
    """
    if (document := _as_json(text)) is not None:
        yield document
        return
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            value, _ = _value(node, 1, {})
            if value is not None:
                yield Document(value, node.start_mark.line + 1, _items(node))
    except _Wrong as wrong:
        raise BadInput(f"{name}:{wrong.line}: {wrong}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # libyaml puts the end of a file that ends its last line on a line of its own.
        line = min(mark.line + 1, max(1, len(text.splitlines()))) if mark else 1
        raise BadInput(f"{name}:{line}: this is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{name}: this is not YAML: {' '.join(str(error).split())}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _as_json(text: str) -> Document | None:
    """A file that is one JSON object; None: it is not, or not one that can be taken.

    JSON is not quite YAML: to libyaml keys have at most 1024 characters, and escapes no surrogate pairs.
    """
    if text.lstrip()[:1] != "{":
        return None
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_float=_whole, parse_constant=_whole)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, OverflowError, RecursionError):
        return None  # the reader below says why
    line = text[: text.index("{")].count("\n") + 1
    return Document(value, line) if _flat_enough(value, 1) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _whole(text: str) -> int | float:
    number = float(text)
    return int(number) if number == int(number) else number  # as Go writes 1.0; an infinity has no int


def _flat_enough(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth <= _DEPTH and all(_flat_enough(each, depth + 1) for each in inner if isinstance(each, dict | list))


Made = tuple[Any, int]
"""A value, and how many values are in it, those behind aliases counted each time."""


def _value(node: Any, depth: int, made: dict[int, Made]) -> Made:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node), 1
    if id(node) in made:  # an alias
        return made[id(node)]
    if depth > _DEPTH:  # also where a value has an alias of itself in it
        raise _Wrong(node, f"values nest more than {_DEPTH} levels deep here")
    if isinstance(node, yaml.SequenceNode):
        found = [_value(item, depth + 1, made) for item in node.value]
        whole: Made = [item for item, _ in found], 1 + sum(count for _, count in found)
    else:
        whole = _mapping(node, depth, made)
    if whole[1] > _VALUES:
        raise _Wrong(node, f"there are more than {_VALUES} values here, aliases counted each time")
    made[id(node)] = whole
    return whole


def _mapping(node: Any, depth: int, made: dict[int, Made]) -> Made:
    own: dict[str, Any] = {}
    merged: list[Any] = []
    values = 1
    for key, below in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Wrong(key, "a key must be text")
        value, count = _value(below, depth + 1, made)
        values += count
        if key.tag == _TAG + "merge":
            merged += value if isinstance(value, list) else [value]
        elif key.value in own:
            raise _Wrong(key, f"the key {key.value} is there twice")
        else:
            own[key.value] = value
    # A mapping's own keys win, then those of the mapping merged first (yaml.org/type/merge.html).
    for other in merged:
        if not isinstance(other, dict):
            raise _Wrong(node, "<< can merge only mappings")
        own = {**other, **own}
    return own, values


def _scalar(node: Any) -> Any:
    text: str = node.value
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise _Wrong(node, "half of a surrogate pair is not a character")
    tag = node.tag.removeprefix(_TAG)
    if tag in _TEXT:
        if node.style or not _LATE.fullmatch(text):
            return text
        tag = "float"
    if tag == "null":
        return None
    if tag == "bool" and text.lower() in _BOOL:
        return _BOOL[text.lower()]
    if tag in ("int", "float"):
        if _SIXTIES.fullmatch(text):
            return text
        number = _number(text)
        if number is not None:
            return number
    raise _Wrong(node, f"{text} is nothing that JSON has")


def _number(text: str) -> int | float | None:
    """A number as Go's strconv reads it: with a leading zero it is octal. None: it is none."""
    plain = text.replace("_", "")
    try:
        if found := _INT.fullmatch(plain):
            return int(found[1] + found[2], 8) if found[2] else int(plain, 0)
        return _whole(plain) if _FLOAT.fullmatch(plain) else None
    except (ValueError, OverflowError):  # more digits than Python reads, more than a float holds
        return None


def _items(node: Any) -> tuple[int, ...]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                return tuple(item.start_mark.line + 1 for item in value.value)
    return ()
