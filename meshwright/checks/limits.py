"""Rate limits: that the patches of an EnvoyFilter have matched. One that matches nothing is accepted in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from meshwright import envoys
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import session
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.target import Target
from meshwright.wording import counted

__all__ = ["CHECKS"]

_LOCAL, _ASKED = "envoy.filters.http.local_ratelimit", "envoy.filters.http.ratelimit"
_DUMP = "/config_dump"


def _limits(env: Environment) -> dict[str, Any]:
    # Of an environment without objects there is nothing to import for this.
    return getattr(env.resources, "rate_limits", None) or {}


def _patched(target: Target, env: Environment) -> str:
    live = session(target, env)
    everyone = envoys.proxies(live)
    looked = 0
    for key, limit in _limits(env).items():
        namespace = key.partition("/")[0]
        found = [
            proxy
            for proxy in everyone
            if (proxy.namespace == namespace or namespace == env.istio.namespace)
            and limit.workload.items() <= proxy.labels.items()
        ]
        if not found:
            raise Failed(f"{key}: no proxy has the labels {', '.join(f'{k}={v}' for k, v in limit.workload.items())}")
        for proxy, answer in zip(found, envoys.ask_all(live, found, _DUMP), strict=True):
            if isinstance(answer, MeshwrightError):
                raise NotVerified(f"{proxy} does not say what it has: {answer.message}")
            if missing := next(_missing(limit, json.loads(answer)), ""):
                raise Failed(f"{key}: {missing} in the configuration of {proxy}, so nothing is limited there")
            looked += 1
    return f"in {counted(looked, 'proxy')}"


def _missing(limit: Any, dump: Any) -> Iterator[str]:
    """What of a limit is not in a configuration, in words that go before "in the configuration of"."""
    filters = {name for name in (_LOCAL, _ASKED) if f'"{name}"' in json.dumps(_parts(dump, "ListenersConfigDump"))}
    if (limit.local or any(route.local for route in limit.routes)) and _LOCAL not in filters:
        yield f"there is no filter {_LOCAL}"
    if limit.service and _ASKED not in filters:
        yield f"there is no filter {_ASKED}"
    hosts = {host.get("name"): host for host in _walk(_parts(dump, "RoutesConfigDump")) if "domains" in host}
    for wanted in limit.routes:
        host = hosts.get(wanted.vhost)
        if host is None:
            yield f"there is no virtual host {wanted.vhost}"
            continue
        places = [host]
        if wanted.route:
            places = [route for route in host.get("routes", []) if route.get("name") == wanted.route]
            if not places:
                yield f"{wanted.vhost} has no route {wanted.route}"
        for place in places:
            if wanted.local and _LOCAL not in (place.get("typed_per_filter_config") or {}):
                yield f"{wanted.vhost} has no local limit"
            inner = place.get("route", {}) if wanted.route else place
            if wanted.rate_limits and not inner.get("rate_limits"):
                yield f"{wanted.vhost} has no descriptors"


def _parts(dump: Any, kind: str) -> list[Any]:
    return [part for part in dump.get("configs", []) if str(part.get("@type", "")).endswith(kind)]


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in `value`, itself too."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(inner)


CHECKS = (
    Check(
        group="data-plane",
        claim="the rate limits are in the configuration of their proxies",
        find=_patched,
        anchor="rate-limits",
        hint="`meshwright validate {env.name}` finds virtual hosts that are not there",
        retry=20,
        needs=("api-server-ready",),
        applies=lambda env: bool(_limits(env)),
    ),
)
