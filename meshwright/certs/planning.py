"""The plan of a change of the root, and of its way back: phases, what each writes, what it restarts, how long it takes.

What changes by the second (who has followed, how long it still takes) is in notes: an approval covers the changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshwright.certs import estimate, modes, workloads
from meshwright.certs.authority import Authority, Kind
from meshwright.certs.contents import Case
from meshwright.certs.contents import Step as At
from meshwright.certs.finding import Finding
from meshwright.certs.mesh import Mesh
from meshwright.certs.modes import Mode
from meshwright.certs.trust import Report
from meshwright.certs.workloads import RESTARTED, Owners, Workload
from meshwright.check import State
from meshwright.envoys import Proxy
from meshwright.kube import Session
from meshwright.plan import Action, Blocked, Change, Field

__all__ = ["Way", "gateways", "kept", "notes", "phases", "restart", "restarts", "way"]

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
    (in restart mode)."""

    mode: Mode
    steps: tuple[At, ...]
    secret: str
    istiod: frozenset[At]
    slow: tuple[Proxy, ...] = ()
    kept: tuple[Workload, ...] = ()
    # The step at which the mesh stands, where its gate does not hold yet.
    now: At | None = None

    @property
    def all(self) -> tuple[At, ...]:
        """The steps with a gate that is still to be passed."""
        return self.steps if self.now is None else (self.now, *self.steps)


def way(
    live: Session, report: Report, mode: Mode, case: Case, steps: Sequence[At], secret: str, now: At | None = None
) -> Way:
    """What is ahead for this mesh. Raises Forbidden, Unreachable."""
    mesh, authority = report.seen.mesh, report.seen.authority
    slow = tuple(modes.slow(mesh))
    held = tuple(kept(mesh, slow, workloads.read(live))) if mode is Mode.RESTART and slow else ()
    restarted = frozenset(step for step in steps if _restarts_istiod(case, step, authority, mesh))
    return Way(mode, tuple(steps), secret, restarted, slow, held, now)


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
    # Live, nothing is done for it but waiting; and a plan that is approved now must still be the same when it holds.
    if ahead.now is not None and ahead.mode is not Mode.LIVE:
        fields = (*_following(ahead, ahead.now),)
        why = "its gate does not hold yet, and is waited for"
        found.append(Change(Action.CHANGE, "Phase", f"{ahead.now.value} (now)", fields, why))
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
        found.append(Field("waits", None, f"for the next certificates of {len(ahead.slow)} proxies"))
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
    return found + [restart(each, [step.value for step in ahead.all]) for each in ahead.kept]


def restart(each: Workload, steps: Sequence[str]) -> Change:
    """The restart of one workload."""
    blocked = Blocked(f"it cannot be restarted: {each.obstacle}", each.hint) if each.obstacle else None
    many = f"its {len(each.pods)} pods" if len(each.pods) > 1 else "its pod"
    away = f"; {each.at_once} of {each.replicas} are away at a time" if each.at_once and not each.obstacle else ""
    name = f"{each.namespace}/{each.name}"
    return Change(
        Action.CHANGE,
        each.kind,
        name,
        (Field(_TEMPLATE, None, list(steps)),),
        f"{many} {'follow' if len(each.pods) > 1 else 'follows'} when replaced{away}",
        blocked=blocked,
    )


def notes(ahead: Way, report: Report) -> list[str]:
    """How long each step takes, about, and what to know before; sentences."""
    times = estimate.of(ahead.all, ahead.istiod, ahead.kept, ahead.mode, estimate.leaves(report, ahead.slow), report)
    said = ", ".join(f"{step.value} {time}" for step, time in times.items())
    found = [f"in mode {ahead.mode} it takes about: {said}"] if said else []
    return found + [f"{each.subject}: {each.detail}" for each in gateways(ahead.kept)]


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
