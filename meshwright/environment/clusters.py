"""The clusters of an environment that has several: what each of them lays over the values that they share.

`clusters` in group_data/ENV.yaml is a list of mappings. The loader takes it away and lays one of them over the rest, so
that what it gives is an ordinary environment with one cluster; its name is ENV/CLUSTER.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshwright.environment.problems import Problem, dotted, listed, nearest
from meshwright.environment.tree import Node, find, merge, plain
from meshwright.errors import BadInput, Exit

__all__ = [
    "CLUSTERS",
    "DIFFERS",
    "NAME",
    "RESERVED",
    "Member",
    "Several",
    "badly_rolled_out",
    "environment_of",
    "separated",
    "twice",
    "unknown",
]

CLUSTERS = "clusters"

DIFFERS = ("hosts", "engine", "cluster", "ingress", "local")
"""The keys that may differ between the clusters of one environment."""

RESERVED = ("creating", "credentials", "kubeconfig", "runs")
"""Names that no cluster can have: in .meshwright/ENV/ there are files and folders of these names."""

NAME = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""What the name of a cluster may be: a label of RFC 1123."""

_NAME = re.compile(NAME)
_HINT = "clusters is a list of mappings, each with a name and what differs: " + listed(DIFFERS)


@dataclass(frozen=True)
class Member:
    """One cluster of an environment, as values. `over` is what it lays over them; `entry` is where it is written."""

    name: str
    over: Node
    entry: Node


class Several(BadInput):
    """An environment with several clusters was named where one is needed. `names` has theirs, as ENV/CLUSTER."""

    exit_code = Exit.USAGE

    def __init__(self, environment: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{environment} has {len(names)} clusters, and this is for one: {listed(names)}",
            hint=f"Say which, such as {names[0]}",
        )
        self.names = tuple(names)


def environment_of(name: str) -> str:
    """The environment that the cluster `name` (ENV/CLUSTER, or ENV where it has one) belongs to: what files and the
    objects in the cluster itself are named after."""
    return name.partition("/")[0]


def unknown(environment: str, wanted: str, members: Iterable[str]) -> BadInput:
    """The error for a cluster that the environment has not."""
    there = list(members)
    if not there:
        return BadInput(f"{environment} has one cluster and no names for it", hint=f"Say {environment}")
    near = nearest(wanted, there)
    full = listed([f"{environment}/{name}" for name in there], "and")
    nearest_one = f"; the nearest is {environment}/{near}" if near else ""
    return BadInput(f"{environment} has no cluster {wanted!r}; it has {full}{nearest_one}")


def separated(base: Node, over: Node) -> tuple[Node, list[Member] | None, list[Problem]]:
    """The tree of an environment's own file without `clusters`, the clusters that it lists (None: it has no such list),
    and what is wrong there. `base` is the tree of all.yaml, which can have none."""
    problems = []
    misplaced = base.content.get(CLUSTERS) if isinstance(base.content, dict) else None
    if misplaced is not None:
        sentence = "clusters are those of one environment, so they stand in that environment's file"
        problems.append(Problem(sentence, *misplaced.where, CLUSTERS, "Move them to group_data/ENV.yaml"))
    node = over.content.get(CLUSTERS) if isinstance(over.content, dict) else None
    if node is None or not isinstance(over.content, dict):
        return over, None, problems
    rest = replace(over, content={key: value for key, value in over.content.items() if key != CLUSTERS})
    if not isinstance(node.content, list) or len(node.content) < 2:
        sentence = "clusters must be a list of at least two; an environment with one cluster has its values at the top"
        return rest, [], [*problems, Problem(sentence, *node.where, CLUSTERS, _HINT)]
    members: list[Member] = []
    for index, entry in enumerate(node.content):
        found = list(_wrong(entry, index, members))
        problems += found
        # What has no name, or that of another one, cannot be loaded; other keys can be told apart from what is right.
        name = _name(entry)
        if name is not None and name not in [member.name for member in members]:
            members.append(Member(name, _over(entry), entry))
    return rest, members, problems


def _name(entry: Node) -> str | None:
    node = entry.content.get("name") if isinstance(entry.content, dict) else None
    return node.content if node is not None and isinstance(node.content, str) else None


def _over(entry: Node) -> Node:
    content = entry.content if isinstance(entry.content, dict) else {}
    return replace(entry, content={key: node for key, node in content.items() if key in DIFFERS})


def _wrong(entry: Node, index: int, before: Sequence[Member]) -> Iterator[Problem]:
    path = dotted((CLUSTERS, index))
    if not isinstance(entry.content, dict):
        yield Problem(f"{path} must be a mapping", *entry.where, path, _HINT)
        return
    name = entry.content.get("name")
    if name is None and "name" not in [nearest(key, ("name", *DIFFERS)) for key in entry.content]:
        yield Problem(f"{path}.name is missing; it must be the cluster's own name", *entry.where, f"{path}.name", _HINT)
    elif name is not None:
        yield from _bad_name(name, f"{path}.name", before)
    for key, node in entry.content.items():
        if key == "name" or key in DIFFERS:
            continue
        near = nearest(key, ("name", *DIFFERS))
        yield Problem(
            f"{path}.{key} may not differ between the clusters of an environment"
            + (f"; the nearest that may is {near}" if near else ""),
            *(node.key or node.place),
            f"{path}.{key}",
            f"What may is {listed(DIFFERS, 'and')}; what travels in a promotion differs under local",
        )


def _bad_name(name: Node, path: str, before: Sequence[Member]) -> Iterator[Problem]:
    if not isinstance(name.content, str) or not _NAME.fullmatch(name.content):
        sentence = f"{path} is {name.written or 'no text'}; it must be a name of at most 63 characters: "
        yield Problem(f"{sentence}a-z, 0-9 and -, at both ends no -", *name.where, path)
        return
    if name.content in RESERVED:
        sentence = f"{path} is {name.content}, which is a name of files of Meshwright's own; {listed(RESERVED)} are"
        yield Problem(sentence, *name.where, path, "Give the cluster another name")
    for other in before:
        if other.name == name.content:
            sentence = f"{path} is {name.content}, the same as that of the cluster at line {other.entry.place.line}"
            yield Problem(sentence, *name.where, path, "Each cluster of an environment has a name of its own")


def badly_rolled_out(tree: Node, members: Sequence[Member] | None) -> list[Problem]:
    """What is wrong with `rollout.first` in the merged values."""
    node = find(tree, ("rollout", "first"))
    if members is None:
        return []  # what all.yaml says of every environment need not concern this one
    named = [member.name for member in members or ()]
    if node is tree or not isinstance(node.content, str) or node.content in named:
        return []
    near = nearest(node.content, named)
    sentence = f"rollout.first is {node.written}, which is none of clusters{f'; the nearest is {near}' if near else ''}"
    return [Problem(sentence, *node.where, "rollout.first", "It names the cluster of this environment that is first")]


def twice(base: Node, members: Sequence[tuple[Member, Node]]) -> list[Problem]:
    """What is wrong with clusters that are the same one. `members` are clusters with their merged values (`base` with
    theirs over it), as they stand in the files; what only the clusters themselves can tell is not looked at."""
    problems = []
    seen: dict[tuple[Any, ...], str] = {}
    for member, tree in members:
        for what, key in _identities(plain(merge(base, tree))):
            other = seen.setdefault((what, *key), member.name)
            if other != member.name:
                node = find(tree, ("cluster", what))
                sentence = f"the cluster {member.name} has the {what} of {other}, so both are one cluster"
                problems.append(
                    Problem(sentence, *node.where, "cluster", "Each cluster of an environment is another one")
                )
                break
    return problems


def _identities(values: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What says which cluster is meant: a word for it, and a value that only one cluster can have."""
    cluster = values.get("cluster")
    if not isinstance(cluster, dict):
        return
    hosts = values.get("hosts")
    names = [host.get("name") if isinstance(host, dict) else host for host in hosts] if isinstance(hosts, list) else []
    through = tuple(str(name) for name in names) or ("@local",)
    if cluster.get("kind") == "existing":
        if cluster.get("uid"):
            yield "uid", (str(cluster["uid"]),)
        if cluster.get("context"):
            kubeconfig = cluster.get("kubeconfig") or "~/.kube/config"
            yield "context", (through, str(kubeconfig), str(cluster["context"]))
    elif cluster.get("kind") == "k3d" and cluster.get("name", "auto") != "auto":
        yield "name", (through, str(cluster["name"]))
