"""Phases derived from the cluster alone: from the CA Secret, the standby's metadata, and who has followed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pki import NOW, make, plugged, secret, self_signed

from meshwright.certs import phase, trust
from meshwright.certs.phase import NEW, OLD, STANDBY, Intention, Phase, derive
from meshwright.errors import Forbidden

A, B, C = (make("cluster.local").certificate for _ in range(3))
LONGER = make("cluster.local", key=(same := make("cluster.local")).key, days=(-1, 9000)).certificate
FORWARD, BACK = Intention(A.sha256, B.sha256), Intention(B.sha256, A.sha256)
NONE: frozenset[Any] = frozenset()


@pytest.mark.parametrize(
    ("ordered", "signing", "elsewhere", "intended", "found", "old", "new", "sure"),
    [
        ([A], {A}, {A}, None, Phase.REST, A, None, True),
        ([A], {A}, {A}, FORWARD, Phase.REST, A, None, True),
        ([A], {A}, {A, B}, FORWARD, Phase.REST, A, B, True),
        # (c): one bundle, the signer says how far; (a): the signer stands first.
        ([A, B], {A}, {A, B}, FORWARD, Phase.BOTH_SIGN_OLD, A, B, True),
        ([A, B, B], {B}, {A, B}, FORWARD, Phase.BOTH_SIGN_NEW, A, B, True),
        ([B, A, B], {B}, {A, B}, FORWARD, Phase.BOTH_SIGN_NEW, A, B, True),
        # Back from P2: A signs again, and is doubled to make everybody take a new certificate.
        ([A, A, B], {A}, {A, B}, FORWARD, Phase.BOTH_SIGN_OLD, A, B, True),
        ([A, A, B], {A}, {A, B}, BACK, Phase.BOTH_SIGN_NEW, B, A, True),
        # Nobody says where to: the likelier reading, and it is said that it is one.
        ([A, B], {A}, {A}, None, Phase.BOTH_SIGN_OLD, A, B, False),
        ([A, B, B], {B}, {A, B}, None, Phase.BOTH_SIGN_NEW, A, B, False),
        ([B, A, B], {B}, {A, B}, None, Phase.BOTH_SIGN_NEW, A, B, False),
        # A standby of another change says nothing.
        ([A, B], {A}, {A, B}, Intention("x", "y"), Phase.BOTH_SIGN_OLD, A, B, False),
        ([B], {B}, {A, B}, FORWARD, Phase.NEW_ALONE, A, B, True),
        ([B], {B}, {B}, FORWARD, Phase.NEW_ALONE, None, B, True),
        ([B], {B}, {A, B}, None, Phase.NEW_ALONE, A, B, False),
        ([A, B, C], {A}, {A}, None, Phase.UNKNOWN, None, None, True),
        ([], NONE, NONE, None, Phase.UNKNOWN, None, None, True),
        ([A], NONE, NONE, None, Phase.UNKNOWN, None, None, True),
    ],
)
def test_what_the_secret_says(
    ordered: Any, signing: Any, elsewhere: Any, intended: Any, found: Phase, old: Any, new: Any, sure: bool
) -> None:
    got = derive(ordered, frozenset(signing), frozenset(elsewhere), intended)
    assert (got.phase, got.old, got.new, got.sure) == (found, old, new, sure)


@given(
    st.lists(st.sampled_from([A, B]), min_size=1, max_size=6),
    st.sampled_from([A, B]),
    st.sets(st.sampled_from([A, B, C])),
    st.sampled_from([None, FORWARD, BACK, Intention("x", "y")]),
)
@settings(max_examples=200)
def test_it_never_says_the_wrong_signer(ordered: Any, signer: Any, elsewhere: Any, intended: Any) -> None:
    """Whatever else it cannot know: what signs is never called the other one."""
    if signer not in ordered:
        return
    got = derive(ordered, frozenset([signer]), frozenset(elsewhere), intended)
    roots = set(ordered)
    if got.phase is Phase.BOTH_SIGN_OLD:
        assert (got.old, {got.old, got.new}) == (signer, roots)
    elif got.phase is Phase.BOTH_SIGN_NEW:
        assert (got.new, {got.old, got.new}) == (signer, roots)
    else:
        assert roots == {signer}
        assert (got.old if got.phase is Phase.REST else got.new) == signer
    if intended in (FORWARD, BACK) and len(roots) == 2:
        assert got.sure
        # Where it is known where to, the new root is the one that it goes to.
        assert got.new is not None
        assert got.new.sha256 == intended.new


def at(world: Any) -> phase.Position:
    report = trust.verify(world.session, world.env, NOW)
    return phase.where(world.session, report)


def standby(world: Any, old: Any, new: Any) -> None:
    made = secret(STANDBY, {"ca-key.pem": "a key"})
    made["metadata"]["annotations"] = {OLD: old.certificate.sha256, NEW: new.certificate.sha256}
    world.session.put(made)


def test_a_whole_change_with_its_gates(world: Any) -> None:
    old, new = world.root, make("cluster.local")
    assert (at(world).phase, at(world).stable, at(world).next) == (Phase.REST, True, "nothing is to be done")
    standby(world, old, new)
    assert (at(world).phase, at(world).stable) == (Phase.REST, True)
    steps = [
        (self_signed(old, new), (old, new), old, Phase.BOTH_SIGN_OLD),
        (self_signed(new, old, new), (old, new), new, Phase.BOTH_SIGN_NEW),
        (self_signed(new), (new,), new, Phase.NEW_ALONE),
    ]
    for wanted, roots, signer, found in steps:
        world.session.put(wanted)
        position = at(world)
        assert (position.phase, position.stable, position.sure) == (found, False, True)
        assert position.waiting
        assert position.next.startswith("wait until")
        world.converge(*roots, signer=signer)
        position = at(world)
        assert (position.phase, position.stable, position.waiting) == (found, True, ())
        assert position.new == new.certificate
    del world.session.objects["v1", "Secret", "istio-system", STANDBY]
    position = at(world)
    assert (position.phase, position.old, position.stable) == (Phase.REST, new.certificate, True)


def test_one_laggard_holds_the_gate(world: Any) -> None:
    old, new = world.root, make("cluster.local")
    world.session.put(self_signed(old, new))
    before = world.dumps["bookinfo/ratings-v1-1"]
    world.converge(old, new)
    world.dumps["bookinfo/ratings-v1-1"] = before
    position = at(world)
    assert (position.phase, position.stable) == (Phase.BOTH_SIGN_OLD, False)
    assert [each.subject for each in position.waiting] == ["proxy bookinfo/ratings-v1-1"]


def test_intermediates_and_plugged_in(world: Any) -> None:
    old, new = make("Old"), make("New")
    by_old, by_new = make("Old Int", old), make("New Int", new)
    world.session.put(plugged(by_old, old, new))
    world.converge(old, new, signer=by_old)
    assert (at(world).phase, at(world).stable, at(world).old) == (Phase.BOTH_SIGN_OLD, True, old.certificate)
    world.session.put(plugged(by_new, old, new, new))
    world.converge(old, new, signer=by_new)
    assert (at(world).phase, at(world).stable, at(world).old) == (Phase.BOTH_SIGN_NEW, True, old.certificate)


def test_one_key_with_a_longer_life(world: Any) -> None:
    longer = make("cluster.local", key=world.root.key, days=(-1, 9000))
    world.session.put(self_signed(world.root, longer))
    world.converge(world.root, longer)
    position = at(world)
    assert (position.phase, position.same_key, position.stable) == (Phase.BOTH_SIGN_OLD, True, True)
    assert (position.old, position.new) == (world.root.certificate, longer.certificate)


def test_where_nothing_can_be_known(world: Any) -> None:
    world.session.failing["get Secret"] = Forbidden("may not")
    position = at(world)
    assert (position.phase, position.stable, position.gate, position.next) == (Phase.UNKNOWN, False, "", "")
    assert position.as_json()["phase"] == "unknown"


def test_the_standby_key_goes_no_further(world: Any) -> None:
    standby(world, world.root, make("x"))
    found = phase.intention(world.session, "istio-system")
    assert found is not None
    assert found.old == world.root.certificate.sha256
    assert "a key" not in repr(found)
