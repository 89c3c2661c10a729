"""The looks at certificates as steps that only check: what deploys/certs_*.py are made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from meshwright import cluster
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.plan import Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["check_root", "check_version", "live", "status", "verify"]

# Each imports what it needs when it is made: a deploy file is read for its names alone too.
Look = Callable[[Target, Environment], tuple[bool, str, Sequence[str]]]
"""Whether it is fine, the closing sentence, and what is to be told."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _check_root(target: Target, env: Environment) -> tuple[bool, str, Sequence[str]]:
    from meshwright.certs import finding, root, textfile

    found = root.check(cluster.answering(target, env), env, _now())
    if env.certs.textfile:
        textfile.write(target, env.certs.textfile, found, env.name)
    bad = [each for each in found.all if each.state != "ok"]
    first = min(found.rows, key=lambda row: row.certificate.not_after, default=None)
    told = f"{len(found.rows)} certificates watched, authority: {found.authority.kind}"
    if first is not None:
        told += f"; the first to end is {first.role} {first.name}, on {first.certificate.not_after:%Y-%m-%d %H:%M} UTC"
    return found.ok, told, list(finding.lines(bad))


def _check_version(target: Target, env: Environment) -> tuple[bool, str, Sequence[str]]:
    from meshwright.certs import finding, inventory

    found = inventory.check(cluster.answering(target, env), env)
    bad = [each for each in found.findings if each.state != "ok"]
    told = f"{len(found.parts)} pods looked at; the oldest version is {found.oldest or 'not known'}"
    return found.ok, told, list(finding.lines(bad))


def _verify(target: Target, env: Environment) -> tuple[bool, str, Sequence[str]]:
    from meshwright.certs import finding, trust

    found = trust.verify(cluster.answering(target, env), env, _now())
    told = ", ".join(f"{good} of {whole} {kind}" for kind, good, whole in found.tally())
    return found.ok, f"in order: {told or 'nothing'}", list(finding.lines(found.laggards))


def _live(target: Target, env: Environment) -> tuple[bool, str, Sequence[str]]:
    from meshwright.certs import live as page

    found = page.look(cluster.answering(target, env))
    silent = [f"{each.proxy}: {each.error.message}" for each in found if each.error is not None]
    shown = [f"{each.proxy}: {one.use} {one.serial} until {one.expires}" for each in found for one in each.details]
    return not silent, f"{len(found) - len(silent)} of {len(found)} proxies answered", [*shown, *silent]


def _status(target: Target, env: Environment) -> tuple[bool, str, Sequence[str]]:
    from meshwright.certs import finding, phase, trust

    session = cluster.answering(target, env)
    at = phase.where(session, trust.verify(session, env, _now()))
    return at.stable, f"{at.phase}, {'stable' if at.stable else 'under way'}", list(finding.lines(at.waiting))


def _step(name: str, look: Look, hint: str) -> Step:
    def plan(_target: Target, _env: Environment) -> Plan:
        return Plan(name, digest(name))

    def apply(target: Target, env: Environment, _plan: Plan) -> None:
        fine, told, lines = look(target, env)
        for line in lines:
            target.say(line.strip())
        if not fine:
            first = next((line.strip() for line in lines), "nothing was there to look at")
            raise MeshwrightError(f"{name} does not hold ({told}), first: {first}", hint=hint)
        target.say(told)

    return Step(name, plan, apply, check=True)


check_root = _step("certs-check-root", _check_root, "`meshwright certs check-root ENV` shows all of it")
"""Fails when a certificate is below a threshold of the environment; writes its textfile."""

check_version = _step("certs-check-version", _check_version, "`meshwright certs check-version ENV` shows all of it")
"""Fails when a version makes a change of the root impossible, or is not known."""

verify = _step("certs-verify", _verify, "`meshwright certs verify ENV` names all that lag, and what to do")
"""Fails when something does not trust, or present, what everything should."""

live = _step("certs-live", _live, "`meshwright certs live ENV` shows each proxy")
"""Tells what every Envoy presents and trusts; fails when one gives no answer."""

status = _step("certs-status", _status, "`meshwright certs status ENV` says what may be done")
"""Fails while a change of the root is under way, or was left."""
