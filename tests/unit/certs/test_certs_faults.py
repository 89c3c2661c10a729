"""Faults in the middle of a change: whoever has not followed holds the gate, whatever the reason, and is named."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from certmesh import istiod_pod
from clock import Clock
from pki import NOW, leaf, make, plugged, self_signed

from meshwright.certs import phase, readiness, trust
from meshwright.certs.authority import find
from meshwright.certs.contents import Case
from meshwright.certs.gates import Held, Pace, hold
from meshwright.certs.mesh import look
from meshwright.certs.phase import Phase
from meshwright.check import State
from meshwright.errors import Refused, Unreachable, Unverified


@pytest.fixture
def midway(world: Any) -> Any:
    """A mesh of two istiods in which everybody trusts both roots and presents what the old one signed. `gate(phase)`
    waits for a gate; `sign_new()` writes the next phase, and `follow()` makes everybody follow."""
    world.session.put(istiod_pod("istiod-2"))
    world.old, world.new, world.clock = world.root, make("cluster.local"), Clock()
    world.session.put(self_signed(world.old, world.new))
    world.converge(world.old, world.new)
    intended = phase.Intention(world.old.certificate.sha256, world.new.certificate.sha256)

    def looked() -> Any:
        report = trust.verify(world.session, world.env, NOW)
        return report, phase.position(report, intended)

    def gate(wanted: Phase, patience: float = 10, nudge: Any = lambda _report: None) -> Held:
        return hold(
            looked,
            wanted,
            nudge=nudge,
            say=lambda _text: None,
            pace=Pace(patience=patience),
            clock=world.clock,
            sleep=world.clock.sleep,
        )

    def sign_new() -> None:
        world.session.put(self_signed(world.new, world.old, world.new))

    def follow() -> None:
        world.converge(world.old, world.new, signer=world.new)

    world.gate, world.sign_new, world.follow = gate, sign_new, follow
    return world


def held_by(mesh: Any, name: str, wanted: Phase = Phase.BOTH_SIGN_NEW) -> None:
    """The gate does not hold, and the first who has not followed is `name`."""
    with pytest.raises(Unverified, match=f"have not followed, first {name}"):
        mesh.gate(wanted)


def test_it_holds_when_nothing_is_wrong(midway: Any) -> None:
    assert midway.gate(Phase.BOTH_SIGN_OLD).position.stable
    midway.sign_new()
    midway.follow()
    assert midway.gate(Phase.BOTH_SIGN_NEW).position.stable


def test_a_leaf_of_the_old_root_holds_the_last_phase_back(midway: Any) -> None:
    """P3 before P2's gate: whoever presents the old root's leaf would be refused by all."""
    midway.sign_new()
    midway.follow()
    name = "bookinfo/ratings-v1-1"
    _, roots = midway.dumps[name]
    midway.dumps[name] = ((*leaf(midway.old).chain, *roots), roots)
    held_by(midway, f"proxy {name}")


def test_one_istiod_replica_that_has_not_reloaded(midway: Any) -> None:
    midway.sign_new()
    midway.follow()
    new, old = midway.istiod, make("", midway.old, ca=False, names=("istiod.istio-system.svc",)).chain
    midway.istiod = {"istio-system/istiod-1": new, "istio-system/istiod-2": old}
    held_by(midway, "istiod istio-system/istiod-2")


def test_a_leader_that_has_not_written_its_config_maps(midway: Any) -> None:
    metadata = midway.session.objects["v1", "ConfigMap", "bookinfo", "istio-ca-root-cert"]
    metadata["data"] = {"root-cert.pem": midway.old.pem}
    held_by(midway, "ConfigMap bookinfo/istio-ca-root-cert", Phase.BOTH_SIGN_OLD)


def test_a_namespace_that_comes_in_the_middle(midway: Any) -> None:
    def born() -> None:
        midway.session.put(objects.made("v1", "Namespace", "shop"))

    def served() -> None:
        data = {"root-cert.pem": midway.old.pem + midway.new.pem}
        midway.session.put(objects.made("v1", "ConfigMap", "istio-ca-root-cert", "shop", data=data))

    midway.clock.events = [(1.0, born), (6.0, served)]
    assert midway.gate(Phase.BOTH_SIGN_OLD, patience=30).seconds >= 8
    del midway.session.objects["v1", "ConfigMap", "shop", "istio-ca-root-cert"]
    held_by(midway, "ConfigMap shop/istio-ca-root-cert", Phase.BOTH_SIGN_OLD)


def test_a_pod_that_comes_in_the_middle(midway: Any) -> None:
    """It has what an istiod that lags gave it."""
    name, late = "bookinfo/late-1", objects.pod("late-1")
    late["metadata"]["uid"] = "u"

    def born() -> None:
        midway.session.put(late)
        roots = (midway.old.certificate,)
        midway.dumps[name] = ((*leaf(midway.old).chain, *roots), roots)
        midway.files[name] = midway.old.pem

    midway.clock.events = [(1.0, born)]
    held_by(midway, f"proxy {name}", Phase.BOTH_SIGN_OLD)


def test_an_istiod_in_a_crash_loop(midway: Any) -> None:
    midway.istiod = {
        "istio-system/istiod-1": midway.istiod,
        "istio-system/istiod-2": Unreachable("nothing listens at its port"),
    }
    held_by(midway, "istiod istio-system/istiod-2", Phase.BOTH_SIGN_OLD)


def test_an_api_server_that_goes_away_between_a_look_and_the_nudge(midway: Any) -> None:
    """It is asked again, as one that goes away at any other instant."""
    midway.sign_new()
    tried = []

    def nudge(_report: Any) -> None:
        tried.append(midway.clock.now)
        if len(tried) == 1:
            raise Unreachable("the API server gives no answer")

    midway.clock.events = [(6.0, midway.follow)]
    assert midway.gate(Phase.BOTH_SIGN_NEW, 30, nudge).position.stable
    assert len(tried) > 1


def test_the_rotator_writes_one_root_over_both(midway: Any) -> None:
    """It signs the first anew with its own key, and knows nothing of the second."""
    again = make("cluster.local", key=midway.old.key, days=(0, 3650))
    midway.clock.events = [(1.0, lambda: midway.session.put(self_signed(again)))]
    with pytest.raises(Refused, match="somebody else has written the CA Secret"):
        midway.gate(Phase.BOTH_SIGN_OLD)


def test_another_who_signs_with_the_new_root_before_its_time(midway: Any) -> None:
    """A to B in one step, by somebody else."""
    midway.clock.events = [(1.0, lambda: midway.session.put(self_signed(midway.new)))]
    with pytest.raises(Refused, match="somebody else has written the CA Secret"):
        midway.gate(Phase.BOTH_SIGN_OLD)


@pytest.mark.parametrize("file", ["ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"])
def test_a_change_does_not_begin_with_an_incomplete_ca(world: Any, file: str) -> None:
    """istiod would not start with it."""
    there = plugged(world.root, world.root)
    del there["data"][file]
    world.session.put(there)
    authority = find(world.session, look(world.session, world.env))
    assert readiness.allowed(Case.REPLACE, authority).state is State.FAILED
    assert readiness.allowed(Case.EXTEND, authority).state is State.FAILED
