"""The environment's own objects: its manifests, applied and, when they are no longer wanted, pruned."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshwright import applyset, callers, cluster, crds, istio, manifests, objects, prerequisites, rendering, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Refused
from meshwright.kube import ApiError, Session, wait
from meshwright.plan import Action, Change, Compared, Plan, digest
from meshwright.rendering.hosts import cluster_domain
from meshwright.step import Step
from meshwright.target import Target

if TYPE_CHECKING:
    from meshwright.taken import Before

__all__ = ["Written", "apply", "apply_all", "emptied", "planned", "read", "set_name", "unbuilt", "wanted", "write"]

_CRD = "CustomResourceDefinition"


@dataclass(frozen=True)
class Written:
    """What a run has applied and deleted, and what the proxies had `before`."""

    session: Session
    applied: Sequence[objects.Object]
    gone: Sequence[objects.Object]
    before: Before


def set_name(env: Environment, component: str = "resources") -> str:
    """The name of the ApplySet of a component of the environment."""
    return f"{component}-{env.environment}"


def wanted(
    target: Target, env: Environment, *, without: Collection[str] = (), unread: list[str] | None = None
) -> list[manifests.Manifest]:
    """The objects that the environment wants, with their places: what its values say, and what its manifests do but
    for those of the paths in `without`. `unread` and what is raised: `rendering.rendered`."""
    return manifests.unique([*rendering.rendered(target.project, env, unread), *read(target, env, without=without)])


def read(target: Target, env: Environment, *, without: Collection[str] = ()) -> list[manifests.Manifest]:
    """The objects of the environment's manifests but for those of the paths in `without`; read once for all steps of a
    run, until something was changed. Raises what `manifests.read` raises."""
    paths = [path for path in env.resources.manifests if path not in without]
    return target.shared.get(
        ("manifests", env.name, tuple(paths)),
        lambda: manifests.read(target.project.root, paths, _kubectl(target, env) or "kubectl"),
    )


def unbuilt(target: Target, env: Environment) -> list[str]:
    """The kustomize folders among the environment's manifests that cannot be built before the step `tools` has
    installed kubectl."""
    built = manifests.kustomized(target.project.root, env.resources.manifests)
    return built if built and target.local and _kubectl(target, env) is None else []


def _kubectl(target: Target, env: Environment) -> str | None:
    # Of another host it is no use here, where the files are.
    return tools.installed(target, env, "kubectl") if target.local else shutil.which("kubectl")


def _plan(target: Target, env: Environment) -> Plan:
    root, paths = target.project.root, env.resources.manifests
    waiting = unbuilt(target, env)
    found = wanted(target, env, without=waiting)
    # Before kubectl is there, only its sources can be bound by an approval.
    desired = digest([[m.obj for m in found if not m.built], manifests.sources(root, paths)])
    if waiting:
        return Plan("resources", desired, after="tools")
    session = cluster.session(target, env)
    if session is None:
        return Plan("resources", desired, after="cluster" if found else "")
    empty, adopt = env.resources.allow_empty, target.shared.options.adopt
    # What was approved has been tried out when it was shown.
    new = target.shared.options.approved is None
    return planned(session, env, found, desired, allow_empty=empty, adopt=adopt, try_new=new)


def planned(
    session: Session,
    env: Environment,
    found: Sequence[manifests.Manifest],
    desired: str,
    *,
    leave: Sequence[objects.Object] = (),
    allow_empty: bool = False,
    adopt: Collection[str] = (),
    try_new: bool = True,
    component: str = "resources",
) -> Plan:
    """The plan that makes the cluster have exactly the objects of `found`, of those that the environment keeps as
    this `component`.

    `desired` is the digest of the desired state. Members in `leave` are neither compared nor deleted. Objects named in
    `adopt` are taken over from other managers. With `try_new`, new ones are tried out by a dry run. Raises BadInput,
    naming an object's place, and Refused, as `objects.compare` and `applyset.pruned` do.
    """
    if waits_for := prerequisites.unknown(session, found):
        return Plan(component, desired, after=waits_for)
    name = set_name(env, component)
    left = crds.newer_there(session, found)
    found = [m for m in found if m.obj["kind"] != _CRD or m.obj["metadata"]["name"] not in left]
    objs = [applyset.member(prerequisites.scoped(session, manifest.obj), name) for manifest in found]
    members = [*objs, *leave]
    places = {objects.key(obj): manifest.place for obj, manifest in zip(objs, found, strict=True)}
    compared = objects.compare(session, objs, adopt=adopt, places=places, try_new=try_new)
    if waits_for := prerequisites.homeless(session, env, found, compared.changes):
        return Plan(component, desired, after=waits_for)
    changes, told = _credentials(env, found, compared)
    changes = applyset.unshared(session, changes)
    parent = applyset.kept(session, name)
    further = applyset.pruned(session, name, parent, members, allow_empty=allow_empty, lists=compared.lists)
    if not compared.changes and not further:
        further = applyset.put_right(parent, name, members)
    return Plan(
        component,
        desired,
        (*changes, *further),
        checked=len(objs) + len(further),
        notes=(*left.values(), *told, *_missed(session, env, objs, compared, further), *compared.notes),
        seen=compared.seen,
        objects=tuple(members),
    )


def _missed(
    session: Session, env: Environment, objs: Sequence[objects.Object], compared: Compared, further: Sequence[Change]
) -> list[str]:
    """Who of others names what this plan takes away, and who has called what it is taken from."""
    keys = [objects.key(change.payload) for change in compared.changes if change.action is Action.CHANGE]
    gone = [change.payload for change in further if change.action is Action.DESTROY]
    before = [*(compared.live[key] for key in keys if key in compared.live), *gone]
    if not before:
        return []
    from meshwright.addons import calling  # asking addons takes a while to import

    return [*callers.noted(session, before, objs, cluster_domain(env)), *calling.noted(session, env, before, objs)]


def _credentials(
    env: Environment, found: Sequence[manifests.Manifest], compared: Compared
) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes with the dates of certificates, and what is to be said of credentials."""
    if not any(manifest.obj["kind"] in ("Secret", "Certificate") for manifest in found):
        return compared.changes, ()
    from meshwright import renewals  # certificates take a while to import

    changes = [renewals.said(change, compared.live) for change in compared.changes]
    now = dt.datetime.now(dt.UTC)
    return changes, tuple(renewals.sentences(env, found, compared.live, now))


def emptied(session: Session, env: Environment, made: Plan, component: str) -> list[Change]:
    """The list of what the component keeps, once nothing is kept any more: it would be left."""
    parent = None if made.objects else applyset.kept(session, set_name(env, component))
    if parent is None:
        return []
    title, why = objects.title(parent), "the list of what is kept here"
    return [Change(Action.DESTROY, "ConfigMap", title, why=why, payload=parent)]


def apply(target: Target, env: Environment, plan: Plan) -> None:
    """Does what a plan of `planned` says, and waits until what was written is rolled out.

    Raises Refused: an object is another one than the plan has looked at. Unverified: one does not become ready, or the
    proxies have not taken it.
    """
    # It takes a while to import, which only those pay who write.
    from meshwright import taken

    done = write(target, env, plan)
    wait.ready(done.session, wait.refs(done.applied), timeout=env.istio.timeout, say=target.say)
    taken.wait(target, env, done.session, done.applied, done.gone, done.before)


def write(target: Target, env: Environment, plan: Plan, *, component: str = "resources") -> Written:
    """Does what a plan of `planned` says. Raises Refused: an object is another one than the plan has looked at."""
    from meshwright import taken

    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError(f"there is no cluster to apply {component} to")
    name, members = set_name(env, component), plan.objects or ()
    adopt, pace = target.shared.options.adopt, env.resources.pace
    changes = [change for change in plan.changes if change.action is not Action.DESTROY]
    crds = [change for change in changes if change.kind == _CRD]
    rest = [change for change in changes if change.kind not in ("Namespace", _CRD)]
    if any(_of_istio(change) for change in rest):
        istio.wait_for_webhooks(session, env.istio.timeout)
    written = list(members) if plan.unfinished else [change.payload for change in rest]
    gone = [change.payload for change in plan.changes if change.action is Action.DESTROY]
    before = taken.look(session, env, [*written, *gone])
    if plan.unfinished:
        # What proxies refuse now may be what that apply has written.
        before = replace(before, refused={}, made={}, unknown="an earlier apply was not finished")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": applyset.NAMESPACE}}
    session.apply(namespace)
    # First the set that covers both what is and what is to be: a run that is killed now forgets nothing.
    session.apply(applyset.parent(name, members, also=applyset.kept(session, name)))
    objects.apply(session, [change for change in changes if change.kind == "Namespace"], adopt=adopt)
    if crds:
        objects.apply(session, crds, adopt=adopt, pace=pace)
        wait.ready(session, wait.refs(change.payload for change in crds), timeout=60, say=target.say)
        session.forget_kinds()
    objects.apply(session, rest, adopt=adopt, pace=pace)
    list_ = f"{applyset.NAMESPACE}/{name}"
    ends = [change for change in plan.changes if change.action is Action.DESTROY and change.name == list_]
    _delete_all(session, [change for change in plan.changes if change not in ends], pace)
    if not ends:
        session.apply(applyset.parent(name, members))
    for change in ends:
        session.delete("v1", "ConfigMap", name, applyset.NAMESPACE, uid=change.payload["metadata"]["uid"])
    return Written(session, written, gone, before)


def _of_istio(change: Change) -> bool:
    """Whether istiod's webhook is asked about it."""
    return str(change.payload["apiVersion"]).partition("/")[0].endswith(".istio.io")


def _delete_all(session: Session, changes: Sequence[Change], pace: float | None) -> None:
    beat = objects.Beat(pace)
    for change in changes:
        if change.action is Action.DESTROY:
            beat.wait()
            _delete(session, change.payload)


def _delete(session: Session, obj: objects.Object) -> None:
    metadata = obj["metadata"]
    try:
        session.delete(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"), uid=metadata["uid"])
    except ApiError as error:
        if error.reason != "Conflict":
            raise
        raise Refused(
            f"{obj['kind']} {objects.title(obj)} was made anew by somebody else since its plan was made",
            hint="Look at the new plan",
        ) from None


apply_all = Step("resources", _plan, apply, compare=objects.back)
"""Applies the environment's manifests and prunes what is no longer in them."""
