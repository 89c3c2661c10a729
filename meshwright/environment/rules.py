"""What must hold between values: one table of rules, each with its sentence.

The model says what one value may be; a rule looks at several. group_data/README.md lists the sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from meshwright.environment.model import Environment, ExistingCluster, K3dCluster
from meshwright.environment.problems import Path, Problem, dotted
from meshwright.environment.tree import Node, find

__all__ = ["RULES", "Broken", "Rule", "check"]


@dataclass(frozen=True)
class Broken:
    """How a rule is broken: a sentence about the value at `path`, which ends with the name of the value at `other`
    where it clashes with one."""

    path: Path
    sentence: str
    other: Path | None = None


@dataclass(frozen=True)
class Rule:
    """`says` is the rule as a sentence for people; `broken(env)` gives every way in which it does not hold."""

    says: str
    broken: Callable[[Environment], Iterable[Broken]]


def check(env: Environment, tree: Node, rules: Iterable[Rule] | None = None) -> list[Problem]:
    """Every one of `rules` (`RULES` where absent) that `env` breaks, at the values in `tree` that break it. The hint is
    the rule's own sentence."""
    return [_problem(broken, rule, tree) for rule in (RULES if rules is None else rules) for broken in rule.broken(env)]


def _problem(broken: Broken, rule: Rule, tree: Node) -> Problem:
    sentence = broken.sentence
    if broken.other is not None:
        other = find(tree, broken.other).where
        sentence += f" {dotted(broken.other)} ({other.file}:{other.line})"
    return Problem(sentence, *find(tree, broken.path).where, dotted(broken.path), rule.says)


def _twice(items: Iterable[tuple[Path, Hashable]]) -> Iterator[Broken]:
    """`items` are paths with their values; None is no value."""
    first: dict[Hashable, Path] = {}
    for path, value in items:
        if value is None:
            continue
        if value in first:
            yield Broken(path, f"{dotted(path)} is {value}, the same as", first[value])
        else:
            first[value] = path


def _of_ports(env: Environment, key: str) -> Iterator[tuple[Path, Hashable]]:
    for index, port in enumerate(env.ingress.ports):
        yield ("ingress", "ports", index, key), getattr(port, key)


def _hosts(env: Environment) -> Iterator[Broken]:
    return _twice(((("hosts", index), host.name) for index, host in enumerate(env.hosts)))


def _local_host(env: Environment) -> Iterator[Broken]:
    for index, host in enumerate(env.hosts):
        for key in type(host).model_fields:
            if host.name == "@local" and key.startswith("ssh_") and getattr(host, key) is not None:
                path: Path = ("hosts", index, key)
                yield Broken(path, f"{dotted(path)} is given for @local, which is not reached by SSH")


def _one_host(env: Environment) -> Iterator[Broken]:
    if isinstance(env.cluster, K3dCluster) and len(env.hosts) > 1:
        sentence = f"hosts has {len(env.hosts)} hosts, which does not go with k3d in"
        yield Broken(("hosts",), sentence, ("cluster", "kind"))


def _protected(env: Environment) -> Iterator[Broken]:
    if env.protected and isinstance(env.cluster, K3dCluster):
        yield Broken(("protected",), "protected is true, which does not go with k3d in", ("cluster", "kind"))


def _image(env: Environment) -> Iterator[Broken]:
    if isinstance(env.cluster, K3dCluster) and env.cluster.image.endswith(":latest"):
        yield Broken(("cluster", "image"), f"cluster.image is {env.cluster.image}, which changes by itself")


def _labels(env: Environment) -> Iterator[Broken]:
    for name, namespace in env.namespaces.items():
        for label, key in (("istio-injection", "injection"), ("istio.io/rev", "revision")):
            if label in namespace.labels:
                path: Path = ("namespaces", name, "labels", label)
                yield Broken(path, f"{dotted(path)} is what namespaces.{name}.{key} is for")


def _injection(env: Environment) -> Iterator[Broken]:
    for name, namespace in env.namespaces.items():
        if namespace.injection is not None and namespace.revision is not None:
            path: Path = ("namespaces", name, "revision")
            yield Broken(path, f"{dotted(path)} is given beside", ("namespaces", name, "injection"))


def _published(env: Environment) -> Iterator[Broken]:
    for index, port in enumerate(env.ingress.ports):
        path: Path = ("ingress", "ports", index, "publish")
        if port.publish is None:
            continue
        if isinstance(env.cluster, ExistingCluster):
            sentence = f"{dotted(path)} is given, which does not go with existing in"
            yield Broken(path, sentence, ("cluster", "kind"))
        elif port.node_port is None:
            yield Broken(path, f"{dotted(path)} is given without a node_port beside it")


def _host_ports(env: Environment) -> Iterator[tuple[Path, Hashable]]:
    if isinstance(env.cluster, K3dCluster):
        yield ("cluster", "api_port"), env.cluster.api_port if env.cluster.api_port != "auto" else None
    for path, value in _of_ports(env, "publish"):
        yield path, value if value != "auto" else None


def _sample(env: Environment) -> Iterator[Broken]:
    name = env.bookinfo.namespace
    if env.bookinfo.enabled and name not in env.namespaces:
        yield Broken(("bookinfo", "namespace"), f"bookinfo.namespace is {name}, which is not in namespaces")


def _thresholds(env: Environment) -> Iterator[Broken]:
    for key in type(env.certs).model_fields:
        if key.endswith("_fail"):
            warn = key.removesuffix("fail") + "warn"
            fails, warns = getattr(env.certs, key), getattr(env.certs, warn)
            if fails > warns:
                path: Path = ("certs", key)
                yield Broken(path, f"certs.{key} is {fails}, more than the {warns} of", ("certs", warn))


RULES = (
    Rule("Each host is in hosts once", _hosts),
    Rule("The keys ssh_* are for hosts behind SSH, not for @local", _local_host),
    Rule("A cluster of kind k3d lives on one host, so hosts has one", _one_host),
    Rule("Only an existing cluster can be protected: one of kind k3d may be recreated and destroyed", _protected),
    Rule("A node image has a tag that never moves, so never latest", _image),
    Rule("The labels istio-injection and istio.io/rev are written as injection and revision", _labels),
    Rule("A namespace has injection or revision, not both: istio-injection wins over istio.io/rev", _injection),
    Rule("Each port of the gateway has a name of its own", lambda env: _twice(_of_ports(env, "name"))),
    Rule("Each port of the gateway has a number of its own", lambda env: _twice(_of_ports(env, "port"))),
    Rule("Each node_port is used once", lambda env: _twice(_of_ports(env, "node_port"))),
    Rule("publish needs a cluster of kind k3d, and the node_port that it publishes", _published),
    Rule("Each port of the host is used once", lambda env: _twice(_host_ports(env))),
    Rule("The namespace of Bookinfo is one of namespaces while bookinfo.enabled is true", _sample),
    Rule("Below a threshold that fails there is none that warns: certs.*_fail is at most certs.*_warn", _thresholds),
)
