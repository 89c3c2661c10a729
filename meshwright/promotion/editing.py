"""Changing values in a YAML file as a person would: only the text of what differs is touched.

All else stays byte by byte as it is: order, comments, quotes, how lists are written. (A library that loads and writes
the whole file was tried: it drops the comments behind an entry that is taken away, and writes null its own way.) Text
is cut where PyYAML says that values begin and end. Whoever uses this loads the result and compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import yaml

from meshwright.environment.listing import scalar

__all__ = ["edited"]

_STEP = 2
_WIDEST = 90
_IDENTITY = ("name", "match", "matches", "destination")


@dataclass(frozen=True)
class _Cut:
    """The text from `start` to `end` becomes `text`."""

    start: int
    end: int
    text: str


def edited(text: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """`text`, a YAML mapping whose values are `before`, with the values `after`. Raises yaml.YAMLError where the text
    is not YAML."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not root.value or root.flow_style:
        return text if before == after else _block(dict(after), 0)
    if text and not text.endswith("\n"):
        text += "\n"
    cuts = sorted(_Editor(text).mapping(root, before, after, top=True), key=lambda cut: (cut.start, cut.end))
    parts, position = [], 0
    for cut in cuts:
        parts += [text[position : cut.start], cut.text]
        position = cut.end
    return "".join([*parts, text[position:]])


class _Editor:
    """Finds the cuts in one text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def mapping(
        self, node: yaml.MappingNode, before: Mapping[str, Any], after: Mapping[str, Any], *, top: bool = False
    ) -> Iterator[_Cut]:
        """The cuts that make a mapping what it is to be. Both have something in common."""
        pairs = {key.value: (key, value) for key, value in node.value}
        gone = [key for key in pairs if key in before and key not in after]
        new = [key for key in after if key not in pairs]
        for key, (_, value) in pairs.items():
            if key in after and before.get(key) != after[key]:
                yield from self.value(value, before.get(key), after[key], pairs[key][0])
        names = list(pairs)
        for key in gone:
            start = pairs[key][0].start_mark.index
            if self._begins_line(start):
                yield _Cut(self._line(start), self._after(self._end(pairs[key])), "")
            else:
                # The first key behind the dash of a list: the next one takes its place.
                following = names[names.index(key) + 1]
                yield _Cut(start, pairs[following][0].start_mark.index, "")
        column = node.value[0][0].start_mark.column
        order = list(after)
        spots: dict[int, list[str]] = {}
        for key in new:
            earlier = [each for each in order[: order.index(key)] if each in pairs]
            anchor = names[-1] if top or not earlier else earlier[-1]
            at = self._after(self._end(pairs[anchor]))
            spots.setdefault(at, []).append(("\n" if top else "") + _block({key: after[key]}, column))
        for at, texts in spots.items():
            yield _Cut(at, at, "".join(texts))

    def value(self, node: yaml.Node, before: Any, after: Any, key: yaml.Node | None) -> Iterator[_Cut]:
        """The cuts that make a value what it is to be; `key` is the key before it, None in a list."""
        if isinstance(node, yaml.MappingNode) and isinstance(before, dict) and isinstance(after, dict):
            same_keys = before.keys() == after.keys()
            if before.keys() & after.keys() and (same_keys or not node.flow_style):
                yield from self.mapping(node, before, after)
                return
        if isinstance(node, yaml.SequenceNode) and isinstance(before, list) and isinstance(after, list):
            same_length = len(before) == len(after)
            if before and after and (same_length or not node.flow_style):
                yield from self._list(node, before, after)
                return
        yield self._replaced(node, after, key)

    def _list(self, node: yaml.SequenceNode, before: Sequence[Any], after: Sequence[Any]) -> Iterator[_Cut]:
        if node.flow_style:
            for item, old, new in zip(node.value, before, after, strict=True):
                if old != new:
                    yield from self.value(item, old, new, None)
            return
        column = node.start_mark.column
        matcher = SequenceMatcher(
            None, [_identity(each) for each in before], [_identity(each) for each in after], False
        )
        for _, first, last, start, stop in matcher.get_opcodes():
            common = min(last - first, stop - start)
            for offset in range(common):
                old, new = before[first + offset], after[start + offset]
                if old != new:
                    yield from self.value(node.value[first + offset], old, new, None)
            for item in node.value[first + common : last]:
                yield _Cut(self._line(item.start_mark.index), self._after(self._end_of(item)), "")
            if stop - start > common:
                at = self._line(node.start_mark.index)
                if last:
                    at = self._after(self._end_of(node.value[last - 1]))
                yield _Cut(at, at, _block(list(after[start + common : stop]), column))

    def _replaced(self, node: yaml.Node, after: Any, key: yaml.Node | None) -> _Cut:
        start, end = node.start_mark.index, self._end_of(node)
        inline = _flow(after)
        block = isinstance(after, dict | list) and after and len(inline) > _WIDEST
        if key is None:
            return _Cut(start, end, inline)
        colon = self._text.index(":", key.end_mark.index) + 1
        if not block and not (isinstance(after, dict) and after and not getattr(node, "flow_style", False)):
            return _Cut(colon, end, f" {inline}")
        column = key.start_mark.column + _STEP
        return _Cut(colon, end, "\n" + _block(after, column).rstrip("\n"))

    # Where things are

    def _begins_line(self, index: int) -> bool:
        return not self._text[self._line(index) : index].strip()

    def _line(self, index: int) -> int:
        """Where the line of a character begins."""
        return self._text.rfind("\n", 0, index) + 1

    def _after(self, index: int) -> int:
        """Where the next line begins."""
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found + 1

    def _end(self, pair: tuple[yaml.Node, yaml.Node]) -> int:
        key, value = pair
        return max(key.end_mark.index, self._end_of(value))

    def _end_of(self, node: yaml.Node) -> int:
        """Where the last character of a value is: a block's own end is behind the comments that follow it."""
        if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
            return self._end(node.value[-1])
        if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
            return self._end_of(node.value[-1])
        end: int = node.end_mark.index
        while end > node.start_mark.index and self._text[end - 1] in " \n":
            end -= 1
        return end


def _identity(item: Any) -> str:
    """What an item of a list is told from the others by; whatever else it has may have changed."""
    if isinstance(item, dict):
        item = {key: item.get(key) for key in _IDENTITY}
    return json.dumps(item, sort_keys=True)


def _flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict) and value:
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list) and value:
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    text = scalar(value)
    # What would end a flow collection is text in quotes.
    plain = isinstance(value, str) and not text.startswith('"') and any(mark in text for mark in ",[]{}")
    return json.dumps(value, ensure_ascii=False) if plain else text


def _block(value: Any, column: int) -> str:
    """On lines of their own, from `column` on, with a line end."""
    return "".join(f"{' ' * column}{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if _short(each):
                yield f"{scalar(key)}: {_flow(each)}"
            else:
                yield f"{scalar(key)}:"
                yield from (f"{' ' * _STEP}{line}" for line in _lines(each))
    else:
        for each in value:
            if _short(each):
                yield f"- {_flow(each)}"
            else:
                first, *rest = _lines(each)
                yield f"- {first}"
                yield from (f"{' ' * _STEP}{line}" for line in rest)


def _short(value: Any) -> bool:
    """What fits on the line of its key: no mapping that has more than values without parts, and no long text."""
    if not isinstance(value, dict | list) or not value:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return all(not isinstance(each, dict | list) for each in inner) and len(_flow(value)) <= _WIDEST - 20
