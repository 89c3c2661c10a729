"""The ingress gateway: where it answers, and that a request from outside arrives."""

from __future__ import annotations

from meshwright import ingress, probe
from meshwright.check import Check, Failed
from meshwright.checks import sample
from meshwright.environment import Environment
from meshwright.target import Target

__all__ = ["CHECKS"]


def _address(target: Target, env: Environment) -> ingress.Address:
    # Kept for the request: waiting for a load balancer once is enough.
    return target.shared.get(("ingress", env.name), lambda: ingress.address(target, env))


def _known(target: Target, env: Environment) -> str:
    target.shared.forget(("ingress", env.name))
    found = _address(target, env)
    return f"{found.url}, by its {found.how}"


def _answers(target: Target, env: Environment) -> str:
    url = f"{_address(target, env).url}/productpage"
    page = probe.get(target, url)
    if page.status != 200:
        raise Failed(f"{url} answers {page.status}: {page.text.strip()[:80]!r}")
    if why := sample.faults(page.text):
        raise Failed(f"{url}: {why}")
    return f"{url} in {page.seconds * 1000:.0f} ms"


CHECKS = (
    Check(
        group="ingress",
        claim="the address of the ingress gateway is known",
        find=_known,
        anchor="ingress-address",
        hint="`kubectl -n {env.ingress.namespace} get service {env.ingress.service}` shows what the Service has",
        needs=("api-server-ready",),
    ),
    Check(
        group="ingress",
        claim="a request from outside is answered by Bookinfo",
        find=_answers,
        anchor="ingress-answers",
        hint="503 is a way that ends behind the gateway, 404 one that has no route; `istioctl analyze` helps with both",
        retry=20,
        needs=("ingress-address",),
        applies=sample.enabled,
    ),
)
