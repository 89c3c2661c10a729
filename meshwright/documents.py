"""YAML documents as kubectl reads them, with their lines.

PyYAML splits the text; the values are made here: its own constructor guesses more than Kubernetes does (dates, numbers
to the base 60), lets the last of two equal keys win, has no bound on what aliases unfold to, and is slower.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
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

    def __init__(self, event: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.line = event.start_mark.line + 1


def read(text: str, name: str) -> Iterator[Document]:
    """The documents of a file whose name for people is `name`; empty ones are left out.

    Raises BadInput: it is not YAML, it has a key twice, a value that JSON does not have, or too much of anything.
    """
    if (document := _as_json(text)) is not None:
        yield document
        return
    reader = None
    try:
        reader = _Reader(text)
        yield from reader.documents()
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
        if reader is not None:
            reader.close()


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


@dataclass
class _Anchor:
    """What an alias stands for: a value, how many values are in it, and the event of one that is a scalar. It is open
    until its value has ended."""

    value: Any = None
    count: int = 0
    scalar: Any = None
    open: bool = True


class _Reader:
    """Makes the values of a text from libyaml's events: the nodes that PyYAML can make of these cost as much again."""

    def __init__(self, text: str) -> None:
        self._loader = _Loader(text)
        self._next: Callable[[], Any] = self._loader.get_event
        self._plain: dict[str, Any] = {}
        self._new()

    def close(self) -> None:
        self._loader.dispose()

    def _new(self) -> None:
        self._anchors: dict[str, _Anchor] = {}
        self._count = 0  # of the values so far, those behind aliases each time
        self._items: list[int] = []

    def documents(self) -> Iterator[Document]:
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._new()
                root = self._next()
                value = self._value(root, 1)
                if value is not None:
                    yield Document(value, root.start_mark.line + 1, tuple(self._items))

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event).value
        before = self._count
        self._count += 1
        if self._count > _VALUES:
            raise _too_many(event)
        anchor = _Anchor() if event.anchor else None
        if anchor:
            self._anchors[event.anchor] = anchor
        if kind is yaml.ScalarEvent:
            value = self._scalar(event)
        elif depth > _DEPTH:
            raise _too_deep(event)
        else:
            value = self._mapping(depth) if kind is yaml.MappingStartEvent else self._sequence(depth)
        if anchor:
            anchor.value, anchor.count, anchor.open = value, self._count - before, False
            anchor.scalar = event if kind is yaml.ScalarEvent else None
        return value

    def _alias(self, event: Any) -> _Anchor:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            raise _Wrong(event, f"this is not YAML: found undefined alias {event.anchor}")
        if anchor.open:  # a value that has an alias of itself in it
            raise _too_deep(event)
        self._count += anchor.count
        if self._count > _VALUES:
            raise _too_many(event)
        return anchor

    def _sequence(self, depth: int, lines: list[int] | None = None) -> list[Any]:
        found = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            if lines is not None:
                lines.append(event.start_mark.line + 1)
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: list[Any] = []
        while type(key := self._next()) is not yaml.MappingEndEvent:
            start = key
            if type(key) is yaml.AliasEvent:
                key = self._alias(key).scalar
            elif key.anchor and type(key) is yaml.ScalarEvent:
                self._value(key, depth + 1)
            if type(key) is not yaml.ScalarEvent:
                raise _Wrong(start, "a key must be text")
            event = self._next()
            if key.value == "items" and depth == 1 and type(event) is yaml.SequenceStartEvent and not event.anchor:
                value: Any = self._sequence(depth + 1, self._items)
            else:
                value = self._value(event, depth + 1)
            if key.value == "<<" and self._tag(key) == "merge":
                merged += value if isinstance(value, list) else [value]
            elif key.value in own:
                raise _Wrong(start, f"the key {key.value} is there twice")
            else:
                own[key.value] = value
        # A mapping's own keys win, then those of the mapping merged first (yaml.org/type/merge.html).
        for other in merged:
            if not isinstance(other, dict):
                raise _Wrong(start, "<< can merge only mappings")
            own = {**other, **own}
        return own

    def _tag(self, event: Any) -> str:
        tag: str = event.tag or "!"
        if tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        return tag.removeprefix(_TAG)

    def _scalar(self, event: Any) -> Any:
        if event.style or event.tag:
            return _converted(event, self._tag(event))
        # The same words and numbers come again and again.
        text = event.value
        if text not in self._plain:
            self._plain[text] = _converted(event, self._tag(event))
        return self._plain[text]


def _too_deep(event: Any) -> _Wrong:
    return _Wrong(event, f"values nest more than {_DEPTH} levels deep here")


def _too_many(event: Any) -> _Wrong:
    return _Wrong(event, f"there are more than {_VALUES} values here, aliases counted each time")


def _converted(event: Any, tag: str) -> Any:
    text: str = event.value
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise _Wrong(event, "half of a surrogate pair is not a character")
    if tag in _TEXT:
        if event.style or not _LATE.fullmatch(text):
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
    raise _Wrong(event, f"{text} is nothing that JSON has")


def _number(text: str) -> int | float | None:
    """A number as Go's strconv reads it: with a leading zero it is octal. None: it is none."""
    plain = text.replace("_", "")
    try:
        if found := _INT.fullmatch(plain):
            return int(found[1] + found[2], 8) if found[2] else int(plain, 0)
        return _whole(plain) if _FLOAT.fullmatch(plain) else None
    except (ValueError, OverflowError):  # more digits than Python reads, more than a float holds
        return None
