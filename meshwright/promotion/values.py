"""Which values an environment's own file must have so that it holds a release, on top of what all.yaml says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshwright.environment.travelling import TRAVELS, stays

__all__ = ["own"]

_NOTHING: Any = object()
Path = tuple[str, ...]


def own(base: Mapping[str, Any], current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The new content of an environment's file: `current`, whose sections that travel are changed so far that, laid
    over `base` (that of all.yaml), they give the values `wanted` of a release. What need not change stays as it is.

    What `base` has and `wanted` has not is taken away with null. Where that is not possible the result does not load,
    or gives another release: whoever asks looks at that.
    """
    made = dict(current)
    for name in TRAVELS:
        section = _own(base.get(name, _NOTHING), current.get(name, _NOTHING), wanted.get(name, _NOTHING), (name,))
        if section is _NOTHING:
            made.pop(name, None)
        else:
            made[name] = section
    return made


def _own(base: Any, current: Any, wanted: Any, path: Path) -> Any:
    """What the file has to say at `path`: nothing, or a value."""
    if _same(_laid(base, current), wanted, path):
        return current
    if wanted is _NOTHING:
        kept = _staying(current, path)
        if kept:
            return kept
        return _NOTHING if base in (_NOTHING, None) else None
    if not isinstance(wanted, dict):
        # Where the file has a word on it, it stands where it stood.
        return _NOTHING if current is _NOTHING and base == wanted else wanted
    if not isinstance(base, dict) and not isinstance(current, dict):
        return wanted
    under, over = (each if isinstance(each, dict) else {} for each in (base, current))
    made = {}
    for key in dict.fromkeys((*over, *wanted, *under)):
        if stays((*path, key)):
            if key in over:
                made[key] = over[key]
            continue
        value = _own(under.get(key, _NOTHING), over.get(key, _NOTHING), wanted.get(key, _NOTHING), (*path, key))
        if value is not _NOTHING:
            made[key] = value
    return made if made or not isinstance(base, dict) else _NOTHING


def _staying(current: Any, path: Path) -> dict[str, Any]:
    """What of a mapping belongs to its environment by its keys alone."""
    if not isinstance(current, dict):
        return {}
    return {key: value for key, value in current.items() if stays((*path, key))}


def _laid(base: Any, over: Any) -> Any:
    if over is _NOTHING:
        return base
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {
        **base,
        **{key: _laid(base.get(key, _NOTHING), value) for key, value in over.items()},
    }


def _same(one: Any, other: Any, path: Path) -> bool:
    return bool(_plain(one, path) == _plain(other, path))


def _plain(value: Any, path: Path) -> Any:
    """As releases have it: null is nothing, and so is what becomes empty by that."""
    if value is None or value is _NOTHING:
        return _NOTHING
    if not isinstance(value, dict):
        return value
    kept = {key: _plain(each, (*path, key)) for key, each in value.items() if not stays((*path, key))}
    made = {key: each for key, each in kept.items() if each is not _NOTHING}
    return made if made or not value else _NOTHING
