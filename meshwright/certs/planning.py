"""The plan of a change of the root, and of its way back: phases, what each writes, what it restarts, how long it takes.

What changes by the second (who has followed, how many pods there are, how long it still takes) is in notes: an approval
covers the changes, and they must still be the same when the plan is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshwright.certs import estimate, machines, modes, outliving, workloads
from meshwright.certs.authority import PLUGGED_SECRET, SELF_SIGNED_SECRET, Authority, Kind
from meshwright.certs.contents import Case
from meshwright.certs.contents import Step as At
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import Mesh
from meshwright.certs.modes import Mode
from meshwright.certs.trust import Report
from meshwright.certs.workloads import Owners, Workload
from meshwright.check import State
from meshwright.envoys import Proxy
from meshwright.foreign import RESTARTED
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Field
from meshwright.wording import counted

__all__ = ["Way", "costs", "gateways", "kept", "notes", "phases", "restart", "restarts", "way", "written"]

_TEMPLATE = f"spec.template.metadata.annotations[{RESTARTED}]"
_WAYS = {
    At.OLD: "trust the old root alone",
    At.BOTH_SIGN_OLD: "trust both roots, sign with the old one",
    At.BOTH_SIGN_NEW: "trust both roots, sign with the new one",
    At.NEW: "trust the new root alone",
}


@dataclass(frozen=True)
class Way:
    """The steps that are ahead, and what following each of them takes: `secret` is what is written, `istiod` the steps
    in which istiod is restarted, `slow` the proxies that follow only with a new certificate, `kept` what keeps them
    (in restart mode). `now` is the step at which the mesh stands, where its gate does not hold yet, `outside`
    the machines outside the cluster."""

    mode: Mode
    steps: tuple[At, ...]
    secret: str
    istiod: frozenset[At]
    slow: tuple[Proxy, ...] = ()
    kept: tuple[Workload, ...] = ()
    now: At | None = None
    outside: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[At, ...]:
        """The steps with a gate that is still to be passed."""
        return self.steps if self.now is None else (self.now, *self.steps)


def way(
    live: Session, report: Report, mode: Mode, case: Case, steps: Sequence[At], secret: str, now: At | None = None
) -> Way:
    """What is ahead for this mesh. Raises Forbidden, Unreachable."""
    mesh, authority = report.seen.mesh, report.seen.authority
    slow = tuple(modes.slow(mesh, report.waived))
    held = kept(mesh, slow, workloads.read(live)) if mode is Mode.RESTART and slow else []
    if not steps:
        held = _left(held, report, now)
    restarted = {step for step in steps if _restarts_istiod(case, step, authority, mesh)}
    outside = tuple(place.name for place in report.seen.of(machines.ENVOY))
    if outside and len(report.expected.roots) == 1:
        restarted |= set(steps[:1])
    return Way(mode, tuple(steps), secret, frozenset(restarted), slow, tuple(held), now, outside)


def _left(held: Sequence[Workload], report: Report, now: At | None) -> list[Workload]:
    """At the last step: those whose pods have not followed, and that no run before this one has restarted for it."""
    if now is None:
        return []
    used = report.seen.authority.used if report.seen.authority else None
    done, names = f"{now.value}-{used.version if used else ''}", modes.lagging(report)
    late = [each for each in held if any(f"{each.namespace}/{pod}" in names for pod in each.pods)]
    return [each for each in late if each.restarted_for != done]


def written(case: Case, authority: Authority | None) -> str:
    """The Secret that a change of this kind writes."""
    if case is Case.EXTEND:
        return authority.secret.rpartition("/")[2] if authority else "?"
    return SELF_SIGNED_SECRET if case is Case.IN_PLACE else PLUGGED_SECRET


def kept(mesh: Mesh, proxies: Sequence[Proxy], owners: Owners) -> list[Workload]:
    """What keeps these proxies, gateways last."""
    gateways = {(proxy.namespace, proxy.pod) for proxy in proxies if proxy.role == "gateway"}
    return workloads.of_pods(
        modes.pods_of(mesh, proxies),
        lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"]) in gateways,
        owners,
    )


def _restarts_istiod(case: Case, step: At, authority: Authority | None, mesh: Mesh) -> bool:
    """As Mover.restarts has it: one on its own CA, and one that takes no root over while it runs."""
    if authority is None or not modes.on(mesh):
        return True
    # On the way from its own CA to a plugged-in one, istiod watches the files once it was restarted with them.
    if case is Case.PLUG_IN:
        return step is At.BOTH_SIGN_OLD and authority.kind is not Kind.PLUGGED
    return authority.kind is not Kind.PLUGGED


def phases(ahead: Way, old: str, new: str) -> list[Change]:
    """The steps as changes; `old` and `new` are the roots in words."""
    trusted = {At.OLD: [old], At.BOTH_SIGN_OLD: [old, new], At.BOTH_SIGN_NEW: [old, new], At.NEW: [new]}
    signs = {At.OLD: old, At.BOTH_SIGN_OLD: old, At.BOTH_SIGN_NEW: new, At.NEW: new}
    found = []
    for step in ahead.steps:
        fields = (
            Field("writes", None, f"Secret {ahead.secret}"),
            Field("trusted", None, trusted[step]),
            Field("signs", None, signs[step]),
            *_following(ahead, step),
        )
        why = f"{_WAYS[step]}; then everything must have followed, seen twice"
        found.append(Change(Action.CHANGE, "Phase", step.value, fields, why))
    return found


def _following(ahead: Way, step: At) -> list[Field]:
    """What is restarted or waited for in one step."""
    restarted = ["istiod"] if step in ahead.istiod else []
    able = [each for each in ahead.kept if not each.obstacle]
    restarted += [f"{len(able)} workloads"] if able else []
    found = [Field("restarts", None, restarted or "nothing")]
    if ahead.mode is Mode.PATIENT and ahead.slow:
        found.append(Field("waits", None, "for the next certificates of those that learn late"))
    return found


def restarts(ahead: Way, namespace: str, istiods: Sequence[str]) -> list[Change]:
    """What is restarted, each thing once with the steps for which it is; what cannot be is blocked."""
    found = []
    steps = [step.value for step in ahead.steps if step in ahead.istiod]
    if steps:
        why = "it notices what is written when it starts"
        found += [
            Change(Action.CHANGE, "Deployment", f"{namespace}/{name}", (Field(_TEMPLATE, None, steps),), why)
            for name in istiods
        ]
    # At the last step nothing is written any more: what is restarted for it has not been yet.
    if ahead.steps:
        field = Field("root-cert.pem", None, [step.value for step in ahead.steps])
        found += [
            Change(Action.CHANGE, "Machine", name, (field,), "it trusts istiod by this file") for name in ahead.outside
        ]
    return found + [restart(each, [step.value for step in ahead.steps or ahead.all]) for each in ahead.kept]


def restart(each: Workload, steps: Sequence[str]) -> Change:
    """The restart of one workload."""
    blocked = Blocked(f"it cannot be restarted: {each.obstacle}", each.hint) if each.obstacle else None
    name = f"{each.namespace}/{each.name}"
    return Change(
        Action.CHANGE,
        each.kind,
        name,
        (Field(_TEMPLATE, None, list(steps)),),
        "its pods follow when they are replaced",
        blocked=blocked,
    )


def notes(ahead: Way, report: Report) -> list[str]:
    """How long each step takes, about, and what to know before; sentences."""
    times = estimate.of(ahead.all, ahead.istiod, ahead.kept, ahead.mode, estimate.leaves(report, ahead.slow), report)
    said = ", ".join(f"{step.value} {time}" for step, time in times.items())
    found = [f"in mode {ahead.mode} it takes about: {said}"] if said else []
    if ahead.now is not None:
        late = ", and who has not followed is restarted for it" if ahead.kept else ""
        found.append(f"the gate of {ahead.now.value} does not hold yet: it is waited for{late}")
    if ahead.mode is Mode.PATIENT and ahead.slow:
        found.append(f"{counted(len(ahead.slow), 'proxy')} learn late")
    return found + costs(ahead.kept, report.seen.mesh)


def costs(kept: Sequence[Workload], mesh: Mesh) -> list[str]:
    """What the restarts of these may cost whoever talks to them; sentences."""
    found = [f"{each.subject}: {each.detail}" for each in gateways(kept)]
    for each in kept:
        if each.at_once and not each.obstacle:
            found.append(f"{each}: {each.at_once} of {counted(each.replicas, 'pod')} away at a time")
    return [*found, *outliving.sentences([each for each in kept if not each.obstacle], mesh)]


def gateways(kept: Sequence[Workload]) -> list[Finding]:
    """Gateways that are restarted, and what their clients may notice of it."""
    found = []
    for each in kept:
        if not each.gateway or each.obstacle:
            continue
        if each.replicas < 2:
            text = "it has one pod: long connections end when it is replaced"
            found.append(Finding(State.WARNING, str(each), text, "Two ready gateways outlive a restart"))
        if not each.guarded:
            text = "no PodDisruptionBudget is over its pods: somebody else may take one away meanwhile"
            found.append(Finding(State.WARNING, str(each), text, "Give it one"))
    return found
