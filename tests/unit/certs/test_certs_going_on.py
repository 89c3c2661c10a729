"""Going on with a change that was left in the middle: what was approved is the same when the mesh has followed."""

from __future__ import annotations

from typing import Any

import pytest
from pki import make, self_signed

from meshwright.certs import standby, transition
from meshwright.certs.contents import Ca, Case
from meshwright.certs.standby import Standby
from meshwright.plan import approval

NEW = make("Acme")


@pytest.fixture
def left(world: Any) -> Any:
    """A mesh whose run was killed right after it had written the second root: nobody has it yet."""

    def ca(made: Any) -> Ca:
        return Ca(made.certificate, made.certificate, (), made.key_pem, "istio-ca-secret")

    standby.keep(world.session, Standby(Case.IN_PLACE, ca(world.root), ca(NEW)), "istio-system")
    world.session.put(self_signed(world.root, NEW))
    return world


@pytest.mark.parametrize("step", [transition.transition, transition.rollback])
def test_an_approval_holds_while_the_mesh_follows(left: Any, host: Any, step: Any) -> None:
    before = step.plan(host, left.env)
    assert before.unfinished
    left.converge(left.root, NEW)
    after = step.plan(host, left.env)
    assert not after.unfinished
    assert approval([before]) == approval([after])


def test_what_is_left_is_only_to_be_waited_for(left: Any, host: Any) -> None:
    """The last phase was written, and its gate not seen."""
    left.session.put(self_signed(NEW))
    plan = transition.transition.plan(host, left.env)
    assert (plan.changes, plan.empty) == ((), False)
    left.converge(NEW, signer=NEW)
    again = transition.transition.plan(host, left.env)
    assert again.empty
    assert approval([plan]) == approval([again])
