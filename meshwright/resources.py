"""The environment's own objects: its manifests, applied and, when they are no longer wanted, pruned."""

from __future__ import annotations

from meshwright import applyset, cluster, manifests, objects, tools
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session, wait
from meshwright.plan import Action, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["apply_all", "set_name", "wanted"]


def set_name(env: Environment) -> str:
    """The name of the environment's ApplySet."""
    return f"resources-{env.name}"


def wanted(target: Target, env: Environment) -> list[manifests.Manifest]:
    """The objects that the environment wants, with their places. Raises BadInput."""
    if not env.resources.manifests:
        return []
    kubectl = tools.installed(target, env, "kubectl") if target.local else None
    return manifests.read(target.project.root, env.resources.manifests, kubectl or "kubectl")


def _plan(target: Target, env: Environment) -> Plan:
    found = wanted(target, env)
    desired = digest([manifest.obj for manifest in found])
    session = cluster.session(target, env)
    if session is None:
        return Plan("resources", desired, after="cluster" if found else "")
    waits_for = _unknown(session, found)
    if waits_for:
        return Plan("resources", desired, after=waits_for)
    objs = [applyset.member(manifest.obj, set_name(env)) for manifest in found]
    compared = objects.compare(session, objs)
    gone = applyset.pruned(session, set_name(env), objs, allow_empty=env.resources.allow_empty)
    changes = (*compared.changes, *gone)
    return Plan("resources", desired, changes, checked=len(objs) + len(gone), notes=compared.notes, payload=objs)


def _unknown(session: Session, found: list[manifests.Manifest]) -> str:
    """The step that must come first because it brings a kind; "" when every kind is known or comes with a CRD of these.

    Raises BadInput: a kind that nothing brings, or a namespaced object without a namespace.
    """
    own = {
        (manifest.obj.get("spec", {}).get("group"), manifest.obj.get("spec", {}).get("names", {}).get("kind"))
        for manifest in found
        if manifest.obj["kind"] == "CustomResourceDefinition"
    }
    waits_for = ""
    for manifest in found:
        api_version, kind = manifest.obj["apiVersion"], manifest.obj["kind"]
        resource = session.resource(api_version, kind)
        if resource is None:
            group = api_version.rpartition("/")[0]
            if group.endswith("istio.io"):
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


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to apply resources to")
    name, objs = set_name(env), plan.payload
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": applyset.NAMESPACE}}
    session.apply(namespace)
    # First the set that covers both what is and what is to be: a run that is killed now forgets nothing.
    live = session.get("v1", "ConfigMap", name, applyset.NAMESPACE)
    session.apply(applyset.parent(name, objs, also=live))
    changes = [change for change in plan.changes if change.action is not Action.DESTROY]
    crds = [change for change in changes if change.kind == "CustomResourceDefinition"]
    rest = [change for change in changes if change.kind not in ("Namespace", "CustomResourceDefinition")]
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
            obj = change.payload
            session.delete(*objects.key(obj)[:2], obj["metadata"]["name"], obj["metadata"].get("namespace"),
                           uid=obj["metadata"]["uid"])  # fmt: skip
    session.apply(applyset.parent(name, objs))
    wait.ready(session, wait.refs(change.payload for change in rest), timeout=env.istio.timeout, say=target.say)


apply_all = Step("resources", _plan, _apply)
"""Applies the environment's manifests and prunes what is no longer in them."""
