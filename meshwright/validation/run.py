"""Validation of an environment without a cluster: its objects are made, and every rule looks at all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshwright import bookinfo, manifests, resources, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.manifests import Manifest
from meshwright.target import Target
from meshwright.validation import policies, routes
from meshwright.validation.finding import Finding, Level
from meshwright.validation.world import World, things

__all__ = ["RULES", "Validated", "validate"]

RULES = (*routes.RULES, *policies.RULES)


@dataclass(frozen=True)
class Validated:
    """What came of it. `objects` is how many were looked at; `skipped` are sentences about what was not."""

    objects: int
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]

    def count(self, level: Level) -> int:
        """How many findings are of this level."""
        return sum(finding.level is level for finding in self.findings)


def validate(target: Target, env: Environment) -> Validated:
    """Every finding about the environment's objects, in the order of the rules. No cluster is asked.

    Raises BadInput, as `resources.wanted` does: an object cannot be made at all.
    """
    skipped: list[str] = []
    own = _own(target, env, skipped)
    sample = _sample(target, env, skipped)
    world = World(env, things(env, [*own, *sample]), skipped)
    findings = _findings(world, {id(manifest) for manifest in own})
    skipped.append("what others have put into the cluster, and pods and their labels: that needs a cluster")
    return Validated(len(own), findings, tuple(dict.fromkeys(skipped)))


def _findings(world: World, own: set[int]) -> tuple[Finding, ...]:
    found = [
        Finding(rule.name, rule.level, one.place, one.thing.title, one.sentence, one.hint or rule.says)
        for rule in RULES
        for one in rule.look(world)
        # The sample is there to be named by others; what it is itself is not the environment's business.
        if id(one.thing.manifest) in own
    ]
    return tuple(dict.fromkeys(found))


def _own(target: Target, env: Environment, skipped: list[str]) -> list[Manifest]:
    try:
        return resources.wanted(target, env)
    except MeshwrightError:
        root, paths = target.project.root, env.resources.manifests
        built = manifests.kustomized(root, paths)
        if not built or tools.installed(target, env, "kubectl") is not None:
            raise
    # A kustomize folder is built by kubectl, which is not there yet.
    skipped.append(f"{', '.join(built)}: kubectl builds it, and `meshwright apply {env.name} tools` installs that")
    return resources.wanted(target, env, without=built)


def _sample(target: Target, env: Environment, skipped: list[str]) -> Iterable[Manifest]:
    if not env.bookinfo.enabled:
        return []
    try:
        return [Manifest(obj, "the Bookinfo sample") for obj in bookinfo.wanted(target, env)]
    except MeshwrightError:
        skipped.append(f"the Bookinfo sample: `meshwright apply {env.name} tools` installs it")
        return []
