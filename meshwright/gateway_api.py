"""The CRDs of the Gateway API, which Istio reads and does not bring: installed where an environment has such objects.

They are shared by all who use them in a cluster. So they are never taken back to an older release, never deleted, and
left alone where somebody else keeps them. A CRD is compared by what the Gateway API's own annotations say, its release
and its channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshwright import cluster, foreign, gateway_release, manifests, objects, ownership, resources
from meshwright.crds import CHANNEL, VERSION, order, said
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session, wait
from meshwright.manifests import Manifest
from meshwright.plan import Action, Blocked, Change, Field, Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["ensure", "used"]

_NAME = "gateway-api"
_KIND, _API = "CustomResourceDefinition", "apiextensions.k8s.io/v1"
_MANAGER = "meshwright"
_TIMEOUT = 60.0
_BUNDLE = f'metadata.annotations."{VERSION}"'

# A key of labels or annotations, and who writes it. GKE's addon manager puts back what it has labelled so.
_PROVIDERS = (
    ("addonmanager.kubernetes.io/mode", "the cluster's addon manager"),
    ("components.gke.io/component-name", "GKE"),
    ("components.gke.io/component-version", "GKE"),
)


@dataclass(frozen=True)
class _Compared:
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def used(env: Environment, found: Sequence[Manifest]) -> bool:
    """Whether the environment, whose manifests are `found`, has objects of the Gateway API, and no manifests with their
    CRDs."""
    objs = [manifest.obj for manifest in found]
    if any(obj["kind"] == _KIND and obj["metadata"]["name"].endswith(f".{gateway_release.GROUP}") for obj in objs):
        return False
    api = getattr(env.resources, "gateway_api", None)
    return bool(api and any(api.model_dump().values())) or any(
        obj["apiVersion"].startswith(f"{gateway_release.GROUP}/") for obj in objs
    )


def _plan(target: Target, env: Environment) -> Plan:
    crds, root, paths = env.istio.gateway_api, target.project.root, env.resources.manifests
    unbuilt = resources.unbuilt(target, env)
    wanted = used(env, resources.read(target, env, without=unbuilt))
    built = manifests.kustomized(root, paths)
    # What is in kustomize folders an approval is bound by without kubectl too.
    whole = [bool(built) or wanted, env.istio.version, crds.release, crds.channel, crds.crds]
    desired = digest([*whole, manifests.sources(root, built)])
    if unbuilt and not wanted:
        return Plan(_NAME, desired, after="tools")
    if not wanted:
        return Plan(_NAME, desired)
    names = gateway_release.wanted(env)
    session = cluster.session(target, env)
    if session is None:
        return Plan(_NAME, desired, after="cluster")
    live = {obj["metadata"]["name"]: obj for obj in session.list(_API, _KIND, metadata_only=True)}
    compared = _compared(env, {name: live.get(name) for name in names}, target.shared.options.adopt)
    if compared.changes:
        source = gateway_release.require_source(target, env)
        compared = replace(compared, changes=(replace(compared.changes[0], why=source), *compared.changes[1:]))
    seen = tuple(f"{_KIND}/{name}" for name in names)
    return Plan(_NAME, desired, compared.changes, checked=len(names), notes=compared.notes, seen=seen)


def _compared(env: Environment, there: dict[str, objects.Object | None], adopt: frozenset[str]) -> _Compared:
    release, channel = f"v{gateway_release.needed(env)}", env.istio.gateway_api.channel
    keepers = {name: keeper for name, obj in there.items() if obj and (keeper := _keeper(obj))}
    if env.istio.gateway_api.crds == "never":
        if not any(there.values()):
            raise BadInput(
                "there are objects of the Gateway API, their CRDs are not in the cluster, and istio.gateway_api.crds "
                f"({env.where('istio', 'gateway_api', 'crds')}) is never",
                hint="Have them installed by whoever keeps them, or say auto",
            )
        keepers = dict.fromkeys(there, "somebody else (istio.gateway_api.crds is never)")
    changes: list[Change] = []
    notes: list[str] = []
    for name, obj in there.items():
        if obj is None and keepers:
            whose = next(iter(keepers.values()))
            notes.append(f"{_KIND} {name} is missing: {whose} keeps the others, and nothing is put beside them")
        elif obj is None:
            fields = (Field(_BUNDLE, None, release), Field(f'metadata.annotations."{CHANNEL}"', None, channel))
            changes.append(Change(Action.ADD, _KIND, name, fields, payload=_stub(name)))
        elif name in keepers:
            notes.append(f"{_KIND} {name}: {keepers[name]} keeps it, {_called(obj)}: left alone{_too_old(name, obj)}")
        elif order(said(obj, VERSION)) > order(release):
            notes.append(f"{_KIND} {name} is of {_called(obj)}, newer than {release}: left alone")
        elif said(obj, CHANNEL) == "experimental" and channel == "standard":
            notes.append(
                f"{_KIND} {name} is of the experimental channel, {_called(obj)}: left alone{_too_old(name, obj)}"
            )
        elif (said(obj, VERSION), said(obj, CHANNEL)) != (release, channel):
            changes.append(_upgrade(name, obj, release, channel, f"{_KIND}/{name}" in adopt))
    return _Compared(tuple(changes), tuple(notes))


def _upgrade(name: str, obj: objects.Object, release: str, channel: str, adopted: bool) -> Change:
    pairs = ((VERSION, release), (CHANNEL, channel))
    fields = tuple(
        Field(f'metadata.annotations."{key}"', said(obj, key) or None, new)
        for key, new in pairs
        if said(obj, key) != new
    )
    writer = foreign.owner_of(obj, _BUNDLE)
    blocked = None
    if writer and writer[0] != _MANAGER and not adopted:
        blocked = Blocked(
            f"{foreign.said(*writer)} has installed it",
            hint=f"Take it over with `--adopt {_KIND}/{name}`, or let whoever keeps it bring {release}",
        )
    return Change(Action.CHANGE, _KIND, name, fields, payload=_stub(name), blocked=blocked)


def _stub(name: str) -> objects.Object:
    return {"apiVersion": _API, "kind": _KIND, "metadata": {"name": name}}


def _keeper(obj: objects.Object) -> str | None:
    metadata = obj["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return next((who for mark, who in _PROVIDERS if mark in marks), None) or ownership.owner(obj)


def _called(obj: objects.Object) -> str:
    return said(obj, VERSION) or "of no release"


def _too_old(name: str, obj: objects.Object) -> str:
    least = gateway_release.LEAST.get(name)
    if least is None or order(said(obj, VERSION)) >= order(least):
        return ""
    return f"; from 1.30 on Istio ignores its objects below v{least}"


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    if plan.empty:
        return
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to install the CRDs of the Gateway API in")
    found = gateway_release.fetched(target, env)
    changes = [replace(change, payload=found[change.name]) for change in plan.changes]
    _install(session, changes, target)


def _install(session: Session, changes: Sequence[Change], target: Target) -> None:
    objects.apply(session, changes, adopt=target.shared.options.adopt)
    wait.ready(session, wait.refs(change.payload for change in changes), timeout=_TIMEOUT, say=target.say)
    session.forget_kinds()


ensure = Step(_NAME, _plan, _apply)
"""Installs the CRDs of the Gateway API, or a newer release of them, where the environment has objects of it."""
