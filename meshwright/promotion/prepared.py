"""A promotion worked out: the new text of the environment's file, what differs, and what stays. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshwright import release
from meshwright.environment import BadValues, Loaded, members
from meshwright.environment.clusters import CLUSTERS
from meshwright.environment.problems import dotted
from meshwright.environment.reader import read
from meshwright.environment.travelling import LOCAL, STAYS, part
from meshwright.environment.tree import plain
from meshwright.errors import BadInput, MeshwrightError, Refused
from meshwright.project import Project
from meshwright.promotion import editing, values, words
from meshwright.promotion.words import Differing
from meshwright.release import Release, short

__all__ = ["Prepared", "file_of", "prepare"]

_ALL = "group_data/all.yaml"


@dataclass(frozen=True)
class Prepared:
    """`before` and `text` are the file as it is and as it is to be, `now` and `loaded` the environment that each gives:
    one cluster of it, where there are several, of which `members_now` and `members` have all. `previous` is the digest
    of the release that the file holds now. `stays` are the values that a promotion leaves alone, in dots and brackets.
    """

    release: Release
    previous: str
    before: str
    text: str
    now: Loaded
    loaded: Loaded
    differences: tuple[Differing, ...]
    stays: tuple[str, ...]
    members_now: tuple[Loaded, ...]
    members: tuple[Loaded, ...]

    @property
    def changes_file(self) -> bool:
        """Whether the file has to be written."""
        return self.before != self.text


def file_of(environment: str) -> str:
    """The file of an environment's own values, relative to the project folder."""
    return f"group_data/{environment}.yaml"


def prepare(project: Project, environment: str, wanted: Release) -> Prepared:
    """Works out how the environment's file is to be, so that it holds the release `wanted`.

    Raises BadInput: with the release the environment's values are not what they must be, or manifests are no longer as
    they were in it. Refused: what all.yaml or the environment says otherwise cannot be taken away.
    """
    members_now = members(project, environment)
    now = members_now[0]
    file = file_of(environment)
    before = (project.root / file).read_bytes().decode()
    base, current = _tree(project, _ALL), _tree(project, file)
    after = values.own({key: each for key, each in base.items() if key != LOCAL}, current, wanted.values)
    try:
        text = editing.edited(before, current, after)
        found = members(project, environment, text.encode())
    except BadValues as error:
        first = error.problems[0]
        raise BadInput(
            f"{environment} cannot hold the release {short(wanted.digest)}: {first.sentence}",
            hint=f"What belongs to {environment} alone stands under `{LOCAL}` in {file}; the release has the rest",
        ) from None
    loaded = found[0]
    made, held = release.of(project, loaded.env), release.of(project, now.env)
    assert made is not None
    assert held is not None
    if made.digest != wanted.digest:
        raise _other(environment, wanted, made)
    differences = words.between(part(now.values), part(loaded.values), (held.files, made.files))
    return Prepared(
        wanted,
        held.digest,
        before,
        text,
        now,
        loaded,
        tuple(differences),
        tuple(_stays(loaded.values, current)),
        tuple(members_now),
        tuple(found),
    )


def _tree(project: Project, file: str) -> dict[str, Any]:
    node, _ = read((project.root / file).read_bytes(), file)
    assert node is not None  # it has just been loaded
    found: dict[str, Any] = plain(node)
    return found


def _other(environment: str, wanted: Release, made: Release) -> MeshwrightError:
    if made.values == wanted.values:
        paths = [path for path in made.files.keys() | wanted.files if made.files.get(path) != wanted.files.get(path)]
        return BadInput(
            f"{min(paths)} is not as it was in the release {short(wanted.digest)}",
            hint="A release names its manifests by what is in them: check out the commit that it is from",
        )
    difference = words.between(made.values, wanted.values)
    where = next((f"{each.kind} {each.name}".strip() for each in difference), "the values")
    return Refused(
        f"{file_of(environment)} could not be made to hold the release {short(wanted.digest)}: {where} stays otherwise",
        hint=f"{_ALL} says something that cannot be taken away, or the file has anchors (&, *, <<): change it by hand",
    )


def _stays(merged: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    local = own.get(LOCAL)
    yield from (dotted(path) for path in _leaves(local, ()) if path)
    for index, entry in enumerate(own.get(CLUSTERS) or ()):
        yield from (dotted((CLUSTERS, index, LOCAL, *path)) for path in _leaves(entry.get(LOCAL), ()) if path)
    for section, key in STAYS:
        if isinstance(merged.get(section), dict) and merged[section].get(key) is not None:
            yield dotted((section, key))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    else:
        yield path
