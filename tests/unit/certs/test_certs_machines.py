"""Machines outside the cluster: which WorkloadEntries they are, what they have, and that a change of the root reaches
them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import mesh as objects
import pytest
from fakes import FakeSession, environment
from pki import leaf, make, self_signed

from meshwright.certs import machines, moving, planning, standby, trust, waiting
from meshwright.certs.asked import now
from meshwright.certs.certificate import bundle, pem
from meshwright.certs.contents import Ca, Case, Step
from meshwright.certs.following import _outdated
from meshwright.certs.gates import Pace
from meshwright.certs.machines import findings, in_mesh
from meshwright.certs.modes import Mode
from meshwright.certs.moving import Mover
from meshwright.certs.standby import Standby
from meshwright.check import State
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.probe import Page

NAME = "shop/vm-1"


def entry(annotations: Any = None, **spec: Any) -> Any:
    metadata = {"annotations": annotations} if annotations else {}
    return objects.made("networking.istio.io/v1", "WorkloadEntry", "vm-1", "shop", metadata=metadata, spec=spec)


@pytest.mark.parametrize(
    ("made", "inside"),
    [
        (entry(address="10.0.0.1"), False),
        (entry(address="10.0.0.1", serviceAccount="shop"), True),
        (entry({"istio.io/autoRegistrationGroup": "shop"}, address="10.0.0.1"), True),
        (entry({"istio.io/workloadController": "istiod-1"}, address="10.0.0.1"), True),
        (entry({"acme.example/x": "y"}, address="10.0.0.1"), False),
    ],
)
def test_which_are_in_the_mesh(made: Any, inside: bool) -> None:
    assert in_mesh(made) is inside
    found = list(findings(FakeSession(made), ()))
    assert len(found) == inside
    assert not found or (found[0].subject == "machine shop/vm-1" and "certs.vms" in found[0].hint)
    # One that can be reached is waited for.
    assert list(findings(FakeSession(made), {NAME})) == []


def test_none_at_all() -> None:
    assert list(findings(FakeSession(), ())) == []


@pytest.fixture
def outside(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The mesh with a machine in it: `file` is its root-cert.pem, `dump` what its Envoy has, (chain, roots) or an
    error."""
    world.file = tmp_path / "etc" / "root-cert.pem"
    world.file.parent.mkdir()
    world.file.write_text(world.root.pem)
    host = {"name": "@local"}
    world.env = environment(certs={"vms": {NAME: {"host": host, "root": str(world.file)}}})
    own = leaf(world.root, "spiffe://cluster.local/ns/shop/sa/shop")
    world.dump = ((*own.chain, world.root.certificate), (world.root.certificate,))
    world.asked_for: list[str] = []  # type: ignore[misc]

    def get(_target: Any, url: str) -> Page:
        world.asked_for.append(url)
        if isinstance(world.dump, Page | MeshwrightError):
            if isinstance(world.dump, MeshwrightError):
                raise world.dump
            return world.dump
        chain, roots = (base64.b64encode(pem(each).encode()).decode() for each in world.dump)
        secrets = [
            {"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": chain}}}},
            {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": {"inline_bytes": roots}}}},
        ]
        return Page(url, 200, json.dumps({"configs": secrets}), 0.1)

    monkeypatch.setattr(machines.probe, "get", get)
    return world


def wrong(world: Any) -> dict[str, str]:
    found = trust.verify(world.session, world.env, now()).findings
    kinds = (machines.ENVOY, machines.FILE)
    return {
        each.subject: each.detail for each in found if each.state is not State.OK and each.subject.startswith(kinds)
    }


def test_one_that_is_as_it_should_be(outside: Any) -> None:
    report = trust.verify(outside.session, outside.env, now())
    assert report.ok
    assert {"machine": (1, 1), "root file": (1, 1)}.items() <= {
        kind: (good, whole) for kind, good, whole in report.tally()
    }.items()
    assert outside.asked_for[0].startswith("http://127.0.0.1:15000/config_dump?")


def test_what_is_wrong_with_it_is_said(outside: Any) -> None:
    other = make("Acme")
    outside.file.write_text(other.pem)
    outside.dump = ((), ())
    assert wrong(outside) == {
        "machine shop/vm-1": "it has received no roots (ROOTCA); it presents no certificate",
        "root file of machine shop/vm-1": f"it does not trust {outside.root.certificate.label} yet and still trusts "
        f"{other.certificate.label}",
    }
    outside.file.unlink()
    outside.dump = Page("", 503, "", 0)
    found = wrong(outside)
    assert found["machine shop/vm-1"] == "the Envoy of machine shop/vm-1 answers 503"
    assert found["root file of machine shop/vm-1"].startswith(f"it has no {outside.file}")
    outside.file.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    outside.dump = Unreachable("nothing answers there")
    assert len(wrong(outside)) == 2


def test_one_that_cannot_be_reached_is_not_verified(outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_args: Any) -> Any:
        raise Unreachable("vm-1 gives no answer")

    monkeypatch.setattr("meshwright.ssh.connect", connect)
    outside.env = environment(certs={"vms": {NAME: {"host": "vm-1.example.com"}}})
    found = trust.verify(outside.session, outside.env, now())
    states = {each.subject: each.state for each in found.laggards}
    assert states == dict.fromkeys(("machine shop/vm-1", "root file of machine shop/vm-1"), State.NOT_VERIFIED)


@pytest.fixture
def mover(outside: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What moves that mesh to another CA; everything but the machine follows at once, it when its file is right."""
    new = make("Acme")

    def ca(made: Any) -> Ca:
        return Ca(made.certificate, made.certificate, (), made.key_pem, "istio-ca-secret")

    change = Standby(Case.IN_PLACE, ca(outside.root), ca(new))
    standby.keep(outside.session, change, "istio-system")
    outside.said = []
    known = {each.certificate: each for each in (outside.root, new)}

    def follow(_seconds: float) -> None:
        report, _ = made.look()
        authority = report.seen.authority
        roots = [known[root] for root in dict.fromkeys(authority.ordered)]
        signer = known[authority.signer]
        outside.converge(*roots, signer=signer)
        if set(bundle(outside.file.read_text())) == set(authority.roots):
            trusted = tuple(each.certificate for each in roots)
            outside.dump = ((*leaf(signer, "spiffe://cluster.local/ns/shop/sa/shop").chain, *trusted), trusted)

    pace = Pace(patience=5, apart=0, every=0)
    made = Mover(outside.session, outside.env, change, outside.said.append, pace, sleep=follow)
    outside.restarted = []
    monkeypatch.setattr(Mover, "restart", lambda _self, mark: outside.restarted.append(mark))
    monkeypatch.setattr(outside.session, "patch", lambda *_args, **_more: None)
    return made


def test_a_change_writes_its_file_and_waits_for_it(outside: Any, mover: Any) -> None:
    held = moving.forward(mover)
    assert outside.said.count(f"wrote the roots to machine {NAME}") == 2  # both roots, and the new one alone
    assert bundle(outside.file.read_text()) == (mover.change.new.root,)
    assert outside.file.stat().st_mode & 0o777 == 0o644
    assert {place.name for place in held.report.seen.of(machines.ENVOY)} == {NAME}
    moving.back(mover)
    assert bundle(outside.file.read_text()) == (outside.root.certificate,)


def test_istiod_reads_anew_whom_it_trusts_as_a_client(
    outside: Any, mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it would take the roots over by itself: once, when a root comes in."""
    monkeypatch.setattr(Mover, "restarts", lambda _self, _report: False)
    moving.forward(mover)
    assert [mark.partition("-")[0] for mark in outside.restarted] == ["P1"]
    outside.restarted.clear()
    moving.back(mover)
    assert [mark.partition("-")[0] for mark in outside.restarted] == ["P2"]


def test_a_file_that_may_not_be_written_ends_the_run(outside: Any, mover: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_args: Any) -> Any:
        raise MeshwrightError("cannot write root-cert.pem on vm-1: Permission denied")

    monkeypatch.setattr("meshwright.target.Local.write", write)
    with pytest.raises(MeshwrightError, match="Permission denied"):
        moving.forward(mover)


def test_the_plan_shows_it(outside: Any) -> None:
    report = trust.verify(outside.session, outside.env, now())
    steps = [Step.BOTH_SIGN_OLD, Step.BOTH_SIGN_NEW, Step.NEW]
    ahead = planning.way(outside.session, report, Mode.LIVE, Case.REPLACE, steps, "cacerts")
    shown = planning.restarts(ahead, "istio-system", ["istiod"])
    [machine] = [change for change in shown if change.kind == "Machine"]
    assert (machine.name, machine.fields[0].path, machine.fields[0].after) == (
        NAME,
        "root-cert.pem",
        ["P1", "P2", "P3"],
    )
    assert Step.BOTH_SIGN_OLD in ahead.istiod


def test_patience_waits_for_its_certificate_too(outside: Any) -> None:
    new = make("Acme")
    outside.session.put(self_signed(new))
    outside.converge(new, signer=new)
    report = trust.verify(outside.session, outside.env, now())
    assert [each.names for each in _outdated(report)] == [outside.dump[0][0].names]
    assert waiting.renewed(_outdated(report)) is not None
