"""Reads one values file: bytes in, a tree of values with their places out, and every problem on the way.

PyYAML only splits the text into events (its C parser does so without recursion); the tree is built here, because
PyYAML's own loaders let later duplicate keys win, guess types, and have no bound on nesting or aliases.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import yaml

from meshwright.environment.problems import Path, Problem, dotted, shortened
from meshwright.environment.scalars import Refusal, resolve
from meshwright.environment.tree import Content, Node, Place

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "read"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 200_000
"""How many values a file may have, those behind aliases counted each time."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# YAML 1.2.2, production c-printable; a byte order mark at the start is gone by then.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WANTED = "it must be a mapping of values (key: value)"
_NOTHING = "Write {} where there is nothing to say"
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def read(data: bytes, file: str) -> tuple[Node | None, list[Problem]]:
    """The values of one file, whose name for people is `file`.

    The tree is None where the file cannot be understood at all; otherwise it is whole, whatever the problems are.
    """
    reader: _Reader | None = None
    try:
        reader = _Reader(_text(data, file), file)
        return reader.document(), reader.problems
    except _Stop as stop:
        return None, [*(reader.problems if reader else ()), stop.problem]


class _Stop(Exception):
    """Nothing after this problem can be understood."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _text(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise _Stop(Problem(f"the file has more than {MAX_BYTES} bytes, which no file of values needs", file))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts after the byte order mark, which it has skipped.
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line, column = _position(data[:start].decode("utf-8-sig"))
        sentence = f"byte {start} (0x{data[start]:02x}) is not UTF-8"
        raise _Stop(Problem(sentence, file, line, column, hint="Save the file as UTF-8")) from None
    if found := _NOT_PRINTABLE.search(text):
        line, column = _position(text[: found.start()])
        sentence = f"the character U+{ord(found[0]):04X} may not stand in YAML"
        raise _Stop(Problem(sentence, file, line, column, hint="Remove it, or write it as an escape in double quotes"))
    return text


def _position(before: str) -> tuple[int, int]:
    *lines, last = _LINE_END.split(before)
    return len(lines) + 1, len(last) + 1


class _Reader:
    """Builds the tree of one document from the parser's events."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.problems: list[Problem] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._values = 0
        self._lines = len(_LINE_END.split(text))
        self._parser = _Loader(text)

    def document(self) -> Node:
        """The one document of the file, a mapping."""
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise _Stop(Problem(f"the file is empty; {_WANTED}", self.file, 1, 1, hint=_NOTHING))
        first = self._next()
        root = self._node(first, (), 1)[0]
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            sentence = "a second document begins here; a file of values is one document"
            raise self._stop(after, sentence, hint="Remove the line ---, or put the second part in a file of its own")
        if not isinstance(root.content, dict):
            what = "a list" if isinstance(root.content, list) else root.written or "empty"
            raise self._stop(first, f"the file is {what}; {_WANTED}", hint="" if root.written else _NOTHING)
        return root

    def _next(self) -> Any:
        try:
            return self._parser.get_event()
        except yaml.MarkedYAMLError as error:
            raise _Stop(self._syntax(error)) from None
        except yaml.YAMLError as error:
            # Not met with checked text; kept so that no text whatever ends in a traceback.
            raise _Stop(Problem(f"this is not YAML: {' '.join(str(error).split())}", self.file)) from None

    def _syntax(self, error: yaml.MarkedYAMLError) -> Problem:
        mark = error.problem_mark or error.context_mark
        lines = _LINE_END.split(self.text)
        # libyaml puts the end of a file that does not end its last line on a line of its own.
        line = min(mark.line, len(lines) - 1) if mark else 0
        column = mark.column if mark and mark.line == line else len(lines[line])
        written = lines[line]
        indent = written[: len(written) - len(written.lstrip())]
        if "\t" in indent:
            sentence = "a tab indents this line; YAML allows only spaces"
            hint = "Replace the tab by spaces"
            return Problem(sentence, self.file, line + 1, indent.index("\t") + 1, hint=hint)
        why = str(error.problem)
        if error.context_mark and error.context_mark.line != line:
            why += f" ({error.context} from line {error.context_mark.line + 1} on)"
        hint = "Look at colons, quotes, brackets and indentation here and in the lines before"
        return Problem(f"this is not YAML: {why}", self.file, line + 1, column + 1, hint=hint)

    def _node(self, event: Any, path: Path, depth: int) -> tuple[Node, int, int]:
        """The value that begins with `event`, how many values are in it (itself too), and how deep they nest."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if depth > MAX_DEPTH:
            raise self._stop(event, f"values nest more than {MAX_DEPTH} levels deep here", path)
        self._count(1, event)
        node, values, height = self._content(event, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = node, values, height
        return node, values, height

    def _content(self, event: Any, path: Path, depth: int) -> tuple[Node, int, int]:
        place = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            content, written = self._scalar(event, path)
            return Node(content, place, written), 1, 1
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._tag(event, path, "map" if mapping else "seq")
        whole: Content
        whole, values, height = self._mapping(path, depth) if mapping else self._list(path, depth)
        return Node(whole, place), values + 1, height + 1

    def _list(self, path: Path, depth: int) -> tuple[list[Node], int, int]:
        items: list[Node] = []
        values = height = 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            node, inside, high = self._node(event, (*path, len(items)), depth + 1)
            items.append(node)
            values, height = values + inside, max(height, high)
        return items, values, height

    def _mapping(self, path: Path, depth: int) -> tuple[dict[str, Node], int, int]:
        own: dict[str, Node] = {}
        merged: list[Node] = []
        values = height = 0
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, at = self._key(event, path), self._place(event)
            merging = key == "<<" and event.implicit[0]
            node, inside, high = self._node(self._next(), path if merging else (*path, key), depth + 1)
            values, height = values + inside, max(height, high)
            if merging:
                merged += self._merged(node, event, path)
            elif key in own:
                first = own[key].key
                sentence = f"{dotted((*path, key))} is there twice, first in line {first.line if first else '?'}"
                self._problem(event, sentence, (*path, key), "Remove one of the two")
            else:
                own[key] = replace(node, key=at)
        # A mapping's own keys win, then those of the mapping merged first (yaml.org/type/merge.html).
        for node in merged:
            for key, value in node.content.items() if isinstance(node.content, dict) else ():
                own.setdefault(key, value)
        return own, values, height

    def _merged(self, node: Node, event: Any, path: Path) -> list[Node]:
        nodes = node.content if isinstance(node.content, list) else [node]
        if all(isinstance(n.content, dict) for n in nodes):
            return nodes
        self._problem(event, "<< can merge only a mapping, or a list of mappings", path)
        return []

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._stop(event, "a key must be text, not a list, a mapping or an alias", path)
        if not event.value:
            raise self._stop(event, "there is a value without a key", path)
        return self._unicode(event, path)

    def _scalar(self, event: Any, path: Path) -> tuple[Content, str]:
        text = self._unicode(event, path)
        written = self._written(event)
        if event.tag not in (None, "!", _TAG + "str"):
            self._tag(event, path, "str")
        if event.tag is not None or not event.implicit[0]:
            return text, written
        value = resolve(text)
        if not isinstance(value, Refusal):
            return value, written
        hint = value.instead[0].upper() + value.instead[1:]
        self._problem(event, f"{dotted(path)} is {written}, which {value.why}", path, hint)
        return text, written

    def _unicode(self, event: Any, path: Path) -> str:
        text: str = event.value
        # The pure Python parser lets an escape such as "\ud800" through, which no encoder takes.
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise self._stop(event, "half of a surrogate pair is not a character", path)
        return text

    def _tag(self, event: Any, path: Path, usual: str) -> None:
        if event.tag not in (None, "!", _TAG + usual):
            name = event.tag.replace(_TAG, "!!")
            hint = "Values have no tags but !!str: use quotes for text and nothing for the rest"
            sentence = f"{dotted(path) or 'the file'} has the tag {name}, which means nothing here"
            self._problem(event, sentence, path, hint)

    def _alias(self, event: Any, depth: int) -> tuple[Node, int, int]:
        if event.anchor not in self._anchors:
            raise self._stop(event, f"there is no complete value &{event.anchor} before the alias *{event.anchor}")
        node, values, height = self._anchors[event.anchor]
        if depth + height - 1 > MAX_DEPTH:
            raise self._stop(event, f"values nest more than {MAX_DEPTH} levels deep through the alias *{event.anchor}")
        self._count(values, event)
        return node, values, height

    def _count(self, values: int, event: Any) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise self._stop(event, f"the file has more than {MAX_VALUES} values, aliases counted each time")

    def _place(self, event: Any) -> Place:
        # What is implied behind the last line (the nothing after `---`) is where that line ends.
        line = min(event.start_mark.line, self._lines - 1)
        return Place(self.file, line + 1, event.start_mark.column + 1)

    def _written(self, event: Any) -> str:
        return shortened(self.text[event.start_mark.index : event.end_mark.index])

    def _problem(self, event: Any, sentence: str, path: Path, hint: str = "") -> None:
        self.problems.append(Problem(sentence, *self._place(event), dotted(path), hint))

    def _stop(self, event: Any, sentence: str, path: Path = (), hint: str = "") -> _Stop:
        return _Stop(Problem(sentence, *self._place(event), dotted(path), hint))
