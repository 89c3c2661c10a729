"""A change of the root that begins by itself: when it is due, and that it comes before istiod's own rotator."""

from __future__ import annotations

from typing import Any

import certmesh
import mesh as objects
import pytest
from pki import NOW, Signed, make, plugged, self_signed

from meshwright.certs import due, phase
from meshwright.errors import BadInput, Refused


def aged(world: Any, left: float, life: float = 3650) -> Signed:
    """The root of the mesh is one that has `left` days of its `life` left."""
    root = make("cluster.local", days=(left - life, left))
    world.session.put(self_signed(root))
    world.converge(root, signer=root)
    return root


def standby(world: Any, old: Signed, new: Signed) -> None:
    made = objects.made("v1", "Secret", phase.STANDBY, "istio-system")
    made["metadata"]["annotations"] = {
        phase.OLD: old.certificate.sha256,
        phase.NEW: new.certificate.sha256,
        phase.CASE: "IN_PLACE",
    }
    world.session.put(made)


@pytest.mark.parametrize(
    ("left", "why"),
    [(1000.5, "the root has 1000 days left; its change begins below 900"), (900.5, "the root has 900"), (899.5, "")],
)
def test_it_is_due_below_so_many_days(world: Any, left: float, why: str) -> None:
    aged(world, left)
    found = due.waits(world.session, world.env, 900, NOW)
    assert found.startswith(why) if why else not found


@pytest.mark.parametrize(
    ("life", "grace", "least"), [(3650, None, 731), (365, None, 74), (3650, "50", 1826), (3650, "?", 731)]
)
def test_it_comes_before_istiods_rotator(world: Any, life: int, grace: str | None, least: int) -> None:
    aged(world, life - 1.5, life)
    if grace:
        world.session.put(certmesh.plane(CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE=grace))
    due.early_enough(world.session, world.env, least)
    with pytest.raises(BadInput) as caught:
        due.early_enough(world.session, world.env, least - 1)
    assert caught.value.message == (
        f"a change below {least - 1} days is too late: in the last {least - 1} of a root's {life} days istiod signs it "
        "anew by itself"
    )
    assert f"below {least} days" in caught.value.hint
    # Each run looks too: the root may be another one by then.
    with pytest.raises(BadInput):
        due.waits(world.session, world.env, least - 1, NOW)


def test_nobody_renews_a_plugged_in_root_by_itself(world: Any) -> None:
    top = make("Acme", days=(-10, 500))
    middle = make("Acme Int", top, days=(-10, 500))
    world.session.put(plugged(middle, top))
    due.early_enough(world.session, world.env, 10)
    assert due.waits(world.session, world.env, 10, NOW) == "the root has 500 days left; its change begins below 10"
    assert due.waits(world.session, world.env, 501, NOW) == ""


def test_a_change_that_is_under_way_goes_on(world: Any) -> None:
    old, new = aged(world, 3000), make("cluster.local")
    standby(world, old, new)
    assert due.waits(world.session, world.env, 900, NOW) == ""


def test_one_that_is_at_its_end_is_not_begun_again(world: Any) -> None:
    old, new = make("cluster.local"), aged(world, 3000.5)
    standby(world, old, new)
    said = "the root has 3000 days left; the old key still waits in Secret meshwright-ca-standby, for `--to forget`"
    assert due.waits(world.session, world.env, 900, NOW) == said
    # Not everybody has followed: it goes on.
    world.converge(old, signer=old)
    assert due.waits(world.session, world.env, 900, NOW) == ""


def test_the_old_key_has_to_be_forgotten_before_the_next_change(world: Any) -> None:
    old, new = make("cluster.local"), aged(world, 800)
    standby(world, old, new)
    with pytest.raises(Refused, match="its old key still waits in Secret meshwright-ca-standby") as caught:
        due.waits(world.session, world.env, 900, NOW)
    assert "--to forget" in caught.value.hint
