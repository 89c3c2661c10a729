"""What must hold inside one object, and no type can say: a table of rules, each with its sentence.

Istio's webhook refuses most of this too, but without file and line, and only once a cluster is there. What concerns
several objects is in `meshwright.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshwright.environment.mesh.credential import CertManagerCredential, ReferenceCredential
from meshwright.environment.mesh.destination_rule import ClientTls, DestinationRule
from meshwright.environment.mesh.egress import Egress
from meshwright.environment.mesh.gateway import Gateway, Server
from meshwright.environment.mesh.others import ServiceEntry
from meshwright.environment.mesh.rate_limit import RateLimit
from meshwright.environment.mesh.reference import Reference
from meshwright.environment.mesh.resources import MeshEnvironment
from meshwright.environment.mesh.security import AuthorizationPolicy, PeerAuthentication
from meshwright.environment.mesh.virtual_service import HttpRoute, TcpRoute, TlsRoute, VirtualService
from meshwright.environment.mesh.walking import parts, spelled
from meshwright.environment.mesh.words import Spec
from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, dotted, listed
from meshwright.environment.rules import Broken, Rule

__all__ = ["RULES"]

_TERMINATED = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")


def _of(*kinds: type[Spec]) -> Callable[[Environment], Iterator[tuple[Path, Spec]]]:
    """Every part of these kinds with its path."""

    def found(env: Environment) -> Iterator[tuple[Path, Spec]]:
        if isinstance(env, MeshEnvironment):
            for path, part in parts(env.resources, ("resources",)):
                if isinstance(part, kinds):
                    yield path, part

    return found


def _alternatives(env: Environment) -> Iterator[Broken]:
    for path, part in _of(Spec)(env):
        given = {spelled(type(part), name) for name in part.model_fields_set if getattr(part, name) is not None}
        for group in (*part.required, *part.exclusive):
            there = [key for key in group if key in given]
            if len(there) > 1:
                yield Broken((*path, there[1]), f"{dotted((*path, there[1]))} does not go with", (*path, there[0]))
        for group in part.required:
            if not given & set(group):
                yield Broken(path, f"{dotted(path)} must have {listed(group)}")


def _weights(env: Environment) -> Iterator[Broken]:
    for path, route in _of(HttpRoute, TcpRoute, TlsRoute)(env):
        assert isinstance(route, HttpRoute | TcpRoute | TlsRoute)
        whole = sum(destination.weight or 0 for destination in route.route)
        if len(route.route) > 1 and whole != 100:
            yield Broken((*path, "route"), f"the weights of {dotted((*path, 'route'))} add up to {whole}")


def _gateway_tls(env: Environment) -> Iterator[Broken]:
    for path, server in _of(Server)(env):
        assert isinstance(server, Server)
        protocol, tls = server.port.protocol, server.tls
        at: Path = (*path, "port", "protocol")
        if tls is None or tls.mode is None:
            if protocol in ("HTTPS", "TLS"):
                yield Broken(at, f"{dotted(at)} is {protocol}, without tls.mode beside it")
            continue
        at = (*path, "tls", "mode")
        if protocol not in ("HTTPS", "TLS"):
            yield Broken(at, f"{dotted(at)} is {tls.mode}, which does not go with {protocol} in", (*path, "port"))
        files = tls.server_certificate is not None and tls.private_key is not None
        named = bool(tls.credential_name or tls.credential_names or tls.tls_certificates)
        if tls.mode in _TERMINATED and not (files or named):
            yield Broken(at, f"{dotted(at)} is {tls.mode}, without a certificate")
        if tls.mode == "MUTUAL" and files and not (tls.ca_certificates or tls.ca_cert_credential_name):
            yield Broken(at, f"{dotted(at)} is MUTUAL, without caCertificates")
        if tls.mode == "PASSTHROUGH" and (named or tls.server_certificate):
            yield Broken(at, f"{dotted(at)} is PASSTHROUGH, with a certificate, which nothing would use")


def _client_tls(env: Environment) -> Iterator[Broken]:
    for path, tls in _of(ClientTls)(env):
        assert isinstance(tls, ClientTls)
        at: Path = (*path, "mode")
        if tls.mode == "MUTUAL" and not (tls.credential_name or (tls.client_certificate and tls.private_key)):
            yield Broken(at, f"{dotted(at)} is MUTUAL, without credentialName or clientCertificate and privateKey")
        if tls.mode in ("ISTIO_MUTUAL", "DISABLE"):
            for name in ("credential_name", "client_certificate", "private_key", "ca_certificates"):
                if getattr(tls, name) is not None:
                    key: Path = (*path, spelled(ClientTls, name))
                    yield Broken(key, f"{dotted(key)} does not go with {tls.mode} in", at)


def _names(env: Environment) -> Iterator[Broken]:
    """Names that must be different."""
    lists: list[tuple[Path, list[str | None]]] = []
    for path, part in _of(Gateway, VirtualService, DestinationRule)(env):
        if isinstance(part, Gateway):
            lists.append(((*path, "servers"), [server.name for server in part.servers]))
        elif isinstance(part, VirtualService):
            lists.append(((*path, "http"), [route.name for route in part.http]))
        elif isinstance(part, DestinationRule):
            lists.append(((*path, "subsets"), [subset.name for subset in part.subsets]))
    for path, names in lists:
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if name is not None and first.setdefault(name, index) != index:
                at: Path = (*path, index, "name")
                yield Broken(at, f"{dotted(at)} is {name}, the same as", (*path, first[name], "name"))


def _routes(env: Environment) -> Iterator[Broken]:
    for path, service in _of(VirtualService)(env):
        assert isinstance(service, VirtualService)
        if not (service.http or service.tls or service.tcp):
            yield Broken(path, f"{dotted(path)} must have http, tls or tcp routes")
        if not service.hosts and service.gateways:
            yield Broken((*path, "gateways"), f"{dotted((*path, 'gateways'))} is given without hosts beside it")
        if "*" in service.hosts and (not service.gateways or "mesh" in service.gateways):
            at: Path = (*path, "hosts", service.hosts.index("*"))
            yield Broken(at, f"{dotted(at)} is *, which would take every request inside the mesh")


def _entries(env: Environment) -> Iterator[Broken]:
    for path, entry in _of(ServiceEntry)(env):
        assert isinstance(entry, ServiceEntry)
        if "*" in entry.hosts:
            at: Path = (*path, "hosts", entry.hosts.index("*"))
            yield Broken(at, f"{dotted(at)} is *, which is no host")
        if entry.resolution == "STATIC" and not (entry.endpoints or entry.workload_selector):
            at = (*path, "resolution")
            yield Broken(at, f"{dotted(at)} is STATIC, without endpoints")
        if entry.resolution in ("DNS", "DNS_ROUND_ROBIN") and not entry.endpoints:
            for index, host in enumerate(entry.hosts):
                if host.startswith("*"):
                    at = (*path, "hosts", index)
                    yield Broken(at, f"{dotted(at)} is {host}, which no DNS can answer, with", (*path, "resolution"))


def _policies(env: Environment) -> Iterator[Broken]:
    for path, policy in _of(AuthorizationPolicy, PeerAuthentication)(env):
        if isinstance(policy, AuthorizationPolicy) and (policy.action == "CUSTOM") != (policy.provider is not None):
            at: Path = (*path, "provider" if policy.provider else "action")
            yield Broken(at, f"{dotted(at)} is given, but CUSTOM and provider go together")
        if isinstance(policy, PeerAuthentication) and policy.port_level_mtls and policy.selector is None:
            at = (*path, "portLevelMtls")
            yield Broken(at, f"{dotted(at)} is given without selector beside it")


def _limits(env: Environment) -> Iterator[Broken]:
    for path, limit in _of(RateLimit)(env):
        assert isinstance(limit, RateLimit)
        asked = any(route.rate_limits for route in limit.routes)
        if not (limit.local or limit.routes):
            yield Broken(path, f"{dotted(path)} must have local or routes")
        elif bool(limit.service) != asked:
            there: Path = (*path, "service" if limit.service else "routes")
            yield Broken(there, f"{dotted(there)} is given, but service and rate_limits of routes go together")
        for index, route in enumerate(limit.routes):
            if not (route.local or route.rate_limits):
                at: Path = (*path, "routes", index)
                yield Broken(at, f"{dotted(at)} must have local or rate_limits")


def _egress(env: Environment) -> Iterator[Broken]:
    for path, egress in _of(Egress)(env):
        assert isinstance(egress, Egress)
        if egress.originate_tls and egress.protocol == "TLS":
            at: Path = (*path, "originateTls")
            yield Broken(at, f"{dotted(at)} is true, which does not go with TLS in", (*path, "protocol"))
        if (egress.resolution == "STATIC") != bool(egress.endpoints):
            at = (*path, "endpoints" if egress.endpoints else "resolution")
            yield Broken(at, f"{dotted(at)} is given, but STATIC and endpoints go together")


def _labels(env: Environment) -> Iterator[Broken]:
    """cert-manager copies no labels to the Secret."""
    for path, part in _of(CertManagerCredential)(env):
        assert isinstance(part, CertManagerCredential)
        if part.renew_before and not part.duration:
            at: Path = (*path, "renewBefore")
            yield Broken(at, f"{dotted(at)} is given without duration beside it")


def _references(env: Environment) -> Iterator[Broken]:
    for path, part in _of(Reference, ReferenceCredential)(env):
        if isinstance(part, ReferenceCredential):
            if part.key.env is not None:
                at: Path = (*path, "key", "env")
                yield Broken(at, f"{dotted(at)} would keep a private key in an environment variable")
            if part.crl is not None and part.ca is None:
                at = (*path, "crl")
                yield Broken(at, f"{dotted(at)} is given without ca beside it")
            continue
        assert isinstance(part, Reference)
        if part.key is not None and part.sops is None and part.vault is None:
            yield Broken((*path, "key"), f"{dotted((*path, 'key'))} is given without sops or vault beside it")
        if part.vault is not None and part.key is None:
            yield Broken((*path, "vault"), f"{dotted((*path, 'vault'))} is given without key beside it")
        if part.identity is not None and part.age is None:
            yield Broken((*path, "identity"), f"{dotted((*path, 'identity'))} is given without age beside it")


RULES = (
    Rule("Of keys that exclude each other one is given", _alternatives),
    Rule("The weights of a route add up to 100", _weights),
    Rule("HTTPS and TLS need a tls.mode; SIMPLE and MUTUAL need a certificate, PASSTHROUGH takes none", _gateway_tls),
    Rule("MUTUAL needs the client's certificate; ISTIO_MUTUAL and DISABLE take none", _client_tls),
    Rule("Servers, http routes and subsets have names of their own", _names),
    Rule("A VirtualService has hosts and routes, and hosts of its own inside the mesh", _routes),
    Rule("A ServiceEntry has hosts that can be found the way its resolution says", _entries),
    Rule("CUSTOM and provider go together; portLevelMtls needs a selector", _policies),
    Rule("A rate limit limits something; service and rate_limits go together", _limits),
    Rule("Egress originates TLS for HTTP only; STATIC and endpoints go together", _egress),
    Rule("key goes with sops and vault, identity with age, crl with ca; env is not for a private key", _references),
    Rule("renewBefore is a part of duration", _labels),
)
"""What must hold inside one object."""
