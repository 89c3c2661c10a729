"""The addons: that each does what it is for, not only that its pods are ready; and that none is open by mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from meshwright import ingress
from meshwright.addons import asking, exposure, knocking
from meshwright.addons.table import ADDONS
from meshwright.check import Check, Failed
from meshwright.checks.facts import session
from meshwright.environment import Environment
from meshwright.target import Target
from meshwright.wording import counted

__all__ = ["CHECKS"]

Said = Callable[[Any], str]


def _prometheus(answer: Any) -> str:
    found = answer["data"]["result"]
    up = sum(each["value"][1] == "1" for each in found)
    if not up:
        raise Failed(f"it collects from nothing: {counted(len(found), 'target')}, none is up")
    return f"{up} of {counted(len(found), 'target')} are up"


def _grafana(answer: Any) -> str:
    if not answer:
        raise Failed("it lists no dashboards")
    return counted(len(answer), "dashboard")


def _jaeger(answer: Any) -> str:
    # None where nothing was traced yet: that is for the group telemetry.
    return f"{counted(len(answer['data'] or []), 'service')} with traces"


def _loki(answer: Any) -> str:
    if answer.get("status") != "success":
        raise Failed(f"it answers {answer.get('status')!r}")
    return counted(len(answer.get("data") or []), "label")


def _kiali(answer: Any) -> str:
    return counted(len(answer["elements"]["nodes"] or []), "node") + " in its graph"


_WORKS: Mapping[str, tuple[str, Said]] = {
    "prometheus": ("answers a query", _prometheus),
    "grafana": ("can list its dashboards", _grafana),
    "jaeger": ("can list the services that it has traces of", _jaeger),
    "loki": ("can list its labels", _loki),
    "kiali": ("can draw its graph", _kiali),
}


def _works(name: str, target: Target, env: Environment) -> str:
    live = session(target, env)
    said = _WORKS[name][1]
    path = ADDONS[name].asked.format(namespaces=",".join([*env.namespaces, env.ingress.namespace]))
    answer = asking.value(live, env, name, path)
    try:
        detail = said(answer)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise Failed(f"it answers with something else than {ADDONS[name].title} does") from None
    return f"{detail} (a stand-in)" if asking.backend(live, env, name).stand_in else detail


def _kept_out(target: Target, env: Environment) -> str:
    address = ingress.address(target, env)
    told = []
    for each in exposure.exposed(env):
        kind, where = each.exposure.authentication.kind, exposure.url(env, each, address)
        if kind == "none":
            told.append(f"{where} is open, as the values say")
        else:
            told.append(f"{where} answers {knocking.refused(target, env, each, address)}")
    return "; ".join(told)


CHECKS = (
    *(
        Check(
            group="addons",
            claim=f"{kind.title} {_WORKS[name][0]}",
            find=partial(_works, name),
            anchor=f"addon-{name}",
            hint="`meshwright plan {env.name} addons` shows what is missing of it",
            retry=30,
            needs=("api-server-ready",),
            applies=lambda env, name=name: env.addons.get(name) is not None,  # type: ignore[misc]
        )
        for name, kind in ADDONS.items()
    ),
    Check(
        group="addons",
        claim="exposed addons are closed to strangers",
        find=_kept_out,
        anchor="addons-guarded",
        hint="Take addons.NAME.exposure away, and apply, until you know why: whoever finds the domain gets in",
        retry=20,
        needs=("api-server-ready",),
        applies=lambda env: bool(exposure.exposed(env)),
    ),
)
