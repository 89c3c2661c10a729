"""Rules about gateways, certificates, mutual TLS, policies and rate limits."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from meshwright.environment.problems import nearest
from meshwright.matching import covers, dig, meets
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
    seen: list[Server] = []
    for gateway, index, server in _servers(world):
        for other, number, earlier in seen:
            same_pods = other.get("selector") == gateway.get("selector")
            if not same_pods or dig(earlier, "port", "number") != dig(server, "port", "number"):
                continue
            both = [host for host in dig(server, "hosts") or () if host in (dig(earlier, "hosts") or ())]
            if both and dig(earlier, "tls") != dig(server, "tls"):
                sentence = (
                    f"{both[0]} at port {dig(server, 'port', 'number')} is in {other.title} "
                    f"({other.at('servers', number)}) with another TLS"
                )
                yield broken(gateway, sentence, "servers", index, hint="Only the older of the two is taken")
            elif dig(earlier, "port", "protocol") != dig(server, "port", "protocol"):
                sentence = (
                    f"port {dig(server, 'port', 'number')} speaks {dig(server, 'port', 'protocol')} here and "
                    f"{dig(earlier, 'port', 'protocol')} in {other.title} ({other.at('servers', number)})"
                )
                if {dig(earlier, "port", "protocol"), dig(server, "port", "protocol")} != {"HTTPS", "TLS"}:
                    yield broken(gateway, sentence, "servers", index, hint="A port of a gateway speaks one protocol")
        seen.append((gateway, index, server))


def _selectors(world: World) -> Iterator[Broken]:
    for gateway in world.of("Gateway"):
        labels = gateway.get("selector")
        if isinstance(labels, dict) and world.pods(labels) is False:
            shown = ", ".join(f"{key}={value}" for key, value in labels.items())
            yield broken(gateway, f"no pod has the labels {shown}", "selector", hint="It opens no port anywhere")


def _credentials(world: World) -> Iterator[Broken]:
    known = {(thing.namespace, thing.name) for thing in world.of("Secret")}
    whose = "the cluster has" if "Secret" in world.known else "these values have"
    known |= {(thing.namespace, str(thing.get("secretName"))) for thing in world.of("Certificate")}
    namespace = world.env.ingress.namespace
    for gateway, index, server in _servers(world):
        name = dig(server, "tls", "credentialName")
        if isinstance(name, str) and (namespace, name) not in known:
            near = nearest(name, sorted(there for space, there in known if space == namespace))
            elsewhere = next((space for space, there in sorted(known) if there == name), "")
            hint = f"There is one in {elsewhere}: gateways look in their own namespace" if elsewhere else ""
            hint = hint or (f"The nearest is {near}" if near else "Write it into resources.credentials")
            sentence = f"{whose} no credential {namespace}/{name}; without one nothing is served at this port"
            yield broken(gateway, sentence, "servers", index, "tls", "credentialName", hint=hint)


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


def _strict(world: World) -> set[str]:
    """Namespaces in which all pods are STRICT; "*" for the mesh."""
    found = set()
    for policy in world.of("PeerAuthentication"):
        if policy.get("selector") is None and policy.get("mtls", "mode") == "STRICT":
            found.add("*" if policy.namespace == world.env.istio.namespace else policy.namespace)
    return found


def _mutual_tls(world: World) -> Iterator[Broken]:
    strict = _strict(world)
    other = {
        policy.namespace
        for policy in world.of("PeerAuthentication")
        if policy.get("selector") is None and policy.get("mtls", "mode") in ("PERMISSIVE", "DISABLE")
    }
    for rule in world.of("DestinationRule"):
        service = world.service_of(world.whole(rule.get("host"), rule))
        if service is None or not (service[1] in strict or ("*" in strict and service[1] not in other)):
            continue
        parts: list[tuple[str | int, ...]] = [("trafficPolicy",)]
        parts += [("subsets", index, "trafficPolicy") for index in range(len(rule.all("subsets")))]
        for path in parts:
            mode = rule.get(*path, "tls", "mode")
            if mode in ("DISABLE", "SIMPLE", "MUTUAL"):
                sentence = f"tls.mode {mode} fights mutual TLS: the pods of namespace {service[1]} are STRICT"
                hint = "Leave tls out: Istio speaks mutual TLS with them by itself"
                yield broken(rule, sentence, *path, "tls", "mode", hint=hint)


def _failover(world: World) -> Iterator[Broken]:
    for rule in world.of("DestinationRule"):
        setting = rule.get("trafficPolicy", "loadBalancer", "localityLbSetting")
        failover = isinstance(setting, dict) and setting.keys() & {"failover", "failoverPriority"}
        if failover and rule.get("trafficPolicy", "outlierDetection") is None:
            sentence = "failover has no effect without outlierDetection: nobody finds out that pods are not healthy"
            yield broken(rule, sentence, "trafficPolicy", "loadBalancer", "localityLbSetting")


def _rules_twice(world: World) -> Iterator[Broken]:
    first: dict[tuple[str, str], Thing] = {}
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        other = first.setdefault((rule.namespace, host), rule)
        if other is not rule and rule.get("workloadSelector") is None and rule.get("trafficPolicy") is not None:
            sentence = (
                f"{other.title} ({other.manifest.place}) is for {host} too: one trafficPolicy of the two has no effect"
            )
            yield broken(rule, sentence, "host", hint="Write one rule for a host")


def _one_per_namespace(world: World) -> Iterator[Broken]:
    for kind, selector in (("PeerAuthentication", "selector"), ("Sidecar", "workloadSelector")):
        first: dict[str, Thing] = {}
        for thing in world.of(kind):
            if thing.get(selector) is None and (other := first.setdefault(thing.namespace, thing)) is not thing:
                sentence = f"{other.title} ({other.manifest.place}) is for all pods of {thing.namespace} too"
                yield broken(thing, sentence, hint="Only one of the two is taken: give this one a selector")


def _as_tcp(world: World) -> Iterator[Broken]:
    for entry in world.of("ServiceEntry"):
        hosts = [host for host in entry.all("hosts") if isinstance(host, str)]
        for index, port in enumerate(entry.all("ports")):
            protocol = str(dig(port, "protocol") or dig(port, "name") or "").upper()
            if protocol.startswith(("HTTPS", "TLS")) and not any(_routed(world, host) for host in hosts):
                sentence = f"port {dig(port, 'number')} has no VirtualService with tls routes: it passes through as TCP"
                hint = "That is fine where nothing is to be routed or seen by SNI"
                yield broken(entry, sentence, "ports", index, hint=hint)


def _routed(world: World, host: str) -> bool:
    return any(
        service.all("tls") and any(covers(str(one), host) for one in service.all("hosts"))
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
    Rule("mutual-tls", "A DestinationRule does not switch mutual TLS off for STRICT pods", _mutual_tls),
    Rule("failover", "Failover goes with outlierDetection", _failover, Level.WARNING),
    Rule("rule-twice", "A host has one DestinationRule with a trafficPolicy in a namespace", _rules_twice),
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
