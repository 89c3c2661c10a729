"""The environment's own objects: its manifests, applied and, when they are no longer wanted, pruned."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from meshwright import applyset, cluster, manifests, objects, tools
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError, Refused
from meshwright.kube import ApiError, Session, wait
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["apply_all", "set_name", "wanted"]

_CRD = "CustomResourceDefinition"
# More namespaces than that are listed: one question instead of one each, which needs a right for all of them.
_FEW = 8
_OF_ISTIO = ("networking.istio.io/v1", "VirtualService")


def set_name(env: Environment) -> str:
    """The name of the environment's ApplySet."""
    return f"resources-{env.name}"


def wanted(target: Target, env: Environment) -> list[manifests.Manifest]:
    """The objects that the environment wants, with their places. Raises BadInput."""
    return manifests.read(target.project.root, env.resources.manifests, _kubectl(target, env) or "kubectl")


def _kubectl(target: Target, env: Environment) -> str | None:
    # Of another host it is no use here, where the files are.
    return tools.installed(target, env, "kubectl") if target.local else shutil.which("kubectl")


def _plan(target: Target, env: Environment) -> Plan:
    root, paths = target.project.root, env.resources.manifests
    built = manifests.kustomized(root, paths)
    buildable = not built or not target.local or _kubectl(target, env) is not None
    found = wanted(target, env) if buildable else manifests.read(root, [p for p in paths if p not in built], "")
    # Before kubectl is there, only its sources can be bound by an approval.
    desired = digest([[m.obj for m in found if not m.built], manifests.sources(root, paths)])
    if not buildable:
        return Plan("resources", desired, after="tools")
    session = cluster.session(target, env)
    if session is None:
        return Plan("resources", desired, after="cluster" if found else "")
    if waits_for := _unknown(session, found):
        return Plan("resources", desired, after=waits_for)
    name = set_name(env)
    objs = [applyset.member(_scoped(session, manifest.obj), name) for manifest in found]
    compared = objects.compare(session, objs)
    if waits_for := _homeless(session, env, found, compared.changes):
        return Plan("resources", desired, after=waits_for)
    applyset.unshared(session, compared.changes)
    parent = applyset.kept(session, name)
    further = applyset.pruned(session, name, parent, objs, allow_empty=env.resources.allow_empty)
    if not compared.changes and not further:
        further = applyset.put_right(parent, name, objs)
    changes = (*compared.changes, *further)
    return Plan(
        "resources",
        desired,
        changes,
        checked=len(objs) + len(further),
        notes=compared.notes,
        seen=compared.seen,
        payload=objs,
    )


def _scoped(session: Session, obj: objects.Object) -> objects.Object:
    """The object without the namespace that its kind does not have (rendered charts give one to every object)."""
    resource = session.resource(obj["apiVersion"], obj["kind"])
    if resource is None or resource.namespaced:
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "namespace"}}


def _unknown(session: Session, found: list[manifests.Manifest]) -> str:
    """The step that must come first because it brings a kind; "" when every kind is known or comes with a CRD of these.

    Raises BadInput: a kind that nothing brings, or a namespaced object without a namespace.
    """
    own = {_defined(manifest.obj) for manifest in found}
    waits_for = ""
    for manifest in found:
        api_version, kind = manifest.obj["apiVersion"], manifest.obj["kind"]
        resource = session.resource(api_version, kind)
        if resource is None:
            group = api_version.rpartition("/")[0]
            if group.endswith("istio.io") and session.resource(*_OF_ISTIO) is None:
                waits_for = "istio"
            elif (group, kind) not in own:
                raise BadInput(
                    f"{manifest.place}: the cluster does not know {kind} of {api_version}",
                    hint="Look for a typo; or put the CRD that brings it into the manifests too",
                )
        elif resource.namespaced and not manifest.obj["metadata"].get("namespace"):
            raise BadInput(
                f"{manifest.place}: {kind} {manifest.obj['metadata']['name']} has no metadata.namespace",
                hint="Say which: nothing is put into a namespace that nobody named",
            )
    return waits_for


def _defined(obj: objects.Object) -> tuple[str, str] | None:
    """Group and kind that a CRD brings."""
    try:
        return (obj["spec"]["group"], obj["spec"]["names"]["kind"]) if obj["kind"] == _CRD else None
    except (KeyError, TypeError):  # the API server says better than we what is wrong with it
        return None


def _homeless(session: Session, env: Environment, found: list[manifests.Manifest], changes: Sequence[Change]) -> str:
    """The step that must come first because it makes a namespace; "" when all are there or come with these objects.

    Raises BadInput: nobody makes it.
    """
    new = {(change.kind, change.name) for change in changes if change.action is Action.ADD}
    places: dict[str, str] = {}
    for manifest in found:
        namespace = manifest.obj["metadata"].get("namespace")
        if namespace and (manifest.obj["kind"], objects.title(manifest.obj)) in new:
            places.setdefault(namespace, manifest.place)
    coming = {manifest.obj["metadata"]["name"] for manifest in found if manifest.obj["kind"] == "Namespace"}
    missing = _absent(session, sorted(places.keys() - coming))
    for name in missing:
        if name not in env.namespaces:
            raise BadInput(
                f"{places[name]}: there is no namespace {name}",
                hint="Add it to `namespaces` of the environment, or a Namespace to the manifests",
            )
    return "namespaces" if missing else ""


def _absent(session: Session, namespaces: Sequence[str]) -> list[str]:
    if len(namespaces) > _FEW:
        there = {obj["metadata"]["name"] for obj in session.list("v1", "Namespace", metadata_only=True)}
        return [name for name in namespaces if name not in there]
    found = session.map(lambda name: session.get("v1", "Namespace", name), namespaces)
    return [name for name, namespace in zip(namespaces, found, strict=True) if namespace is None]


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to apply resources to")
    name, objs = set_name(env), plan.payload
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": applyset.NAMESPACE}}
    session.apply(namespace)
    # First the set that covers both what is and what is to be: a run that is killed now forgets nothing.
    session.apply(applyset.parent(name, objs, also=applyset.kept(session, name)))
    changes = [change for change in plan.changes if change.action is not Action.DESTROY]
    crds = [change for change in changes if change.kind == _CRD]
    rest = [change for change in changes if change.kind not in ("Namespace", _CRD)]
    objects.apply(session, [change for change in changes if change.kind == "Namespace"])
    if crds:
        objects.apply(session, crds, pace=env.resources.pace)
        wait.ready(session, wait.refs(change.payload for change in crds), timeout=60, say=target.say)
        session.forget_kinds()
    objects.apply(session, rest, pace=env.resources.pace)
    beat = objects.Beat(env.resources.pace)
    for change in plan.changes:
        if change.action is Action.DESTROY:
            beat.wait()
            _delete(session, change.payload)
    session.apply(applyset.parent(name, objs))
    wait.ready(session, wait.refs(change.payload for change in rest), timeout=env.istio.timeout, say=target.say)


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


apply_all = Step("resources", _plan, _apply)
"""Applies the environment's manifests and prunes what is no longer in them."""
