"""Whether the proxies have taken what an apply wrote: asked of every istiod and of the proxies themselves (DESIGN 5).

An object of Istio's that the API server accepts may still be one that istiod's analyzers refute, that no proxy uses, or
that a proxy refuses. So after the writes

- `istioctl analyze` has no error about them;
- every ready istiod has read them and has pushed since (`meshwright.pushes`);
- every proxy that they concern (`meshwright.concerned`) has acknowledged what its istiod sent it last, and its Envoy
  holds the clusters, listeners and routes that its istiod makes for it now (`meshwright.dumps`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from meshwright import analysis, istiods, pushes, traces
from meshwright.concerned import of_istio
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, Unverified, outcome
from meshwright.kube import Session
from meshwright.proof import Proof, Proving
from meshwright.target import Target
from meshwright.wording import counted, listed, some

__all__ = ["Before", "Taken", "look", "wait"]

Object = dict[str, Any]

_LONGEST = 60
_SAID = 5
_MEND = "The objects are in the cluster. Mend the one at fault and apply again; proxies keep what they had"
_SUPPRESS = (
    "The objects are in the cluster. Mend this one and apply again; or, where it is meant to be so, give it the "
    "annotation galley.istio.io/analyze-suppress with the code"
)


@dataclass(frozen=True)
class Before:
    """What was there before the first write: the objects that istiod knew, what proxies had refused by then (by proxy
    and type of resource), and a digest of the configuration of those that an EnvoyFilter concerns. `unknown` says why
    it could not be looked at."""

    objects: Sequence[Object] = ()
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True)
class Taken:
    """The proof. `count` proxies of those that are concerned have it, `istiods` were asked, after `seconds`."""

    count: int
    concerned: int
    istiods: int
    seconds: float

    def __str__(self) -> str:
        asked = f"{counted(self.istiods, 'istiod')}, {self.seconds:.1f} s"
        if not self.concerned:
            return f"no proxy is concerned: read by {asked}"
        return f"taken by {self.count} of {counted(self.concerned, 'proxy')}, {asked}"


def look(session: Session, env: Environment, changed: Sequence[Object]) -> Before:
    """What is there before `changed` (objects to be written or deleted) is written. What cannot be asked is said in
    the result: no istiod need run before the first apply of all."""
    changed = [obj for obj in changed if of_istio(obj)]
    if not changed:
        return Before()
    try:
        running = istiods.ready(session, env)
        if not running:
            return Before(unknown="no istiod was ready")
        asks: list[Callable[[], Any]] = [
            lambda: istiods.configuration(session, running[0]),
            lambda: istiods.root_namespace(session, running[0]),
            *(partial(istiods.connected, session, istiod) for istiod in running),
        ]
        asked = session.map(_call, asks)
        known, root, rows = asked[0], asked[1], istiods.latest(row for found in asked[2:] for row in found)
        refused = {name: row.refused for name, row in rows.items() if row.refused}
        return Before(known, refused, traces.made(session, changed, rows, root, known))
    except MeshwrightError as error:
        return Before(unknown=error.message)


def wait(
    target: Target,
    env: Environment,
    session: Session,
    written: Sequence[Object],
    deleted: Sequence[Object],
    before: Before,
) -> Taken | None:
    """Waits until the proxies have taken what was `written` and `deleted`, for at most 60 seconds and `istio.timeout`,
    and says so; None where none of it is for proxies, or where there provably is no istiod in the cluster.

    Warnings are said too: of istioctl, objects that no proxy uses, proxies that refused configuration before. Raises
    Unverified: an error of istioctl about an object, a proxy that refused it, an istiod or a proxy that did not have it
    in time, or one of these could not be asked.
    """
    written, deleted = [obj for obj in written if of_istio(obj)], [obj for obj in deleted if of_istio(obj)]
    if not written and not deleted:
        return None
    if _nobody(session, env):
        target.say(f"warning: not verified: namespace {env.istio.namespace} has no istiod, so no proxy was asked")
        return None
    began = time.monotonic()
    seconds = min(_LONGEST, env.istio.timeout)

    def proven() -> Proof:
        expected = pushes.expected(session, written, deleted)
        proving = Proving(session, env, expected, began + seconds, before.refused, before.made)
        return proving.run(written, _earlier(written, deleted, before))

    # istioctl takes as long as all the rest. An error of one must not hide what the other has found.
    analyzed, proof = session.map(outcome, [lambda: _analyzed(target, env, written), proven])
    failures = [each for each in (proof, analyzed) if isinstance(each, MeshwrightError)]
    if isinstance(proof, Proof):
        for sentence in proof.warnings:
            target.say(f"warning: {sentence}")
        failures[:0] = _failed(proof, before, seconds)
    if isinstance(analyzed, list):
        for finding in analyzed[:_SAID]:
            target.say(f"{finding.level.lower()}: istioctl analyze: {finding}")
        if len(analyzed) > _SAID:
            target.say(f"istioctl analyze has {len(analyzed) - _SAID} more findings about what was applied")
        errors = [finding for finding in analyzed if finding.level == "Error"]
        if errors:
            said = some([str(error) for error in errors], 1)
            failures.append(Unverified(f"istioctl analyze refutes what was applied: {said}", hint=_SUPPRESS))
    if failures:
        raise _joined(failures)
    assert isinstance(proof, Proof)
    taken = Taken(proof.count, proof.concerned, proof.istiods, time.monotonic() - began)
    target.say(str(taken))
    return taken


def _nobody(session: Session, env: Environment) -> bool:
    """Whether the environment's namespace has no istiod: it runs in another cluster, or is not installed yet."""
    deployments = partial(session.list, "apps/v1", "Deployment", env.istio.namespace, labels="app=istiod")
    return not istiods.ready(session, env) and not deployments()


def _call(ask: Callable[[], Any]) -> Any:
    return ask()


def _analyzed(target: Target, env: Environment, written: Sequence[Object]) -> list[analysis.Finding]:
    namespaces = {obj["metadata"]["namespace"] for obj in written if obj["metadata"].get("namespace")}
    found = analysis.analyze(target, env, namespaces)
    if found is None:
        target.say("warning: not verified: istioctl is not installed, so `istioctl analyze` was not run")
    return analysis.about(found or [], written)


def _earlier(written: Sequence[Object], deleted: Sequence[Object], before: Before) -> list[Object]:
    """What was changed or deleted, as istiod knew it; a deleted object that it did not know, as it was given."""
    known = {pushes.key(obj): obj for obj in before.objects}
    changed = [known[pushes.key(obj)] for obj in written if pushes.key(obj) in known]
    return [*changed, *(known.get(pushes.key(obj), obj) for obj in deleted)]


def _failed(proof: Proof, before: Before, seconds: float) -> list[MeshwrightError]:
    failures: list[MeshwrightError] = []
    if proof.refused:
        unsure = f" (whether it did before is not known: {before.unknown})" if before.unknown else ""
        what = f"{len(proof.refused)} of {counted(proof.concerned, 'proxy')} refused the configuration"
        failures.append(Unverified(f"{what}{unsure}: {_named(proof.refused)}", hint=_MEND))
    if proof.waiting:
        failures.append(
            Unverified(
                f"after {seconds:g} s not everybody has taken what was applied: {_named(proof.waiting)}",
                hint="The objects are in the cluster. `meshwright check` says when all proxies are in step",
            )
        )
    return failures


def _named(whys: Mapping[str, str]) -> str:
    return listed(f"{name}: {why}" for name, why in whys.items())


def _joined(failures: Sequence[MeshwrightError]) -> Unverified:
    """One error for all. What could not be asked is not verified either: the objects are written."""
    return Unverified("; ".join(each.message for each in failures), hint=failures[0].hint)
