"""The difference between two sets of values, in the words of the mesh: weights, hosts, timeouts, versions, routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshwright import difference
from meshwright.plan import Action, Change, Field
from meshwright.promotion.routes import ROUTES, Said, routes

__all__ = ["Differing", "between"]

_OBJECTS = "resources"
_GATEWAY_API = "gateway_api"
# How a kind's section is called where people read it; any other by its own key.
_KINDS = {
    "virtual_services": "VirtualService",
    "destination_rules": "DestinationRule",
    "service_entries": "ServiceEntry",
    "gateways": "Gateway",
    "egress": "Egress",
    "sidecars": "Sidecar",
    "peer_authentications": "PeerAuthentication",
    "request_authentications": "RequestAuthentication",
    "authorization_policies": "AuthorizationPolicy",
    "telemetries": "Telemetry",
    "rate_limits": "RateLimit",
    "credentials": "Credential",
    "secrets": "Secret",
    "gateway_api.gateways": "Gateway (Gateway API)",
    "gateway_api.http_routes": "HTTPRoute",
    "gateway_api.grpc_routes": "GRPCRoute",
    "gateway_api.tls_routes": "TLSRoute",
    "gateway_api.reference_grants": "ReferenceGrant",
    "gateway_api.backend_tls_policies": "BackendTLSPolicy",
}


@dataclass(frozen=True)
class Differing:
    """One thing that differs: `kind` and `name` as people say them, and a sentence for each part of it."""

    action: Action
    kind: str
    name: str
    said: tuple[Said, ...] = field(default=())

    @property
    def change(self) -> Change:
        """The same as a record keeps it."""
        fields = tuple(Field(each.what, each.before, each.after) for each in self.said)
        return Change(self.action, self.kind, self.name, fields)

    def lines(self) -> Iterator[str]:
        """As people read it: a header, then one line for each part."""
        yield f"{self.action.value} {self.kind} {self.name}".rstrip()
        for each in self.said:
            yield f"    {each}"

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "action": self.action.name.lower(),
            "kind": self.kind,
            "name": self.name,
            "changes": [{"what": each.what, "before": each.before, "after": each.after} for each in self.said],
        }


def between(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    files: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> list[Differing]:
    """What differs between two sets of values of the sections that travel, and between the manifest files that they
    name (their sha256 by path), before and after."""
    found = [
        *_section("tools", before, after),
        *_section("istio", before, after),
        *_by_name("Namespace", before.get("namespaces"), after.get("namespaces")),
        *_section("bookinfo", before, after),
        *_section("addons", before, after),
        *_objects(before.get(_OBJECTS) or {}, after.get(_OBJECTS) or {}),
    ]
    one, other = files
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            action = Action.ADD if path not in one else Action.DESTROY if path not in other else Action.CHANGE
            found.append(Differing(action, "Manifest", path))
    return found


def _section(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Differing]:
    said = tuple(_fields(before.get(name) or {}, after.get(name) or {}))
    if said:
        yield Differing(Action.CHANGE, name, "", said)


def _objects(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Differing]:
    one, other = _flat(before), _flat(after)
    for section in sorted(one.keys() | other.keys(), key=lambda each: (each not in _KINDS, each)):
        old, new = one.get(section), other.get(section)
        if section in _KINDS or (isinstance(old or new, dict) and "/" in next(iter(old or new or {}), "")):
            yield from _by_name(_KINDS.get(section, section), old, new, section)
        elif old != new:
            yield Differing(Action.CHANGE, _OBJECTS, "", tuple(_fields({section: old}, {section: new})))


def _flat(resources: Mapping[str, Any]) -> dict[str, Any]:
    api = resources.get(_GATEWAY_API) or {}
    rest = {name: value for name, value in resources.items() if name != _GATEWAY_API}
    return rest | {f"{_GATEWAY_API}.{name}": value for name, value in api.items()}


def _by_name(kind: str, before: Any, after: Any, section: str = "") -> Iterator[Differing]:
    one, other = before or {}, after or {}
    for name in sorted(one.keys() | other.keys()):
        old, new = one.get(name), other.get(name)
        if old == new and (name in one) == (name in other):
            continue
        if old is None:
            yield Differing(Action.ADD, kind, name, tuple(_of_new(section, new)))
        elif new is None:
            yield Differing(Action.DESTROY, kind, name)
        else:
            said = tuple(_of_changed(section, old, new))
            if said:
                yield Differing(Action.CHANGE, kind, name, said)


def _of_new(section: str, values: Any) -> Iterator[Said]:
    if not isinstance(values, dict):
        return
    for key in ("hosts", "hostnames"):
        if values.get(key):
            yield Said(key, None, values[key])
    for part in ROUTES.get(section, ()):
        yield from routes([], values.get(part) or [], part)


def _of_changed(section: str, before: Any, after: Any) -> Iterator[Said]:
    parts = ROUTES.get(section, ())
    for part in parts:
        yield from routes(before.get(part) or [], after.get(part) or [], part, _fields)
    one, other = ({key: value for key, value in each.items() if key not in parts} for each in (before, after))
    yield from _fields(one, other)


def _fields(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[Said]:
    """Every value that differs, by its path."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        name = f"{path}.{key}" if path else key
        if old == new and isinstance(old, bool) == isinstance(new, bool):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _fields(old, new, name)
        elif _words(old) or _words(new):
            yield Said(name, old, new)
        else:
            for each in difference.between(_wrapped(old), _wrapped(new)):
                yield Said(name + each.path.removeprefix("value"), each.before, each.after)


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _wrapped(value: Any) -> dict[str, Any]:
    return {"kind": "", "metadata": {}, "value": value}
