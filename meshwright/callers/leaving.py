"""Who still names what goes away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.callers.asking import Ask, asks, place
from meshwright.callers.offers import Offers
from meshwright.errors import Forbidden
from meshwright.kube import Session
from meshwright.matching import dig, items

__all__ = ["KINDS", "Still", "noted", "still"]

Object = dict[str, Any]

_ISTIO, _SECURITY, _API = "networking.istio.io/v1", "security.istio.io/v1", "gateway.networking.k8s.io/v1"
_INTO = ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar")
_GUARDS = ("AuthorizationPolicy", "RequestAuthentication")
KINDS = (
    ("v1", "Service"),
    *((_ISTIO, kind) for kind in _INTO),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    *((_SECURITY, kind) for kind in _GUARDS),
    ("telemetry.istio.io/v1", "Telemetry"),
    ("extensions.istio.io/v1alpha1", "WasmPlugin"),
    *((_API, kind) for kind in ("Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "BackendTLSPolicy")),
)
"""The kinds of objects that name others or are named, as apiVersion and kind."""


_MOST = 5
# Where this is lost, so is what is a part of it, and is not said again: with how many of its words.
_PART_OF = {"served": ("gateway", 2), "port": ("host", 1), "listener": ("parent", 2), "route": ("vhost", 1)}


@dataclass(frozen=True)
class Still:
    """`caller` names `ask`, which `by` has now and nobody will."""

    caller: Object
    ask: Ask
    by: Object

    def __str__(self) -> str:
        return f"{self.caller['kind']} {'/'.join(filter(None, place(self.caller)))} names {self.ask}"


def still(
    before: Sequence[Object], after: Sequence[Object], others: Callable[[], Iterable[Object]], domain: str
) -> list[Still]:
    """Who of `others` names something that is there now and goes away, in the order of `others`.

    `before` are the live objects that `after` replaces, or that are deleted. `others`, which stay as they are, are
    asked for only where something goes away.
    """
    if not _lost(Offers(before, domain), Offers(after, domain)):
        return []
    rest = list(others())
    was, now = Offers([*rest, *before], domain), Offers([*rest, *after], domain)
    found = []
    for caller in rest:
        gone: set[tuple[str, tuple[str, ...]]] = set()
        for ask in asks(caller, domain):
            by = None if now.by(ask) else was.by(ask)
            what, words = _PART_OF.get(ask.what, ("", 0))
            if by is None or (ask.what, ask.words) in gone:
                continue
            gone.add((ask.what, ask.words))
            if (what, ask.words[:words]) not in gone:
                found.append(Still(caller, ask, by))
    return found


def _lost(was: Offers, now: Offers) -> bool:
    """Whether anything that can be named is gone. An object that stays as it is loses nothing."""
    for (of_api, kind), objects in was.all.items():
        for key, obj in objects.items():
            after = now.all[of_api, kind].get(key)
            if after is None or _named(obj) - _named(after):
                return True
    return False


def _named(obj: Object) -> set[tuple[str, str]]:
    """The parts of an object that others name."""
    found: set[tuple[str, str]] = set()
    for key in ("subsets", "servers", "listeners", "ports", "hosts", "http", "gateways", "hostnames"):
        for part in items(obj, "spec", key):
            found.add((key, part if isinstance(part, str) else str(dig(part, "name"))))
            for port in (dig(part, "port"), dig(part, "port", "number"), dig(part, "number")):
                found.add((key, str(port) if isinstance(port, int) else ""))
            found |= {(key, str(host)) for host in items(part, "hosts")}
    found.add(("host", str(dig(obj, "spec", "host"))))
    return found


def noted(session: Session, before: Sequence[Object], after: Sequence[Object], domain: str) -> list[str]:
    """Sentences for a plan: who else in the cluster names what `before` has and `after` no longer. The cluster is asked
    only where something goes away; where it does not let us look, that is said."""
    if not before:
        return []
    ours = {_key(obj) for obj in (*before, *after)}

    def others() -> list[Object]:
        listed = session.map(lambda kind: session.list(*kind), KINDS)
        return [obj for objs in listed for obj in objs if _key(obj) not in ours]

    try:
        found = [
            f"{each}, which goes away: it would be left without it" for each in still(before, after, others, domain)
        ]
    except Forbidden as error:
        return [f"not verified: whether others name what goes away: {error.message}"]
    more = [f"{len(found) - _MOST} more name what goes away: `meshwright validate ENV --cluster` lists them"]
    return found[:_MOST] + (more if len(found) > _MOST else [])


def _key(obj: Object) -> tuple[str, str, str, str]:
    return str(obj["apiVersion"]).rpartition("/")[0], str(obj["kind"]), *place(obj)
