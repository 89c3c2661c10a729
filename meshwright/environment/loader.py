"""Loads an environment: its two files read, merged, typed and checked."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as File
from typing import Any

from meshwright.environment import clusters, naming, rules, secrets, travelling
from meshwright.environment.clusters import Several
from meshwright.environment.model import Environment
from meshwright.environment.problems import BadValues, Path, Problem, nearest
from meshwright.environment.reader import MAX_BYTES, read
from meshwright.environment.tree import Node, merge, plain, walk
from meshwright.environment.validation import validate
from meshwright.errors import BadInput, MeshwrightError, outcome
from meshwright.project import Project

__all__ = ["Loaded", "load", "members", "names"]


@dataclass(frozen=True)
class Loaded:
    """An environment and where its values come from.

    `sources` has the file (relative to the project folder) and line of every value that a file gives, by its path;
    what is not there is a default of the model. `values` is the merged data before defaults, as JSON data, and
    `travelling` the part of it that travels in a promotion.
    """

    env: Environment
    sources: Mapping[Path, tuple[str, int]]
    values: Mapping[str, Any]
    travelling: Mapping[str, Any] = field(default_factory=dict)


def load(project: Project, name: str, text: bytes | None = None) -> Loaded:
    """The environment `name` of `project`: group_data/all.yaml with group_data/NAME.yaml merged over it. `text` stands
    for what is in the second of these. Of an environment with several clusters it is one of them, named ENV/CLUSTER,
    with what that one lays over the rest.

    Raises BadInput: there is no such environment or cluster. BadValues, a BadInput with every problem: the files cannot
    be used. Several: it has several clusters, and `name` is not one of them.
    """
    environment, slash, member = name.partition("/")
    files = _files(project, environment if naming.allowed(environment) else name)
    base, over, listed, problems = _trees(project, files, text)
    if listed is None:
        if slash:
            raise clusters.unknown(environment, member, ())
        return _loaded(base, over, name, files, problems)
    if not slash:
        raise _bad(problems, files) if problems else Several(name, [f"{name}/{each.name}" for each in listed])
    chosen = next((each for each in listed if each.name == member), None)
    if chosen is None:
        raise _bad(problems, files) if problems else clusters.unknown(environment, member, [m.name for m in listed])
    return _loaded(base, merge(over, chosen.over), name, files, problems)


def members(project: Project, name: str, text: bytes | None = None) -> list[Loaded]:
    """The clusters of the environment `name`, in the order of its file; one for an environment that has one, and for a
    `name` that is ENV/CLUSTER. Raises what `load` does, but Several."""
    try:
        return [load(project, name, text)]
    except Several as several:
        found = [outcome(partial(load, project, each, text)) for each in several.names]
    wrong = [each for each in found if isinstance(each, MeshwrightError)]
    problems = [problem for each in wrong if isinstance(each, BadValues) for problem in each.problems]
    if wrong:
        raise _bad(problems, _files(project, name)) if problems else wrong[0]
    return [each for each in found if isinstance(each, Loaded)]


def names(project: Project) -> list[str]:
    """What can be named where one cluster is meant: the environments, and ENV/CLUSTER of each that has several. One
    whose files cannot be used is named as it is."""
    found: list[str] = []
    for environment in project.environments:
        try:
            listed = _trees(project, _files(project, environment), None)[2]
        except BadInput:
            listed = None
        found += [f"{environment}/{each.name}" for each in listed] if listed else [environment]
    return found


def _files(project: Project, environment: str) -> list[str]:
    _known(project, environment)
    return ["group_data/all.yaml", f"group_data/{environment}.yaml"]


def _trees(
    project: Project, files: list[str], text: bytes | None
) -> tuple[Node, Node, list[clusters.Member] | None, list[Problem]]:
    """The two files as trees, the second without its clusters; these; and what is wrong up to here."""
    trees, problems = [], []
    for file in files:
        tree, found = _read(project.root / file, file) if text is None or file != files[1] else read(text, file)
        trees.append(tree)
        problems += found
    base, over = trees
    if base is None or over is None:
        raise _bad(problems, files)
    rest, listed, found = clusters.separated(base, over)
    problems += found
    if listed:
        problems += clusters.twice(base, [(each, merge(rest, each.over)) for each in listed])
    problems += clusters.badly_rolled_out(merge(base, rest), listed)
    return base, rest, listed, problems


def _loaded(base: Node, over: Node, name: str, files: list[str], problems: list[Problem]) -> Loaded:
    merged, without, found = travelling.separated(base, over)
    problems = problems + found + secrets.check(merged)
    env, found = validate(merged, name)
    problems += found
    if env is not None:
        problems += rules.check(env, merged)
        if any(env.addons.on()):
            from meshwright.environment.exposing import RULES as OF_ADDONS

            problems += rules.check(env, merged, OF_ADDONS)
        if env.windows is not None:
            from meshwright.windows.rules import RULES as OF_WINDOWS

            problems += rules.check(env, merged, OF_WINDOWS)
        if env.schedule is not None:
            from meshwright.schedule.rules import RULES as OF_THE_SCHEDULE

            problems += rules.check(env, merged, OF_THE_SCHEDULE)
        if type(env) is not Environment:
            # It has objects; only then is it worth the import.
            from meshwright.environment.mesh.rules import RULES

            problems += rules.check(env, merged, RULES)
    if env is None or problems:
        raise _bad(problems, files)
    sources = _sources(merged)
    env._sources = sources
    env._travelling = travelling.part(plain(without))
    return Loaded(env, sources, plain(merged), env._travelling)


def _known(project: Project, name: str) -> None:
    there = [known for known in project.environments if (project.root / "group_data" / f"{known}.yaml").exists()]
    if name in there:
        if naming.allowed(name):
            return
        raise BadInput(f"inventory/{name}.py has a name that no environment can have; it may have {naming.NAME_RULE}")
    near = nearest(name, there)
    listed = f"there are {', '.join(there)}" if there else "there are none"
    raise BadInput(
        f"there is no environment {name!r}; {listed}{f'; the nearest is {near}' if near else ''}",
        hint=_half(project, name) or "An environment NAME is inventory/NAME.py and group_data/NAME.yaml",
    )


def _half(project: Project, name: str) -> str:
    """What is missing of an environment of which one file is there."""
    # Only a name that may be one is looked for among the files.
    if not naming.allowed(name):
        return ""
    has_hosts = (project.root / "inventory" / f"{name}.py").exists()
    has_values = (project.root / "group_data" / f"{name}.yaml").exists()
    if has_hosts and not has_values:
        return f"inventory/{name}.py is there; write group_data/{name}.yaml beside it"
    if has_values and not has_hosts:
        return f"group_data/{name}.yaml is there; write inventory/{name}.py, as the other environments have it"
    return ""


def _read(path: File, file: str) -> tuple[Node | None, list[Problem]]:
    try:
        # Looked at first, because opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            return None, [Problem(f"this is {kind}; it must be a file of values", file)]
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None, [Problem("the file is missing", file, hint="Write {} into it where there is nothing to say")]
    except OSError as error:
        return None, [Problem(f"the file cannot be read: {error.strerror or error}", file)]
    return read(data, file)


def _bad(problems: list[Problem], files: list[str]) -> BadValues:
    """In the order in which the files are read, and one problem for one value: the first that was found."""
    unique = {(p.file, p.line, p.column, p.path): p for p in reversed(problems)}
    return BadValues(sorted(unique.values(), key=lambda p: (files.index(p.file), p.line, p.column, p.path)))


def _sources(tree: Node) -> dict[Path, tuple[str, int]]:
    sources: dict[Path, tuple[str, int]] = {}
    for path, node in walk(tree):
        if not path:
            continue
        place = node.where.file, node.where.line
        sources[path] = place
        if len(path) == 2 and path[0] == "hosts" and isinstance(node.content, str):
            # A host given by its name alone stands for a mapping with that name.
            sources[(*path, "name")] = place
    return sources
