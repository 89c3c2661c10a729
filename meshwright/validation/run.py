"""Validation of an environment: its objects are made, and every rule looks at all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meshwright import bookinfo, manifests, resources, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.manifests import Manifest
from meshwright.target import Target
from meshwright.validation import (
    analyzed,
    api,
    exposed,
    hosts,
    leaving,
    limits,
    live,
    policies,
    routes,
    shadowing,
    shapes,
    taking,
    traffic,
    twofold,
)
from meshwright.validation.finding import Broken, Finding, Level
from meshwright.validation.lines import Lines
from meshwright.validation.mounted import gateway_pods
from meshwright.validation.world import Thing, World, things

__all__ = ["RULES", "Validated", "validate"]

RULES = (
    *routes.RULES,
    *hosts.RULES,
    *taking.RULES,
    *shadowing.RULES,
    *leaving.RULES,
    *api.RULES,
    *twofold.RULES,
    *policies.RULES,
    *exposed.RULES,
    *traffic.RULES,
    *limits.RULES,
)


@dataclass(frozen=True)
class Validated:
    """What came of it. `objects` is how many were looked at; `skipped` are sentences about what was not."""

    objects: int
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]

    def count(self, level: Level) -> int:
        """How many findings are of this level."""
        return sum(finding.level is level for finding in self.findings)


def validate(target: Target, env: Environment, session: Session | None = None) -> Validated:
    """Every finding about the environment's objects, in the order of the rules. Without a `session` it asks no cluster.

    Raises BadInput, as `resources.wanted` and `exposure.rendered` do: an object cannot be made at all. Unreachable: the
    cluster gives no answer.
    """
    skipped: list[str] = []
    own = [*_own(target, env, skipped), *exposed.wanted(target, env)]
    beside = list(_sample(target, env, skipped)) if session is None else []
    said: list[Finding] = []
    lines = Lines(target.project.root)
    if session is None:
        world = World(env, things(env, [*own, *beside]), skipped)
        skipped.append(
            "what others have put into the cluster, pods, and what its API server says beyond schemas (the CEL rules "
            "of CRDs, webhooks): that takes --cluster"
        )
        unasked: Sequence[Manifest] = own
    else:
        found = live.seen(session, env, own, skipped)
        # Before the same pods without their specs.
        pods = gateway_pods(session, own, env, skipped)
        world = World(
            env,
            things(env, [*own, *pods, *found.others, *exposed.services(env, [*own, *found.others])]),
            skipped,
            found.known,
            found.hidden,
            things(env, found.leave),
        )
        refused, unasked = live.refused(session, own, skipped)
        said += [_refused(env, each, lines) for each in refused]
    said += shapes.shaped(target, env, unasked, skipped)
    said = [*_findings(world, {id(manifest) for manifest in own}, lines), *said]
    said += analyzed.analyzed(target, env, session, own, beside, said, skipped)
    return Validated(len(own), tuple(said), tuple(dict.fromkeys(skipped)))


def _refused(env: Environment, one: live.Refusal, lines: Lines) -> Finding:
    thing = Thing(one.manifest, env)
    place = shapes.place(thing, lines, one.path)
    return Finding("refused", Level.ERROR, place, thing.title, one.sentence, "The API server was asked by a dry run")


def _findings(world: World, own: set[int], lines: Lines) -> tuple[Finding, ...]:
    for rule in RULES:
        for kind in world.hidden.intersection(rule.needs):
            world.skipped.append(f"the rule {rule.name}: it takes the right to list every {kind}")
    found = [
        Finding(rule.name, rule.level, _place(one, lines), one.thing.title, one.sentence, one.hint or rule.says)
        for rule in RULES
        if not world.hidden.intersection(rule.needs)
        for one in rule.look(world)
        # The sample is there to be named by others; what it is itself is not the environment's business.
        if rule.others or id(one.thing.manifest) in own
    ]
    return tuple(dict.fromkeys(found))


def _place(one: Broken, lines: Lines) -> str:
    return lines.place(one.thing.manifest, ("spec", *one.path)) if one.place == one.thing.manifest.place else one.place


def _own(target: Target, env: Environment, skipped: list[str]) -> list[Manifest]:
    try:
        return resources.wanted(target, env, unread=skipped)
    except MeshwrightError:
        root, paths = target.project.root, env.resources.manifests
        built = manifests.kustomized(root, paths)
        if not built or tools.installed(target, env, "kubectl") is not None:
            raise
    # A kustomize folder is built by kubectl, which is not there yet.
    skipped.append(f"{', '.join(built)}: kubectl builds it, and `meshwright apply {env.name} tools` installs that")
    return resources.wanted(target, env, without=built, unread=skipped)


def _sample(target: Target, env: Environment, skipped: list[str]) -> Iterable[Manifest]:
    if not env.bookinfo.enabled:
        return []
    try:
        return [Manifest(obj, "the Bookinfo sample") for obj in bookinfo.wanted(target, env)]
    except MeshwrightError:
        skipped.append(f"the Bookinfo sample: `meshwright apply {env.name} tools` installs it")
        return []
