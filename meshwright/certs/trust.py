"""verify: whether everybody in a mesh trusts the same roots and presents what everybody trusts, with the laggards by
name."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from meshwright.certs import authority as authorities
from meshwright.certs import machines, published, running
from meshwright.certs.authority import Authority
from meshwright.certs.certificate import Certificate, named
from meshwright.certs.chain import roots_of, why_none
from meshwright.certs.finding import Finding, counts, fine
from meshwright.certs.mesh import ROOT_CONFIGMAP, Mesh, look
from meshwright.certs.place import Expected, Place, judge
from meshwright.check import State
from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import Session
from meshwright.wording import some

__all__ = ["Looks", "Report", "Seen", "expected", "observe", "report", "told", "verify"]

_ISTIODS_OWN = "istiod"


@dataclass(frozen=True)
class Looks:
    """What is looked at beside the API server, istiod and the Envoys. `files`: the roots as agents see them, by running
    `cat` in each proxy. `canary`: a certificate asked of each istiod, and a mutual handshake with it. `secrets`: the CA
    Secrets, by which it is known what all places should have; whoever reads them has the CA's keys."""

    files: bool = True
    canary: bool = True
    secrets: bool = True


@dataclass(frozen=True)
class Seen:
    """One look at everything: the mesh, its authority (None: the Secrets were not read), and all places. `seconds`
    is how long each kind took."""

    now: dt.datetime
    mesh: Mesh
    authority: Authority | None
    refused: Forbidden | None
    places: tuple[Place, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, kind: str) -> list[Place]:
        """The places of one kind."""
        return [place for place in self.places if place.kind == kind]


@dataclass(frozen=True)
class Report:
    """What verify found. `waived` are the proxies that need not follow, NAMESPACE/POD, each with the reason."""

    seen: Seen
    expected: Expected
    findings: tuple[Finding, ...]
    waived: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything was looked at and is as it should be."""
        return fine(self.findings)

    @property
    def laggards(self) -> list[Finding]:
        """Everything that is not as it should be, or could not be looked at."""
        return [each for each in self.findings if each.state is not State.OK]

    @property
    def summary(self) -> dict[str, int]:
        """The counts of `--json`."""
        return counts(self.findings)

    def tally(self) -> Iterator[tuple[str, int, int]]:
        """Each kind of place with how many are in order, and how many there are."""
        labels = {place.label: place.kind for place in self.seen.places}
        kinds: dict[str, list[bool]] = {}
        for each in self.findings:
            if each.subject in labels:
                kinds.setdefault(labels[each.subject], []).append(each.state is State.OK)
        for kind, states in kinds.items():
            yield kind, sum(states), len(states)

    def as_json(self) -> dict[str, Any]:
        """The parts of `--json`."""
        now = self.seen.now
        return {
            "expected": {
                "source": self.expected.source,
                "roots": [each.as_json(now) for each in sorted(self.expected.roots, key=lambda c: c.sha256)],
                "signed_under": sorted(each.sha256 for each in self.expected.signers),
            },
            "places": [place.as_json() for place in self.seen.places],
            "findings": [each.as_json() for each in self.findings],
            "seconds": {kind: round(took, 3) for kind, took in self.seen.seconds.items()},
        }


def verify(
    live: Session,
    env: Environment,
    now: dt.datetime,
    looks: Looks | None = None,
    waived: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Looks at everything and judges it, as `report` does. Raises Forbidden, Unreachable, BrokenBundle where not even
    the mesh can be seen; what else cannot be looked at is a finding."""
    return report(observe(live, env, now, looks or Looks()), waived)


def observe(live: Session, env: Environment, now: dt.datetime, looks: Looks) -> Seen:
    """One look at everything, nothing judged."""
    seconds: dict[str, float] = {}

    def timed(kind: str, what: Callable[[], Any]) -> Any:
        started = time.monotonic()
        result = what()
        seconds[kind] = seconds.get(kind, 0.0) + time.monotonic() - started
        return result

    mesh: Mesh = timed("mesh", lambda: look(live, env))
    authority, refused = None, None
    try:
        authority = timed("authority", lambda: authorities.find(live, mesh)) if looks.secrets else None
    except Forbidden as error:
        refused = error
    places: list[Place] = []
    places += timed("api", lambda: published.config_maps(live, mesh))
    places += timed("api", lambda: published.trust_bundle(live, mesh))
    if _makes_serving_certificates(mesh):
        places += timed("api", lambda: published.webhooks(live, mesh))
    places += timed("istiods", lambda: running.istiods(live, mesh))
    if looks.canary and (authority is None or authority.signer is not None):
        places += timed("canaries", lambda: running.canaries(live, mesh))
    places += timed("proxies", lambda: running.proxies(live, mesh, now))
    if env.certs.vms:
        places += timed("machines", lambda: machines.places(live, env))
    places += timed("ztunnels", lambda: running.ztunnels(live, mesh))
    if looks.files:
        places += timed("files", lambda: running.files(live, mesh))
    return Seen(now, mesh, authority, refused, tuple(places), seconds)


def _makes_serving_certificates(mesh: Mesh) -> bool:
    """Whether the webhooks' certificate is of the mesh's own CA; else their caBundle has other roots."""
    return mesh.setting("PILOT_CERT_PROVIDER", _ISTIODS_OWN) == _ISTIODS_OWN


def expected(seen: Seen) -> tuple[Expected, list[Finding]]:
    """What all places should have, by the authority's Secret; where the cluster has none, by the ConfigMap in istiod's
    own namespace."""
    authority, findings = seen.authority, []
    if seen.refused is not None:
        hint = "Without it, places are only compared with each other"
        findings.append(Finding(State.NOT_VERIFIED, "authority", seen.refused.message, hint))
    if authority is not None and authority.signer is not None and authority.roots:
        signers = roots_of(authority.signer, authority.chain, authority.roots, seen.now)
        if not signers:
            why = why_none(authority.signer, authority.chain, authority.roots, seen.now)
            findings.append(Finding(State.FAILED, f"Secret {authority.secret}", f"it does not hold together: {why}"))
        known = _known(seen, authority)
        return Expected(f"Secret {authority.secret}", authority.roots, signers or authority.roots, known), findings
    name = f"{seen.mesh.namespace}/{ROOT_CONFIGMAP}"
    own = next((place.roots for place in seen.of("ConfigMap") if place.name == name), None) or frozenset()
    if not own:
        findings.append(Finding(State.FAILED, f"ConfigMap {name}", "it has no roots, so nothing can be compared"))
    return Expected(f"ConfigMap {name}", own, own, _known(seen, authority)), findings


def _known(seen: Seen, authority: Authority | None) -> frozenset[Certificate]:
    """Every root that anybody trusts, and those of CA Secrets that are not used."""
    trusted = {root for place in seen.places for root in place.roots or ()}
    unused = {each for other in (authority.others if authority else ()) for each in other.everything}
    return frozenset(each for each in trusted | unused if each.self_signed)


def report(seen: Seen, waived: Mapping[str, str] = MappingProxyType({})) -> Report:
    """Judges one look. Of the proxies in `waived` it is only a warning that they have not followed."""
    wanted, findings = expected(seen)
    unseen = [place for place in seen.places if isinstance(place.error, running.Unseen)]
    findings += [_judged(place, wanted, seen.now, waived) for place in seen.places if place not in unseen]
    findings += _nothing(seen)
    if unseen:
        text = f"the mounted roots of {len(unseen)} proxies cannot be looked at: {unseen[0].error}"
        findings.append(Finding(State.WARNING, "files", text))
    if not _makes_serving_certificates(seen.mesh):
        text = f"their certificate is made by {seen.mesh.setting('PILOT_CERT_PROVIDER')}, so they were not compared"
        findings.append(Finding(State.WARNING, "webhooks", text))
    findings += _clashes(seen, waived)
    return Report(seen, wanted, tuple(findings), waived)


def _judged(place: Place, wanted: Expected, now: dt.datetime, waived: Mapping[str, str]) -> Finding:
    found = judge(place, wanted, now)
    if place.kind not in ("proxy", "file") or place.name not in waived or found.state is State.OK:
        return found
    return replace(found, state=State.WARNING, detail=f"waived ({waived[place.name]}): {found.detail}", hint="")


def _nothing(seen: Seen) -> Iterator[Finding]:
    """Nothing that was checked is no success: it was the mistake of the script that everybody used."""
    for kind, what in (("proxy", "proxies"), ("istiod", "istiods"), ("ConfigMap", "ConfigMaps")):
        if kind == "istiod" and seen.mesh.remote and not seen.of(kind):
            yield Finding(State.WARNING, what, "istiod runs in another cluster, so it was not looked at")
        elif not seen.of(kind) and not (kind == "proxy" and seen.of("ztunnel")):
            hint = "Is this the cluster of the mesh, and do its pods have sidecars?"
            yield Finding(State.FAILED, what, f"0 {what} were checked, so nothing is known to hold", hint)


def _clashes(seen: Seen, waived: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies whose certificates other proxies do not trust: between these, every new connection fails now."""
    proxies = [place for place in seen.of("proxy") if place.chain and place.roots and place.name not in waived]
    trusting: dict[frozenset[Certificate], list[str]] = {}
    for place in proxies:
        trusting.setdefault(place.roots or frozenset(), []).append(place.name)
    if len(trusting) < 2:
        return
    for place in proxies:
        chain = place.chain or ()
        refusing = [
            name
            for roots, names in trusting.items()
            if not roots_of(chain[0], chain[1:], roots, seen.now)
            for name in names
        ]
        if refusing:
            text = f"{len(refusing)} of {len(proxies)} proxies do not trust its certificate: "
            text += some(sorted(refusing), 3)
            hint = "New connections between these fail: let all trust both roots before anybody presents the new one"
            yield Finding(State.FAILED, f"handshakes with {place.name}", text, hint)


def told(wanted: Expected, now: dt.datetime) -> Iterator[str]:
    """What is expected, for people."""
    yield f"expected, by {wanted.source}:"
    for root in sorted(wanted.roots, key=lambda each: each.sha256):
        signs = ", signs" if root in wanted.signers else ""
        yield f"  trusted root {named([root])}, {root.days(now)} days left{signs}"
