"""The steps `cronjobs` and `cronjobs-remove`: the CronJobs of a schedule by Kubernetes, as they should be and are.

They are members of an ApplySet like all else, so what is no longer wanted is pruned: a job, or all of them when
something else runs the jobs now.
"""

from __future__ import annotations

from dataclasses import replace

from meshwright import cluster, manifests, resources
from meshwright.environment import Environment
from meshwright.environment.hosts import inventory_names
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.plan import Action, Plan, digest
from meshwright.schedule import cronjobs, jobs
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["ensure", "here", "remove"]

_COMPONENT = "cronjobs"
_PLACE = "schedule"


def here(env: Environment) -> bool:
    """Whether CronJobs are what runs the environment's jobs."""
    return env.schedule is not None and env.schedule.by == "kubernetes"


def _plan(target: Target, env: Environment) -> Plan:
    return _planned(target, env, _COMPONENT, wanted=here(env))


def _plan_removal(target: Target, env: Environment) -> Plan:
    return _planned(target, env, f"{_COMPONENT}-remove", wanted=False)


def _planned(target: Target, env: Environment, step: str, *, wanted: bool) -> Plan:
    if target.name not in (inventory_names(env.name, env.hosts)[0], "@local"):
        return Plan(step, digest([]))  # once is enough
    try:
        session = cluster.session(target, env)
    except (Unreachable, Forbidden) as error:
        if wanted or step != _COMPONENT:
            raise
        # What another kind of timer needs is on this machine.
        note = f"not verified: whether CronJobs of it are left in the cluster: {error.message}"
        return Plan(step, digest([]), notes=(note,))
    if session is None:
        return Plan(step, digest([]), after="cluster" if wanted else "")
    found = []
    if wanted:
        objects = [each.obj for each in resources.wanted(target, env, unread=[])]
        uid = session.identity().uid
        made = cronjobs.objects(target.project, env, jobs.wanted(env), uid, objects)
        found = [manifests.Manifest(obj, f"{_PLACE} of {env.name}") for obj in made]
    desired = digest([manifest.obj for manifest in found])
    adopt, new = target.shared.options.adopt, target.shared.options.approved is None
    plan = resources.planned(
        session, env, found, desired, allow_empty=True, adopt=adopt, try_new=new, component=_COMPONENT
    )
    if plan.after:
        raise MeshwrightError(
            f"{env.name} has not all of its {plan.after} yet, in which accounts of jobs have rights",
            hint=f"`meshwright apply {env.name}` first",
        )
    changes = (*plan.changes, *resources.emptied(session, env, plan, _COMPONENT))
    return replace(plan, step=step, changes=changes, checked=plan.checked + len(changes) - len(plan.changes))


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    if plan.changes:
        resources.write(target, env, plan, component=_COMPONENT)
        gone = sum(change.action is Action.DESTROY for change in plan.changes)
        target.say(f"{len(plan.changes) - gone} objects of the schedule written, {gone} removed")


# No window refuses these: they look after Meshwright's own namespace, and the environment stays as it is.
ensure = Step(_COMPONENT, _plan, _apply, safe=True)
remove = Step(f"{_COMPONENT}-remove", _plan_removal, _apply, safe=True)
