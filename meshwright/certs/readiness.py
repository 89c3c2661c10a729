"""Whether a change of the root may begin: judged from looks that were made, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from meshwright import managed, ownership
from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET, Authority, Kind
from meshwright.certs.contents import Case
from meshwright.certs.finding import Finding
from meshwright.certs.inventory import Part
from meshwright.certs.inventory import Report as Versions
from meshwright.certs.phase import Phase, Position
from meshwright.certs.trust import Report, Seen
from meshwright.check import State

__all__ = ["allowed", "findings", "keeper"]

Object = dict[str, Any]

# Which authority each case begins with.
_FROM = {
    Case.IN_PLACE: frozenset({Kind.SELF_SIGNED}),
    Case.PLUG_IN: frozenset({Kind.SELF_SIGNED}),
    Case.REPLACE: frozenset({Kind.PLUGGED}),
    Case.EXTEND: frozenset({Kind.SELF_SIGNED, Kind.PLUGGED}),
}

# Who makes Secrets from something else, and would write the old content back: by the API group of an owner, and by a
# label or annotation. What keeps objects in general (Argo CD, Flux, Helm) is known to meshwright.ownership.
_OWNERS = {
    "external-secrets.io": "External Secrets",
    "bitnami.com": "Sealed Secrets",
    "cert-manager.io": "cert-manager",
    "secrets.hashicorp.com": "the Vault Secrets operator",
}
_MARKS = {
    "reconcile.external-secrets.io/managed": "External Secrets",
    "cert-manager.io/certificate-name": "cert-manager",
    "controller.cert-manager.io/fao": "cert-manager",
    "reflector.v1.k8s.emberstack.com/reflects": "Reflector",
    "replicator.v1.mittwald.de/replicate-from": "the Secret replicator",
}
# Those who may have written a CA Secret without keeping it: istiod itself, we, and people at a terminal.
_HARMLESS = ("pilot-discovery", "meshwright", "kubectl", "istioctl")

_GRACE, _GRACE_DEFAULT = "CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", 20
_INTERVAL = "CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL"


def allowed(case: Case, authority: Authority) -> Finding:
    """Whether `case` can begin with this authority."""
    name = f"authority {authority.kind}"
    if authority.kind not in _FROM[case]:
        wanted = " or ".join(sorted(_FROM[case]))
        text = f"{case} begins with a {wanted}; this mesh has {authority.kind}: {authority.why}"
        return Finding(State.FAILED, name, text, "Meshwright changes no other authority; it looks at all of them")
    if case is Case.EXTEND and authority.signer not in authority.roots:
        text = "the key of its root is not in the cluster: an intermediate signs"
        return Finding(State.FAILED, name, text, "Whoever has the root's key extends it; then replace the root")
    if authority.secret.rpartition("/")[2] not in (PLUGGED_SECRET, SELF_SIGNED_SECRET):
        text = f"it is in Secret {authority.secret}, a name of your own"
        return Finding(State.FAILED, name, text, f"Meshwright writes Secrets {PLUGGED_SECRET} and {SELF_SIGNED_SECRET}")
    if case in (Case.IN_PLACE, Case.PLUG_IN) and authority.secret.rpartition("/")[2] != SELF_SIGNED_SECRET:
        text = f"it is in Secret {authority.secret}, which istiod made for itself"
        return Finding(State.FAILED, name, text, "Take its mark `istio-generated` away: then it is a plugged-in CA")
    return Finding(State.OK, name, authority.why)


def findings(case: Case, report: Report, at: Position, versions: Versions, secrets: Sequence[Object]) -> list[Finding]:
    """Everything that keeps a change from beginning (FAILED, NOT_VERIFIED), and what should be known (WARNING).

    `report` and `at` are of one look, `secrets` the Secrets of istiod's namespace with metadata alone.
    """
    seen = report.seen
    found = [allowed(case, seen.authority)] if seen.authority is not None else []
    found += _rest(report, at)
    found += [each for each in versions.findings if each.state is not State.OK]
    found += _istiods(seen, versions)
    found += _rotator(seen)
    found += _writers(seen, secrets)
    if seen.mesh.ztunnels:
        text = f"{len(seen.mesh.ztunnels)} ztunnels run: a change of the root under ambient is not proven"
        found.append(
            Finding(State.FAILED, "ambient", text, "Meshwright looks at ztunnels, and changes no root of theirs")
        )
    return found


def _rest(report: Report, at: Position) -> Iterator[Finding]:
    """A change begins at rest: one root, and everybody has it."""
    if at.phase is not Phase.REST:
        text = f"the mesh stands at {at.phase}: {at.why}"
        yield Finding(State.FAILED, "phase", text, "Go on with the change that is under way, or take it back")
    elif not at.stable:
        first = at.waiting[0] if at.waiting else None
        text = f"{len(at.waiting)} places are not as they should be" + (f", first {first.subject}" if first else "")
        yield Finding(State.FAILED, "phase", text, "`meshwright certs verify` names them, and what to do")
    else:
        yield Finding(State.OK, "phase", at.phase)
    for root in report.expected.roots:
        if not root.valid(report.seen.now):
            text = "it has expired: nobody trusts anybody, so there is nothing to keep alive"
            yield Finding(State.FAILED, root.label, text, "Put a new CA in place and restart everything at once")


def _istiods(seen: Seen, versions: Versions) -> Iterator[Finding]:
    mine = [part for part in versions.parts if part.kind == "istiod"]
    waiting = [str(each) for each in seen.mesh.istiods if not each.ready]
    if waiting:
        yield Finding(State.FAILED, "istiod", f"{', '.join(waiting)} not ready", "A rollout may be under way: wait")
    for revision, parts in _by_revision(mine).items():
        if len({part.version for part in parts}) > 1 or len({part.image for part in parts}) > 1:
            text = f"the replicas of revision {revision} are not of one version"
            yield Finding(State.FAILED, "istiod", text, "Finish the upgrade first")
        if len(parts) == 1:
            text = f"revision {revision} has one replica: while it restarts, pods get no sidecar and no certificate"
            yield Finding(State.WARNING, "istiod", text, "Two replicas outlive a restart")


def _by_revision(parts: Sequence[Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.revision, []).append(part)
    return found


def _rotator(seen: Seen) -> Iterator[Finding]:
    """istiod's own rotator writes one certificate over several, with the old key, near the end of a root."""
    authority = seen.authority
    if authority is None or authority.kind is not Kind.SELF_SIGNED or authority.signer is None:
        return
    interval = seen.mesh.setting(_INTERVAL).strip()
    if interval.startswith("-") or interval in ("0", "0s"):
        return
    said = seen.mesh.setting(_GRACE)
    grace = int(said) if said.isdecimal() else _GRACE_DEFAULT
    if authority.signer.percent(seen.now) <= grace:
        text = (
            f"less than {grace}% of the root's life is left: istiod may sign it anew at any time, over what is written"
        )
        yield Finding(State.FAILED, "istiod's rotator", text, f"Set {_INTERVAL}=0 on istiod first")


def keeper(secret: Object) -> tuple[str, bool]:
    """Who else writes a Secret, in words ("" for nobody), and whether that is certain: a manager that is not known may
    have written it once, and never again."""
    metadata = secret["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        group = str(reference.get("apiVersion", "")).partition("/")[0]
        known = _OWNERS.get(group, "its owner")
        return f"{known} ({reference['kind']} {reference['name']})", True
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for mark, name in _MARKS.items():
        if mark in marks:
            return name, True
    owner = ownership.owner(secret)
    if owner is not None:
        return owner, True
    strange = [
        entry.get("manager", "")
        for entry in managed.entries(secret)
        if "f:data" in (entry.get("fieldsV1") or {}) and not str(entry.get("manager", "")).startswith(_HARMLESS)
    ]
    return (f"manager {strange[0]}", False) if strange else ("", True)


def _writers(seen: Seen, secrets: Sequence[Object]) -> Iterator[Finding]:
    own = {"cacerts", SELF_SIGNED_SECRET} | {plane.cacerts for plane in seen.mesh.planes}
    for secret in secrets:
        name = secret["metadata"]["name"]
        if name not in own:
            continue
        who, certain = keeper(secret)
        if who and certain:
            text = f"{who} writes it too, and would write the old content back"
            yield Finding(State.FAILED, f"Secret {name}", text, "Pause that first, or change the root there")
        elif who:
            text = f"{who} has written it; it is not known whether that will write it again"
            yield Finding(State.WARNING, f"Secret {name}", text, "Pause it while the root changes")
