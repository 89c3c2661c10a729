"""Whether an object has left a trace in the configuration of proxies: one that fits nothing is accepted in silence.

Only what is certain is said. A route has a reference to its VirtualService in its metadata. An EnvoyFilter leaves none:
it is known to do nothing when what istiod makes is the same as before it, or when what it adds by name is nowhere; and
one of its patches, when the virtual host or route that it names is nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshwright import dumps, envoys, istiods
from meshwright.concerned import concerned
from meshwright.envoys import Proxy
from meshwright.errors import MeshwrightError
from meshwright.istiods import Row
from meshwright.kube import Session
from meshwright.wording import counted

__all__ = ["LARGEST", "found", "made", "unmatched", "untraced"]

Object = dict[str, Any]

LARGEST = 200
"""The most proxies whose config dumps are read."""

_FILTER = ("networking.istio.io", "EnvoyFilter")
# Config references are those of BuildConfigInfoMetadata in pilot/pkg/networking/util.
_REFERENCE = re.compile(rb"/namespaces/([^/\"]+)/virtual-service/([^/\"]+)\"")
_NAME = re.compile(rb'"name":\s*"([^"\\]*)"')
_ADDS = ("ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST")
# What is added there is in clusters, listeners or routes, under its own name.
_PLACES = ("HTTP_FILTER", "NETWORK_FILTER", "LISTENER_FILTER", "CLUSTER", "LISTENER", "HTTP_ROUTE", "VIRTUAL_HOST")
# What a patch of these kinds changes is one of that name.
_NAMED = ("VIRTUAL_HOST", "HTTP_ROUTE")


def _is_filter(obj: Object) -> bool:
    return (obj["apiVersion"].rpartition("/")[0], obj["kind"]) == _FILTER


def made(
    session: Session, changed: Iterable[Object], rows: Mapping[str, Row], root: str, objects: Sequence[Object]
) -> dict[str, str]:
    """The digest of what istiod makes for each proxy that an EnvoyFilter of `changed` concerns, by the proxy's id.
    Those that give no answer are not in it."""
    filters = [obj for obj in changed if _is_filter(obj)]
    if not filters:
        return {}
    proxies = [proxy for proxy in envoys.proxies(session) if proxy.id in rows]
    wanted = sorted({proxy for obj in filters for proxy in concerned(obj, proxies, root, objects)})

    def digest(proxy: Proxy) -> str:
        try:
            body = istiods.generated(session, rows[proxy.id].istiod, proxy.id)
            return dumps.parsed(body, str(rows[proxy.id].istiod)).digest
        except MeshwrightError:
            return ""

    digests = session.map(digest, wanted[:LARGEST])
    return {proxy.id: each for proxy, each in zip(wanted, digests, strict=False) if each}


def found(body: bytes) -> frozenset[str]:
    """What a config dump has of VirtualServices (`virtual-service NAMESPACE/NAME`) and of names (`name NAME`)."""
    routes = {f"virtual-service {space.decode()}/{name.decode()}" for space, name in _REFERENCE.findall(body)}
    return frozenset(routes | {f"name {name.decode()}" for name in _NAME.findall(body)})


def untraced(
    obj: Object,
    who: Sequence[Proxy],
    traces: Mapping[str, frozenset[str]],
    now: Mapping[str, str],
    was: Mapping[str, str],
) -> str:
    """Why `obj` provably does nothing in the proxies `who`, "" when it may do something. By the id of each proxy,
    `traces` is what `found` gives, `now` and `was` are digests of its configuration after and before the write."""
    if not all(proxy.id in traces for proxy in who):
        return ""
    count = counted(len(who), "proxy")
    seen = frozenset().union(*(traces[proxy.id] for proxy in who))
    if _is_filter(obj):
        if all(proxy.id in was and was[proxy.id] == now[proxy.id] for proxy in who):
            return f"it changes nothing in the {count} that it selects; its match may fit nothing there"
        names = _added(obj)
        if names and not any(f"name {name}" in seen for name in names):
            return f"nothing that it adds is in the {count} that it selects; its match may fit nothing there"
        return ""
    routed = f"virtual-service {obj['metadata'].get('namespace')}/{obj['metadata']['name']}" in seen
    if obj["kind"] == "VirtualService" and _only_http(obj["spec"] or {}) and not routed:
        return f"no route of the {count} that it may concern comes from it; its hosts may be nobody's"
    return ""


def unmatched(obj: Object, who: Sequence[Proxy], traces: Mapping[str, frozenset[str]]) -> str:
    """Why a patch of `obj` provably fits nothing in the proxies `who`, "" when each may fit something: it changes a
    virtual host or a route, by a name that none of them has. `traces` is as for `untraced`."""
    if not _is_filter(obj) or not all(proxy.id in traces for proxy in who):
        return ""
    seen = frozenset().union(*(traces[proxy.id] for proxy in who))
    count = counted(len(who), "proxy")
    for number, patch in enumerate((obj["spec"] or {}).get("configPatches") or []):
        if patch.get("applyTo") not in _NAMED or (patch.get("patch") or {}).get("operation") != "MERGE":
            continue
        host = ((patch.get("match") or {}).get("routeConfiguration") or {}).get("vhost") or {}
        for what, name in (("virtual host", host.get("name")), ("route", (host.get("route") or {}).get("name"))):
            if name and "\\" not in json.dumps(name) and f"name {name}" not in seen:
                return f"configPatches[{number}] fits nothing: no {what} {name} is in the {count} that it selects"
    return ""


def _added(obj: Object) -> list[str]:
    """The names that it adds; empty when any of its patches does something else."""
    names = []
    for patch in (obj["spec"] or {}).get("configPatches") or []:
        what = patch.get("patch") or {}
        name = (what.get("value") or {}).get("name")
        if what.get("operation") not in _ADDS or patch.get("applyTo") not in _PLACES or not name:
            return []
        names.append(name)
    return names


def _only_http(spec: Object) -> bool:
    return bool(spec.get("hosts") and spec.get("http")) and not (spec.get("tls") or spec.get("tcp"))
