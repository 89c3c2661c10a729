"""Changing the root of a mesh that is made of several clusters, and taking that back: one run, one plan, all of them.

What is done in each cluster is what `transition` does in one. Here is what holds it together: who belongs to the mesh,
that all begin and end with the same root, and the order, which `barrier` has. The step of the environment's first
cluster of a mesh does the work; that of every other one has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from meshwright.certs import asked, backup, barrier, joining, members, phase, standby
from meshwright.certs import transition as alone
from meshwright.certs.barrier import Stand
from meshwright.certs.contents import Step as At
from meshwright.certs.members import Cluster, Mesh
from meshwright.certs.moving import STEPS, Mover
from meshwright.certs.phase import Intention
from meshwright.certs.standby import Standby
from meshwright.certs.trust import Report
from meshwright.environment import Environment
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.plan import Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["rollback", "transition"]

Plans = Sequence[tuple[Cluster, Plan]]


def _planned(step: Step, many: Callable[[Mesh, Target], Plan]) -> Callable[[Target, Environment], Plan]:
    """The plan of `step`, of `many` where the cluster is one of a mesh of several."""

    def plan(target: Target, env: Environment) -> Plan:
        mesh = members.of(target, env)
        if mesh is None:
            return step.plan(target, env)
        if not mesh.several:
            return joining.guarded(step.plan(target, env), members.strangers(mesh))
        first = mesh.clusters[0]
        if first.name == env.name:
            return many(mesh, target)
        note = f"its root is changed with that of {first.name}, which is in the same mesh"
        return Plan(step.name, digest([step.name, first.name]), checked=1, notes=(note,))

    return plan


def _ahead(mesh: Mesh, target: Target) -> Plan:
    to, meant = target.shared.options.to, _meant(mesh)
    joining.one_change(mesh, meant, to)
    joining.choose(mesh, target.shared.options)
    plans = [(each, alone.transition.plan(each.target, each.env)) for each in mesh.clusters]
    found = joining.plan(alone.transition.name, plans, barrier.FORWARD)
    return joining.guarded(found, [*joining.findings(mesh, meant, to), *members.strangers(mesh)])


def _back(mesh: Mesh, target: Target) -> Plan:
    meant = _meant(mesh)
    joining.choose(mesh, target.shared.options)
    begun = [each for each in mesh.clusters if each.name in meant] or [mesh.clusters[0]]
    plans = [(each, alone.rollback.plan(each.target, each.env)) for each in begun]
    return joining.plan(alone.rollback.name, plans, barrier.BACK)


def _meant(mesh: Mesh) -> dict[str, Intention]:
    """What each cluster says of a change that was begun there."""
    found = {each.name: phase.intention(each.session, each.env.istio.namespace) for each in mesh.clusters}
    return {name: meant for name, meant in found.items() if meant is not None}


def _go(target: Target, env: Environment, plan: Plan) -> None:
    mesh = _still(target, env, plan)
    if mesh is None:
        alone.transition.apply(target, env, plan)
        return
    plans: Plans = plan.payload
    to = target.shared.options.to
    if joining.each_alone(plans, to):
        for each, own in plans:
            with _told(each):
                alone.transition.apply(each.target, each.env, own)
        return
    _begin(plans)
    barrier.conduct(_driven(mesh), barrier.FORWARD)
    target.say(f"the old keys wait in Secrets {phase.STANDBY} until `--to {asked.FORGET}`")


def _still(target: Target, env: Environment, plan: Plan) -> Mesh | None:
    """The mesh of several clusters that the plan is for; None where it is for one alone. Raises Refused: who belongs
    together has changed since it was made."""
    mesh = members.of(target, env)
    planned = [each.name for each, _ in plan.payload] if isinstance(plan.payload, tuple) else []
    there = [each.name for each in mesh.clusters] if mesh is not None and mesh.several else []
    if bool(planned) != bool(there) or not set(planned) <= set(there):
        raise Refused(
            f"the clusters that are one mesh with {env.name} are others than when the plan was made",
            hint="Look at the new plan: somebody has written or deleted a remote secret meanwhile",
        )
    return mesh if there else None


def _begin(plans: Plans) -> None:
    """Keeps both CAs in every cluster before the CA Secret of any is written; made and judged in all of them first."""
    new: dict[str, Standby] = {}
    for each, own in plans:
        to, namespace = each.target.shared.options.to, each.env.istio.namespace
        # Where nothing is to be done, the change has ended before.
        if to and own.changes and standby.read(each.session, namespace) is None:
            with _told(each):
                new[each.name] = alone.made(each.target, each.env, each.session, to)
    joining.same_roots(new)
    for each, own in plans:
        if each.name not in new:
            continue
        with _told(each):
            if any(change.kind == backup.KIND for change in own.changes):
                path = backup.make(each.target.project, each.env, each.session, asked.now())
                each.target.say(f"the CA is backed up in {path}")
            standby.keep(each.session, new[each.name], each.env.istio.namespace)


def _go_back(target: Target, env: Environment, plan: Plan) -> None:
    mesh = _still(target, env, plan)
    if mesh is None:
        alone.rollback.apply(target, env, plan)
        return
    parts = _driven(mesh)
    barrier.conduct(parts, barrier.BACK)
    for part in parts:
        if isinstance(part, _Driven):
            with _told(part.cluster):
                assert part.report is not None
                alone.leave(part.mover, part.report)


@dataclass
class _Driven:
    """A cluster whose change is under way."""

    cluster: Cluster
    mover: Mover
    report: Report | None = None

    @property
    def name(self) -> str:
        return self.cluster.name

    def look(self) -> Stand:
        with _told(self.cluster):
            self.report, at = self.mover.look()
            if at.phase not in STEPS:
                hint = "`meshwright certs verify` says more"
                raise Refused(f"it cannot be said where the mesh stands: {at.why}", hint=hint)
            return Stand(STEPS[at.phase], at.stable)

    def settle(self, step: At) -> None:
        with _told(self.cluster):
            assert self.report is not None
            self.mover.settle(self.report, step)

    def move(self, step: At) -> None:
        with _told(self.cluster):
            assert self.report is not None
            self.mover.move(self.report, step)


@dataclass
class _Still:
    """A cluster without a change of its own, because it has ended there, or never began: it stays where it is."""

    cluster: Cluster
    meant: Intention

    @property
    def name(self) -> str:
        return self.cluster.name

    def look(self) -> Stand:
        with _told(self.cluster):
            at = joining.standing(self.cluster, self.meant)
            if at.phase not in STEPS:
                raise Refused(f"it cannot be said where the mesh stands: {at.why}")
            return Stand(STEPS[at.phase], at.stable)

    def settle(self, step: At) -> None:
        with _told(self.cluster):
            if not self.look().stable:
                raise Refused(f"not everything has followed {step}", hint="`meshwright certs verify` names what lags")

    def move(self, step: At) -> None:
        with _told(self.cluster):
            text = f"it has no Secret {phase.STANDBY}, so it cannot go to {step}"
            raise Refused(text, hint="Say --to again to begin there too; a key that was let go of is in a backup alone")


Part = _Driven | _Still


def _driven(mesh: Mesh) -> list[Part]:
    meant = _meant(mesh)
    if not meant:
        raise Refused("the standby Secrets are gone: somebody else has ended this change")
    joining.one_change(mesh, meant)
    any_ = next(iter(meant.values()))
    parts: list[Part] = []
    for each in mesh.clusters:
        with _told(each):
            if each.name in meant:
                parts.append(_Driven(each, alone.mover(each.target, each.env, each.session)))
            else:
                parts.append(_Still(each, any_))
    return parts


@contextmanager
def _told(each: Cluster) -> Iterator[None]:
    """Errors of one cluster say which, and that the others wait for it."""
    try:
        yield
    except MeshwrightError as error:
        if error.message.startswith(f"{each.name}: "):
            raise
        error.message = f"{each.name}: {error.message}"
        # The others are in order, and stay where they are.
        if error.exit_code in (Exit.ERROR, Exit.UNVERIFIED):
            error.exit_code = Exit.PARTIAL
        raise


def _reach(target: Target, env: Environment) -> list[tuple[Target, Environment]]:
    mesh = members.of(target, env)
    if mesh is None or not mesh.several:
        return []
    return [(each.target, each.env) for each in mesh.clusters]


transition = Step(alone.transition.name, _planned(alone.transition, _ahead), _go, pauses=True, reach=_reach)
"""Changes the root of a mesh in all of its clusters, phase by phase; goes on with a change that is under way."""

rollback = Step(alone.rollback.name, _planned(alone.rollback, _back), _go_back, safe=True, reach=_reach)
"""Takes a change of the root back in all clusters of a mesh, from any phase."""
