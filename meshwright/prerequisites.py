"""What must be there before objects can be applied: their kinds and their namespaces."""

from __future__ import annotations

from collections.abc import Sequence

from meshwright import applyset, objects
from meshwright.environment import Environment
from meshwright.errors import BadInput
from meshwright.kube import Session
from meshwright.manifests import Manifest
from meshwright.plan import Action, Change

__all__ = ["homeless", "scoped", "unknown"]

# More namespaces than that are listed: one question instead of one each, which needs a right for all of them.
_FEW = 8
_OF_GATEWAYS = "gateway.networking.k8s.io"
_OF_ISTIO = ("networking.istio.io/v1", "VirtualService")


def scoped(session: Session, obj: objects.Object) -> objects.Object:
    """The object without the namespace that its kind does not have (rendered charts give one to every object)."""
    resource = session.resource(obj["apiVersion"], obj["kind"])
    if resource is None or resource.namespaced:
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "namespace"}}


def unknown(session: Session, found: Sequence[Manifest]) -> str:
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
            elif group == _OF_GATEWAYS and (group, kind) not in own:
                waits_for = waits_for or "gateway-api"
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
        return (
            (obj["spec"]["group"], obj["spec"]["names"]["kind"]) if obj["kind"] == "CustomResourceDefinition" else None
        )
    except (KeyError, TypeError):  # the API server says better than we what is wrong with it
        return None


def homeless(session: Session, env: Environment, found: Sequence[Manifest], changes: Sequence[Change]) -> str:
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
    # Our own is made by whatever writes first.
    missing = _absent(session, sorted(places.keys() - coming - {applyset.NAMESPACE}))
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
