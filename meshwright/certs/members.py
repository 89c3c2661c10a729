"""The clusters that one mesh is made of, as far as the environment lists them.

A root belongs to a mesh, not to a cluster: clusters whose istiods know each other by remote secrets trust each other's
workloads. Clusters of one environment without such secrets between them are meshes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from meshwright import cluster
from meshwright.certs import remote
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import setting
from meshwright.certs.remote import Known, Remote
from meshwright.check import State
from meshwright.environment import Environment, members
from meshwright.environment.hosts import inventory_names
from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import Session
from meshwright.target import Local, Target

__all__ = ["Cluster", "Mesh", "of", "strangers"]

_MESH = "mesh of"


@dataclass(frozen=True)
class Cluster:
    """One cluster of the mesh: its environment's name (ENV/CLUSTER), what leads to it, and whom its remote secrets lead
    to (None: these may not be listed, in an environment of one cluster)."""

    target: Target
    env: Environment
    session: Session
    remotes: tuple[Remote, ...] | None

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.env.name

    @property
    def short(self) -> str:
        """Its name within the environment; also that of its folder of CA files."""
        return self.env.name.rpartition("/")[2]


@dataclass(frozen=True)
class Mesh:
    """The clusters of one mesh in the order of the environment, and the remote secrets that lead to none of them, with
    the cluster that has each."""

    clusters: tuple[Cluster, ...]
    strangers: tuple[tuple[Cluster, Remote], ...] = ()

    @property
    def several(self) -> bool:
        """Whether its clusters change their root together."""
        return len(self.clusters) > 1


def of(target: Target, env: Environment) -> Mesh | None:
    """The mesh that the environment's cluster is in; None where that cluster is provably not there yet.

    Of an environment with several clusters all are asked which others they know, each through a connection of its own,
    which ends with `target`. Raises Unreachable, Forbidden, Refused: one of them gives no answer, so it cannot be said
    who belongs to the mesh.
    """
    if env.name == env.environment:
        session = cluster.session(target, env)
        if session is None:
            return None
        try:
            own = Cluster(target, env, session, _remotes(session, env))
        except Forbidden:
            return Mesh((Cluster(target, env, session, None),))
        return Mesh((own,), tuple((own, each) for each in own.remotes or ()))
    there = list(_opened(target, env))
    known = {each.name: _known(each) for each in there}
    led = {each.name: [(r, remote.owner(r, list(known.values()))) for r in each.remotes or ()] for each in there}
    names = _joined(env.name, {name: [to.name for _, to in found if to] for name, found in led.items()})
    clusters = tuple(each for each in there if each.name in names)
    strange = tuple((each, r) for each in clusters for r, to in led[each.name] if to is None)
    return Mesh(clusters, strange) if env.name in known else None


def _opened(target: Target, env: Environment) -> Iterator[Cluster]:
    for loaded in members(target.project, env.environment):
        other = target.shared.get((_MESH, loaded.env.name), partial(_connected, target, loaded.env), _close)
        other.shared.look_again()
        try:
            session = cluster.session(other, loaded.env)
            if session is not None:
                yield Cluster(other, loaded.env, session, _remotes(session, loaded.env))
        except Unreachable as error:
            raise Unreachable(
                f"{loaded.env.name} gives no answer, so it is not known who else is in its mesh: {error.message}",
                hint=error.hint or "All clusters of a mesh change their root together: bring it back first",
            ) from None


def _connected(target: Target, env: Environment) -> Target:
    """A target of its own for each cluster: what is shared on one is about one cluster."""
    host, name = env.hosts[0], inventory_names(env.name, env.hosts)[0]
    made: Target
    if host.name == "@local":
        made = Local(target.project, name=name)
    else:
        from meshwright.ssh import connect

        made = connect(host, target.project, name)
    short = env.name.rpartition("/")[2]
    made.say = lambda sentence: target.say(f"{short}: {sentence}")
    # The window is that of the run, and known only when it begins.
    made.shared.safe_point = lambda where: target.shared.safe_point(f"{short}, {where}")
    return made


def _close(target: Target) -> None:
    target.close()


def _remotes(session: Session, env: Environment) -> tuple[Remote, ...]:
    try:
        return tuple(remote.read(session, env.istio.namespace))
    except Forbidden as error:
        raise Forbidden(
            f"{env.name} may not be asked for its remote secrets, so it is not known who is in its mesh: "
            f"{error.message}",
            hint=f"`meshwright access {env.name} --role certs` prints the role that may list them",
        ) from None


def _known(each: Cluster) -> Known:
    deployments = each.session.list("apps/v1", "Deployment", each.env.istio.namespace, labels="app=istiod")
    ids = {setting(deployment["spec"]["template"], "CLUSTER_ID") for deployment in deployments}
    return remote.known(each.name, each.session, ids - {""})


def _joined(name: str, leads: Mapping[str, Sequence[str]]) -> set[str]:
    """Everybody who can be reached from `name`, whichever way round a secret leads."""
    found, ahead = set(), [name]
    while ahead:
        at = ahead.pop()
        if at not in found:
            found.add(at)
            ahead += [*leads.get(at, ()), *(other for other, to in leads.items() if at in to)]
    return found


def strangers(found: Mesh) -> list[Finding]:
    """What keeps a change of the root from going on: clusters of the mesh that the environment does not list."""
    findings = []
    for each, to in found.strangers:
        text = f"{each.name} knows a cluster that the environment does not list: {to}"
        hint = "All clusters of a mesh change their root together: list it under `clusters`, or delete that Secret"
        findings.append(Finding(State.FAILED, "other clusters", text, hint))
    for each in found.clusters:
        if each.remotes is None:
            text = f"{each.name} may not be asked whether the mesh has other clusters; if it has, list them all"
            findings.append(Finding(State.WARNING, "other clusters", text))
    return findings
