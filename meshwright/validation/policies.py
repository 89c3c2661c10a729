"""Rules about gateways, certificates, mutual TLS, policies and rate limits."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from meshwright.environment.problems import nearest
from meshwright.matching import covers, dig, items, meets
from meshwright.rendering.credentials import certificate
from meshwright.validation import mounted
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]

Server = tuple[Thing, int, dict[str, Any]]


def _servers(world: World) -> Iterator[Server]:
    for gateway in world.of("Gateway"):
        for index, server in enumerate(gateway.all("servers")):
            if isinstance(server, dict):
                yield gateway, index, server


def _overlaps(world: World) -> Iterator[Broken]:
    known: dict[Any, list[Server]] = {}
    for gateway, index, server in _servers(world):
        number, protocol = dig(server, "port", "number"), _family(dig(server, "port", "protocol"))
        hosts = _hosts(server)
        for other, at, earlier in known.get(number, ()):
            if not _same_pods(gateway, other):
                continue
            both = sorted(hosts & _hosts(earlier))
            there = _family(dig(earlier, "port", "protocol"))
            if both and dig(earlier, "tls") != dig(server, "tls"):
                sentence = (
                    f"{both[0]} at port {number} is in {other.title} ({other.at('servers', at)}) with another TLS"
                )
                yield broken(gateway, sentence, "servers", index, hint="Only the older of the two is taken")
            elif there != protocol and {there, protocol} != {"HTTPS", "TLS"}:
                sentence = (
                    f"port {number} speaks {protocol} here and {there} in {other.title} ({other.at('servers', at)})"
                )
                yield broken(gateway, sentence, "servers", index, hint="A port of a gateway speaks one protocol")
        known.setdefault(number, []).append((gateway, index, server))


def _hosts(server: dict[str, Any]) -> set[str]:
    """The hosts of a server, without the namespaces whose routes it takes."""
    return {str(host).rpartition("/")[2] for host in items(server, "hosts")}


def _family(protocol: Any) -> str:
    """HTTP in any version is one protocol to a listener."""
    found = str(protocol).upper()
    return "HTTP" if found in ("HTTP2", "GRPC", "GRPC-WEB") else found


def _same_pods(one: Thing, other: Thing) -> bool:
    """Whether a pod that has the labels of the one has those of the other, for certain."""
    labels, others = one.get("selector") or {}, other.get("selector") or {}
    if not isinstance(labels, dict) or not isinstance(others, dict):
        return False
    return labels.items() <= others.items() or others.items() <= labels.items()


def _selectors(world: World) -> Iterator[Broken]:
    for gateway in world.of("Gateway"):
        labels = gateway.get("selector")
        if not isinstance(labels, dict) or "Pod" not in world.known:
            continue
        shown = ", ".join(f"{key}={value}" for key, value in labels.items())
        if world.pods(labels) is False:
            yield broken(gateway, f"no pod has the labels {shown}", "selector", hint="It opens no port anywhere")
        elif all(world.is_sidecar(pod) for pod in world.of("Pod") if world.has(pod, labels)):
            sentence = f"the pods with the labels {shown} are no gateways: they have a sidecar"
            yield broken(gateway, sentence, "selector", hint="It opens no port there: select the gateway's pods")


def _credentials(world: World) -> Iterator[Broken]:
    known = {(thing.namespace, thing.name) for thing in world.of("Secret", "ConfigMap")}
    whose = "the cluster has" if "Secret" in world.known else "these values have"
    known |= {(thing.namespace, str(thing.get("secretName"))) for thing in world.of("Certificate")}
    for gateway, path, namespace, name in _named(world):
        if (namespace, name) not in known:
            near = nearest(name, sorted(there for space, there in known if space == namespace))
            elsewhere = next((space for space, there in sorted(known) if there == name), "")
            hint = f"There is one in {elsewhere}: gateways look in their own namespace" if elsewhere else ""
            hint = hint or (f"The nearest is {near}" if near else "Write it into resources.credentials")
            sentence = f"{whose} no credential {namespace}/{name}; without one nothing is served at this port"
            yield broken(gateway, sentence, *path, hint=hint)


def _named(world: World) -> Iterator[tuple[Thing, tuple[str | int, ...], str, str]]:
    """The credentials that Gateways name, each with its place and the namespace in which it is looked for."""
    for gateway, index, server in _servers(world):
        spaces = world.gateway_namespaces(gateway) or {world.env.ingress.namespace}
        names: list[tuple[tuple[str | int, ...], Any]] = [(("credentialName",), dig(server, "tls", "credentialName"))]
        names += [(("credentialNames", at), one) for at, one in enumerate(items(server, "tls", "credentialNames"))]
        for path, name in names:
            # With a scheme it is not a Secret's name.
            if isinstance(name, str) and name and "://" not in name:
                for namespace in sorted(spaces):
                    yield gateway, ("servers", index, "tls", *path), namespace, name
    for gateway in world.of("Gateway", api=True):
        for index, listener in enumerate(gateway.all("listeners")):
            for at, ref in enumerate(items(listener, "tls", "certificateRefs")):
                if dig(ref, "kind") in (None, "Secret") and isinstance(dig(ref, "name"), str):
                    place = ("listeners", index, "tls", "certificateRefs", at)
                    yield gateway, place, str(dig(ref, "namespace") or gateway.namespace), ref["name"]


def _expiry(world: World) -> Iterator[Broken]:
    now = datetime.datetime.now(datetime.UTC)
    for secret in world.of("Secret"):
        try:
            own = certificate(base64.b64decode(str(dig(secret.obj, "data", "tls.crt") or "")))
        except ValueError:
            continue
        days = (own.not_valid_after_utc - now).days
        if days < world.env.certs.gateway_days_warn:
            when = f"{own.not_valid_after_utc:%Y-%m-%d}"
            sentence = f"its certificate has expired on {when}" if days < 0 else f"its certificate expires on {when}"
            yield broken(secret, sentence, hint="Have it issued anew; the next plan shows the new one as a change")


def _handed_on(world: World) -> Iterator[Broken]:
    """TLS that is handed on is routed by tls routes, TLS that ends at the gateway by http routes."""
    for gateway, index, server in _servers(world):
        mode = dig(server, "tls", "mode")
        for service in world.of("VirtualService"):
            named = any(
                (space, name) == (gateway.namespace, gateway.name) for _, _, space, name in world.gateways_of(service)
            )
            hosts = [str(host).rpartition("/")[2] for host in dig(server, "hosts") or ()]
            if not named or not any(meets(one, str(two)) for one in hosts for two in service.all("hosts")):
                continue
            if mode == "PASSTHROUGH" and not (service.all("tls") or service.all("tcp")) and _alone(gateway, hosts):
                sentence = f"TLS is handed on here, so the http routes of {service.title} are never taken"
                yield broken(gateway, sentence, "servers", index, "tls", "mode", hint="Write tls routes with sniHosts")


def _alone(gateway: Thing, hosts: list[str]) -> bool:
    """Whether these hosts are served by PASSTHROUGH only."""
    others = [
        server
        for server in gateway.all("servers")
        if dig(server, "tls", "mode") != "PASSTHROUGH"
        and any(meets(str(one).rpartition("/")[2], two) for one in dig(server, "hosts") or () for two in hosts)
    ]
    return not others


def _one_per_namespace(world: World) -> Iterator[Broken]:
    for kind, selector in (("PeerAuthentication", "selector"), ("Sidecar", "workloadSelector")):
        first: dict[str, Thing] = {}
        for thing in world.of(kind):
            some = thing.get(selector, "matchLabels") or thing.get(selector, "labels")
            if not some and (other := first.setdefault(thing.namespace, thing)) is not thing:
                sentence = f"{other.title} ({other.manifest.place}) is for all pods of {thing.namespace} too"
                yield broken(thing, sentence, hint="Only one of the two is taken: give this one a selector")


def _as_tcp(world: World) -> Iterator[Broken]:
    named: list[tuple[Thing, list[str]]] = [
        (entry, [host for host in entry.all("hosts") if isinstance(host, str)]) for entry in world.of("ServiceEntry")
    ]
    named += [(service, [host]) for host, service in world.services.items()]
    hint = "That is fine where nothing is to be routed or seen by SNI"
    for thing, hosts in named:
        for index, port in enumerate(thing.all("ports")):
            # Of a Service, as Istio selects protocols: appProtocol, else the name up to its first dash.
            protocol = dig(port, "appProtocol") if thing.kind == "Service" else dig(port, "protocol")
            word = str(protocol or dig(port, "name") or "").upper().partition("-")[0]
            number = dig(port, "number") or dig(port, "port")
            if word in ("HTTPS", "TLS") and not any(_routed(world, host) for host in hosts):
                sentence = f"port {number} has no VirtualService with tls routes: it passes through as TCP"
                yield broken(thing, sentence, "ports", index, hint=hint)


def _routed(world: World, host: str) -> bool:
    return any(
        service.all("tls") and any(covers(world.whole(one, service), host) for one in service.all("hosts"))
        for service in world.of("VirtualService")
    )


def _tokens(world: World) -> Iterator[Broken]:
    for thing in world.of("RequestAuthentication"):
        asked = any(
            policy.namespace in (thing.namespace, world.env.istio.namespace)
            and "equestPrincipals" in str(policy.obj.get("spec"))
            for policy in world.of("AuthorizationPolicy")
        )
        if not asked:
            sentence = "no AuthorizationPolicy asks for a token: requests without one pass"
            yield broken(thing, sentence, hint='Deny notRequestPrincipals: ["*"] where a token is needed')


RULES = (
    Rule("servers-overlap", "Gateways of the same pods agree on a port and host", _overlaps),
    Rule("selector", "Some pod has the labels that a Gateway selects", _selectors),
    Rule(
        "credential-missing",
        "A credentialName is among the credentials of the gateway's namespace",
        _credentials,
        needs=("Secret",),
    ),
    Rule("certificate-expires", "Certificates last longer than certs.gateway_days_warn", _expiry, Level.WARNING),
    *mounted.RULES,
    Rule("handed-on", "Hosts with PASSTHROUGH have tls routes", _handed_on, needs=("VirtualService",)),
    Rule(
        "one-per-namespace",
        "A namespace has one PeerAuthentication and one Sidecar without a selector",
        _one_per_namespace,
    ),
    Rule(
        "as-tcp",
        "A port for https or tls has a VirtualService with tls routes",
        _as_tcp,
        Level.WARNING,
        needs=("VirtualService",),
    ),
    Rule(
        "token-unasked",
        "Where tokens are checked they are asked for",
        _tokens,
        Level.WARNING,
        needs=("AuthorizationPolicy",),
    ),
)
