"""Rules about DestinationRules: mutual TLS, failover, and two for one host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshwright.matching import covers, dig, items
from meshwright.validation.finding import Broken, Level, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES"]

Path = tuple[str | int, ...]


def _policies(rule: Thing) -> Iterator[Path]:
    """The places of the traffic policies of a rule: its own, those of its subsets, and those of ports."""
    tops: list[Path] = [("trafficPolicy",)]
    tops += [("subsets", index, "trafficPolicy") for index in range(len(rule.all("subsets")))]
    for top in tops:
        yield top
        yield from ((*top, "portLevelSettings", index) for index in range(len(rule.all(*top, "portLevelSettings"))))


def _mutual_tls(world: World) -> Iterator[Broken]:
    hosts = set(world.services)
    for rule in world.of("DestinationRule"):
        hosts.add(world.whole(rule.get("host"), rule))
    for rule in world.of("DestinationRule"):
        pattern = world.whole(rule.get("host"), rule)
        found = [host for host in sorted(hosts) if pattern and covers(pattern, host)]
        modes = {mode: host for host in reversed(found) if (mode := _mode(world, host))}
        # Of a wildcard for the whole of a namespace no Service need be known.
        if pattern.startswith("*."):
            space = pattern[2:].partition(".")[0]
            if pattern == f"*.{space}.svc.{world.domain}" and (mode := _mode(world, f"any.{space}.svc.{world.domain}")):
                modes.setdefault(mode, pattern)
        for path in _policies(rule):
            mode = rule.get(*path, "tls", "mode")
            if mode in ("DISABLE", "SIMPLE", "MUTUAL") and "STRICT" in modes:
                service = world.service_of(modes["STRICT"])
                whose = f"namespace {service[1]}" if service else modes["STRICT"]
                sentence = f"tls.mode {mode} fights mutual TLS: the pods of {whose} are STRICT"
                hint = "Leave tls out: Istio speaks mutual TLS with them by itself"
                yield broken(rule, sentence, *path, "tls", "mode", hint=hint)
            elif mode == "ISTIO_MUTUAL" and "DISABLE" in modes and "STRICT" not in modes:
                sentence = (
                    f"tls.mode {mode} fights a PeerAuthentication: the pods of {modes['DISABLE']} take plain text"
                )
                yield broken(rule, sentence, *path, "tls", "mode", hint="Leave tls out here, or mtls there")


def _mode(world: World, host: str) -> str:
    """The mode of mutual TLS that the pods of a Service take, "" where that is not certain."""
    service = world.service_of(host)
    if service is None:
        return ""
    thing = world.services.get(host)
    selected = dig(thing.obj, "spec", "selector") if thing else None
    found: dict[str, str] = {}
    for policy in world.of("PeerAuthentication"):
        labels, mode = policy.get("selector", "matchLabels"), str(policy.get("mtls", "mode") or "UNSET")
        if labels and policy.namespace == service[1]:
            if not isinstance(selected, dict) or not isinstance(labels, dict) or not labels.items() <= selected.items():
                continue
            if policy.get("portLevelMtls"):
                return ""
            found.setdefault("workload", mode)
        elif not labels and policy.namespace == service[1]:
            found.setdefault("namespace", mode)
        elif not labels and policy.namespace == world.root:
            found.setdefault("mesh", mode)
    if service[1] == world.root and "namespace" in found:
        found.setdefault("mesh", found["namespace"])
    modes = [found[level] for level in ("workload", "namespace", "mesh") if found.get(level, "UNSET") != "UNSET"]
    return modes[0] if modes else ""


def _failover(world: World) -> Iterator[Broken]:
    for rule in world.of("DestinationRule"):
        whole = rule.get("trafficPolicy", "outlierDetection")
        for path in _policies(rule):
            setting = rule.get(*path, "loadBalancer", "localityLbSetting")
            failover = isinstance(setting, dict) and setting.keys() & {"failover", "failoverPriority"}
            # A subset has what its rule has, but for what it says itself.
            if failover and rule.get(*path, "outlierDetection") is None and not (whole and path[0] == "subsets"):
                sentence = "failover has no effect without outlierDetection: nobody finds out that pods are not healthy"
                yield broken(rule, sentence, *path, "loadBalancer", "localityLbSetting")


def _rules_twice(world: World) -> Iterator[Broken]:
    """Istio joins the rules of a namespace for one host: all subsets, and the trafficPolicy of the first that has one
    (pilot/pkg/model/destination_rule.go)."""
    known: dict[tuple[str, str], list[Thing]] = {}
    for rule in world.of("DestinationRule"):
        host = world.whole(rule.get("host"), rule)
        if rule.get("workloadSelector") or not host:
            continue
        others = known.setdefault((rule.namespace, host), [])
        for other in others:
            there = f"{other.title} ({other.manifest.place}) is for {host} too"
            if rule.get("trafficPolicy") is not None and other.get("trafficPolicy") is not None:
                sentence = f"{there}: one trafficPolicy of the two has no effect"
                yield broken(rule, sentence, "host", hint="Write one rule for a host")
            names = {_name(one) for one in other.all("subsets")}
            for index, subset in enumerate(rule.all("subsets")):
                if _name(subset) in names:
                    sentence = f"{there} and has a subset {_name(subset)}: one of the two has no effect"
                    yield broken(rule, sentence, "subsets", index, hint="Write one rule for a host")
        others.append(rule)
    for rule in world.of("DestinationRule"):
        names_here: list[Any] = [_name(one) for one in items(rule.obj, "spec", "subsets")]
        for index, name in enumerate(names_here):
            if name in names_here[:index]:
                yield broken(rule, f"it has two subsets {name}: the second has no effect", "subsets", index)


def _name(subset: Any) -> Any:
    name = dig(subset, "name")
    return name if isinstance(name, str) else None


RULES = (
    Rule("mutual-tls", "A DestinationRule and a PeerAuthentication agree on mutual TLS", _mutual_tls),
    Rule("failover", "Failover goes with outlierDetection", _failover, Level.WARNING),
    Rule("rule-twice", "What a DestinationRule says of a host no other one of the namespace says", _rules_twice),
)
