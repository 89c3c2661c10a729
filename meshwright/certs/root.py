"""check-root: who signs the mesh, with which certificates, and how long each that matters still lasts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.certs import authority as authorities
from meshwright.certs import canary, consumers
from meshwright.certs.authority import Authority, Kind
from meshwright.certs.certificate import Certificate, bundle, issued_by
from meshwright.certs.consumers import Credential, Presented
from meshwright.certs.finding import Finding, counts, fine
from meshwright.certs.mesh import ROOT_CONFIGMAP, Mesh, grace, look
from meshwright.certs.sds import Served
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.environment.certs import Certs
from meshwright.envoys import Proxy
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import Session

__all__ = ["Report", "Row", "check"]

_UNKNOWN = (Unreachable, Forbidden)
Workloads = Sequence[tuple[Proxy, Served | MeshwrightError]]


@dataclass(frozen=True)
class Row:
    """A certificate that is watched. `role` is root, intermediate, istiod, gateway or workload; `name` says whose it is
    where the subject does not; `state` compares its life with the thresholds."""

    role: str
    name: str
    certificate: Certificate
    state: State
    detail: str = ""
    hint: str = ""

    def as_json(self, now: dt.datetime) -> dict[str, Any]:
        """What `--json` shows."""
        said = {"role": self.role, "name": self.name, "state": self.state.value}
        return {**said, **self.certificate.as_json(now), "detail": self.detail, "hint": self.hint}

    @property
    def finding(self) -> Finding:
        """The row as a finding."""
        name = self.name if self.name != self.certificate.subject else self.certificate.label
        return Finding(self.state, f"{self.role} {name}", self.detail, self.hint)


@dataclass(frozen=True)
class Report:
    """What check-root found, at `now`."""

    now: dt.datetime
    authority: Authority
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    @property
    def all(self) -> list[Finding]:
        """Findings and rows together, as findings."""
        return [*self.findings, *(row.finding for row in self.rows)]

    @property
    def ok(self) -> bool:
        """Whether every threshold holds, and everything could be looked at."""
        return fine(self.all) and bool(self.rows)

    @property
    def summary(self) -> dict[str, int]:
        """The counts of `--json`."""
        return counts(self.all)


def check(live: Session, env: Environment, now: dt.datetime, *, secrets: bool = True) -> Report:
    """Looks at everything that ends one day. Without `secrets` the CA Secrets, which have the CA's keys, are not asked
    for: the roots are those that are handed out, and what is between them and istiods what these present.

    Raises Forbidden, Unreachable, BrokenBundle where it cannot be known who signs; what else cannot be seen is a
    finding."""
    mesh = look(live, env)
    found = authorities.find(live, mesh) if secrets else Authority(Kind.UNSEEN, _UNASKED)
    roots, chain = found.roots, found.chain
    if not roots:
        roots = _handed_out(live, mesh.namespace)
    served = consumers.presented(live, mesh, canary.PORT)
    if not secrets:
        chain = tuple(dict.fromkeys(each for istiod in served for each in istiod.chain[1:]))
    limits = env.certs
    rows: list[Row] = []
    for root in sorted(roots, key=lambda each: (each.not_after, each.sha256)):
        rows.append(_row("root", root.subject, root, now, limits.root_days_warn, limits.root_days_fail, _ROOT))
    for each in dict.fromkeys(each for each in chain if each not in roots):
        rows.append(_row("intermediate", each.subject, each, now, limits.ca_days_warn, limits.ca_days_fail, _CA))
    findings = [*_authority(found, mesh), *_signing(found, served, mesh), *_own_renewal(found, mesh, now)]
    for istiod in served:
        if istiod.chain:
            own = istiod.chain[0]
            rows.append(_row("istiod", istiod.name, own, now, limits.ca_days_warn, limits.ca_days_fail, _ISTIOD))
    workloads = consumers.workloads(live, mesh)
    for more, more_findings in (_gateways(live, mesh, limits, now, workloads), _leaf(limits, now, workloads)):
        rows += more
        findings += more_findings
    return Report(now, found, tuple(rows), tuple(findings))


_UNASKED = "the CA Secrets were not asked for; the roots are those that are handed out"
_ROOT = "`meshwright certs transition` changes it step by step; plan it early, everybody must trust the new one first"
_CA = "Whoever keeps the CA Secret has to put a newer intermediate, of the same root, into it"
_ISTIOD = "istiod asks for a new one when its CA changes or when it restarts"
_GATEWAY = "Renew the certificate in this Secret; the gateway takes it over without a restart"
_LEAF = "Its agent gets a new one at half of its life: `kubectl logs POD -c istio-proxy` says why it could not"


def _row(role: str, name: str, certificate: Certificate, now: dt.datetime, warn: int, fail: int, hint: str) -> Row:
    days = certificate.days(now)
    until = f"until {certificate.not_after:%Y-%m-%d %H:%M} UTC"
    if not certificate.valid(now):
        why = "it has expired" if certificate.not_after < now else "it is not valid yet"
        return Row(role, name, certificate, State.FAILED, f"{why}: {until}", hint)
    if days < fail:
        return Row(role, name, certificate, State.FAILED, f"{_days(days)} left, fewer than {fail}: {until}", hint)
    if days < warn:
        return Row(role, name, certificate, State.WARNING, f"{_days(days)} left, fewer than {warn}: {until}", hint)
    return Row(role, name, certificate, State.OK, f"{_days(days)} left, {until}")


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _handed_out(live: Session, namespace: str) -> frozenset[Certificate]:
    """The roots that pods of the mesh are given, where no Secret here has them."""
    found = live.get("v1", "ConfigMap", ROOT_CONFIGMAP, namespace)
    text = ((found or {}).get("data") or {}).get("root-cert.pem") or ""
    return frozenset(bundle(text, f"ConfigMap {namespace}/{ROOT_CONFIGMAP}"))


def _authority(found: Authority, mesh: Mesh) -> Iterator[Finding]:
    name = f"authority {found.kind}" + (f", Secret {found.secret}" if found.secret else "")
    if found.kind is Kind.INCOMPLETE:
        yield Finding(State.FAILED, name, found.why, "Complete it before istiod restarts; cert-chain.pem may be empty")
    elif found.kind is Kind.NONE:
        yield Finding(State.FAILED, name, found.why, "Is istiod running, and is this its namespace?")
    elif found.signer is None and found.used is not None:
        yield Finding(State.FAILED, name, "it has no certificate that could sign", "Look at what writes this Secret")
    elif found.kind is Kind.UNSEEN:
        yield Finding(State.OK, name, found.why)
    elif not found.driven:
        yield Finding(State.OK, name, f"{found.why}. Meshwright checks it and does not change it")
    else:
        yield Finding(State.OK, name, found.why)
    for plane in mesh.planes:
        # Two control planes of one namespace have one set of Secrets; their settings may still differ.
        if mesh.plane is not None and plane.cacerts != mesh.plane.cacerts:
            yield Finding(
                State.WARNING, f"Deployment {plane.name}", f"it mounts another CA Secret: {plane.cacerts or 'none'}"
            )


def _signing(found: Authority, served: Sequence[Presented], mesh: Mesh) -> Iterator[Finding]:
    """Whether each istiod has the authority that the rules say, shown by the certificate that it presents."""
    waiting = [str(each) for each in mesh.istiods if not each.ready]
    for name in waiting:
        yield Finding(State.NOT_VERIFIED, f"istiod {name}", "it is not ready, so it was not asked")
    if not served and not waiting and mesh.remote:
        yield Finding(State.WARNING, "istiod", "it runs in another cluster, so it was not asked")
    elif not served and not waiting:
        yield Finding(State.NOT_VERIFIED, "istiod", f"no istiod runs in namespace {mesh.namespace}")
    for each in served:
        if each.error is not None:
            state = State.NOT_VERIFIED if isinstance(each.error, _UNKNOWN) else State.FAILED
            yield Finding(state, f"istiod {each.name}", each.error.message, each.error.hint)
        elif found.signer is not None and found.kind is not Kind.INCOMPLETE:
            yield _signer(found, each)


def _signer(found: Authority, istiod: Presented) -> Finding:
    assert found.signer is not None
    own = istiod.chain[0]
    if issued_by(own, found.signer):
        return Finding(State.OK, f"istiod {istiod.name}", f"it signs with {found.signer.label}")
    other = next((m for m in found.others for each in m.signer[:1] if issued_by(own, each)), None)
    said = f"of Secret {other.secret}, not" if other else f"that {own.issuer} signed, not"
    return Finding(
        State.FAILED,
        f"istiod {istiod.name}",
        f"it presents a certificate {said} of {found.secret}: it has not taken that over",
        "It signs with what it started with until it restarts; `meshwright certs verify` shows who trusts what",
    )


def _own_renewal(found: Authority, mesh: Mesh, now: dt.datetime) -> Iterator[Finding]:
    """istiod's own rotator writes one certificate over whatever is in its Secret."""
    if found.kind is not Kind.SELF_SIGNED or found.signer is None:
        return
    if len(found.roots) > 1:
        text = f"{len(found.roots)} roots are handed out: a change of root is under way, or was left"
        yield Finding(State.WARNING, f"Secret {found.secret}", text, "`meshwright certs status` says where it stands")
    if found.signer.percent(now) <= grace(mesh):
        text = f"less than {grace(mesh)}% of the root's life is left: istiod signs it anew by itself, with the same key"
        yield Finding(State.WARNING, f"Secret {found.secret}", text, _ROOT)


def _gateways(
    live: Session, mesh: Mesh, limits: Certs, now: dt.datetime, workloads: Workloads
) -> tuple[list[Row], list[Finding]]:
    rows, findings = [], []
    for credential in consumers.credentials(live, mesh):
        each = consumers.served(credential, workloads) if credential.unseen else credential
        if each.chain:
            # A chain is as good as the first of its certificates that ends.
            first = min(each.chain, key=lambda certificate: certificate.not_after)
            name = f"Secret {each.secret} of Gateway {', '.join(each.gateways)}"
            rows.append(_row("gateway", name, first, now, limits.gateway_days_warn, limits.gateway_days_fail, _GATEWAY))
        else:
            findings.append(_missing(each))
    return rows, findings


def _missing(credential: Credential) -> Finding:
    state = State.NOT_VERIFIED if credential.unseen else State.FAILED
    by = f"Gateway {', '.join(credential.gateways)} names it"
    hint = (
        "Only Secrets that may be read, and what a gateway presents, can be seen"
        if credential.unseen
        else "Its listener presents nothing: make the Secret"
    )
    return Finding(state, f"credential {credential.secret}", f"{credential.why}; {by}", hint)


def _leaf(limits: Certs, now: dt.datetime, workloads: Workloads) -> tuple[list[Row], list[Finding]]:
    """The workload certificate that has least of its life left."""
    findings, leaves = [], []
    for proxy, served in workloads:
        if isinstance(served, MeshwrightError):
            findings.append(Finding(State.NOT_VERIFIED, f"workload {proxy}", served.message, served.hint))
        elif served.leaf is None:
            findings.append(Finding(State.NOT_VERIFIED, f"workload {proxy}", "it has no certificate yet", _LEAF))
        else:
            leaves.append((served.leaf.percent(now), str(proxy), served.leaf))
    if not leaves:
        if not findings:
            findings.append(Finding(State.WARNING, "workload", "there is no proxy, so no certificate of one was seen"))
        return [], findings
    percent, name, leaf = min(leaves, key=lambda each: each[:2])
    state, hint = State.OK, ""
    text = f"{percent:.0f}% of its life left, until {leaf.not_after:%Y-%m-%d %H:%M} UTC; the shortest of {len(leaves)}"
    if percent < limits.leaf_percent_fail:
        state, hint = State.FAILED, _LEAF
    elif percent < limits.leaf_percent_warn:
        state, hint = State.WARNING, _LEAF
    return [Row("workload", name, leaf, state, text, hint)], findings
