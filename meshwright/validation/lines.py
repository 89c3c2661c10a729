"""The line of a part of a manifest, found in its file once something is wrong there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from meshwright.manifests import Manifest

__all__ = ["Lines"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Lines:
    """The files of a project, each read at most once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, _File] = {}

    def place(self, manifest: Manifest, path: tuple[str | int, ...]) -> str:
        """FILE:LINE of the part of a manifest at `path`, or of the nearest part around it; its own place where the file
        does not tell."""
        name, _, line = manifest.place.rpartition(":")
        if manifest.built or not line.isdigit():
            return manifest.place
        file = self._files.setdefault(name, _File(self._root / name))
        node = file.objects.get(int(line))
        return f"{name}:{_line(node, path)}" if node is not None else manifest.place


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def objects(self) -> dict[int, Any]:
        """The nodes of the file's objects by the lines where they begin."""
        try:
            text = self._path.read_text(encoding="utf-8-sig")
            return {node.start_mark.line + 1: node for node in _objects(text)}
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            return {}


def _objects(text: str) -> Iterator[Any]:
    for node in yaml.compose_all(text, Loader=_Loader):
        yield node
        items = _below(node, "items")
        if isinstance(items, yaml.SequenceNode):
            yield from items.value


def _line(node: Any, path: tuple[str | int, ...]) -> int:
    line = int(node.start_mark.line) + 1
    for part in path:
        node = _below(node, part)
        if node is None:
            break
        line = int(node.key_line if hasattr(node, "key_line") else node.start_mark.line) + 1
    return line


def _below(node: Any, part: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                # What a person looks for is the key; a list or mapping begins on the next line.
                value.key_line = key.start_mark.line
                return value
    return None
