"""The certificates of the environment's credentials: that they are there and last, and what cert-manager says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import counted, session
from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import Session
from meshwright.target import Target

__all__ = ["CHECKS"]


def _credentials(env: Environment) -> dict[str, Any]:
    # Of an environment without objects there is nothing to import for this.
    return getattr(env.resources, "credentials", None) or {}


def _ends(live: Session, env: Environment) -> Iterator[tuple[str, dt.datetime]]:
    """When the certificate of each credential ends. Raises Failed: one has none; NotVerified: it cannot be seen."""
    from meshwright import renewals
    from meshwright.certs import consumers
    from meshwright.certs.mesh import look

    presented = None
    for name in _credentials(env):
        namespace, _, own = name.partition("/")
        try:
            secret = live.get("v1", "Secret", own, namespace)
        except Forbidden as error:
            # Few may read Secrets; what a gateway presents can be seen all the same.
            if presented is None:
                presented = consumers.workloads(live, look(live, env))
            seen = consumers.served(consumers.Credential(name, (), unseen=True), presented)
            if not seen.chain:
                raise NotVerified(f"{name}: {error.message}, and no gateway presents it") from None
            yield name, min(one.not_after for one in seen.chain)
            continue
        if secret is None:
            raise Failed(f"there is no Secret {name}")
        ends = renewals.end(secret)
        if ends is None:
            raise Failed(f"Secret {name} has no certificate that can be read")
        yield name, ends


def _left(target: Target, env: Environment, least: int) -> str:
    live, now = session(target, env), dt.datetime.now(dt.UTC)
    found = list(_ends(live, env))
    name, ends = min(found, key=lambda each: each[1])
    days = (ends - now).days
    until = f"until {ends:%Y-%m-%d %H:%M} UTC"
    if ends <= now:
        raise Failed(f"the certificate of {name} has expired: {until}")
    if days < least:
        raise Failed(f"the certificate of {name} has {counted(days, 'day')} left, fewer than {least}: {until}")
    return f"{counted(len(found), 'credential')}, the first {name} {until}"


def _last(target: Target, env: Environment) -> str:
    return _left(target, env, env.certs.gateway_days_fail)


def _renewed(target: Target, env: Environment) -> str:
    from meshwright import renewals

    live, said = session(target, env), []
    kind = live.preferred(renewals.CERT_MANAGER, "Certificate")
    for name, credential in _credentials(env).items():
        if credential.kind == "cert_manager":
            if kind is None:
                raise Failed(f"{name} is of cert-manager, whose CRDs are not in the cluster")
            namespace, _, own = name.partition("/")
            sentence = renewals.of_cert_manager(name, live.get(kind.api_version, "Certificate", own, namespace))
            if ": Ready" not in sentence:
                raise Failed(sentence)
            said.append(sentence)
    return "; ".join([_left(target, env, env.certs.gateway_days_warn), *said])


CHECKS = (
    Check(
        group="credentials",
        claim="every credential has a certificate that lasts",
        find=_last,
        anchor="credential-lasts",
        hint="`meshwright plan {env.name} resources` says what is renewed, and which file must be replaced",
        retry=20,
        needs=("api-server-ready",),
        applies=lambda env: bool(_credentials(env)),
    ),
    Check(
        group="credentials",
        claim="no certificate of a credential is due to be renewed",
        find=_renewed,
        anchor="credential-renewed",
        hint="`meshwright plan {env.name} resources` says what is renewed, and which file must be replaced",
        fatal=False,
        needs=("credential-lasts",),
        applies=lambda env: bool(_credentials(env)),
    ),
)
