"""Going on with a change that was left in the middle: what was approved is the same when the mesh has followed."""

from __future__ import annotations

import copy
from typing import Any

import mesh as objects
import pytest
from pki import make, self_signed

from meshwright.certs import modes, standby, transition
from meshwright.certs.contents import Ca, Case
from meshwright.certs.standby import Standby
from meshwright.foreign import RESTARTED
from meshwright.options import Options
from meshwright.plan import Plan, approval

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


APPS = ("details-v1", "ratings-v1")


@pytest.fixture
def slow(left: Any, host: Any) -> Any:
    """Two workloads of it learn late. `plan` plans going on with it in a mode."""
    session = left.session
    for name in APPS:
        pod = session.objects["v1", "Pod", "bookinfo", f"{name}-1"]
        [proxy] = pod["spec"]["initContainers"]
        proxy["env"] = []
        pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{name}-x", "controller": True}]
        above = {"ownerReferences": [{"kind": "Deployment", "name": name, "controller": True}]}
        session.put(objects.made("apps/v1", "ReplicaSet", f"{name}-x", "bookinfo", metadata=above))

    def plan(mode: str, step: Any = transition.transition) -> Plan:
        host.shared.options = Options(mode=mode)
        made: Plan = step.plan(host, left.env)
        return made

    left.plan = plan
    return left


@pytest.mark.parametrize("mode", list(modes.Mode))
@pytest.mark.parametrize("step", [transition.transition, transition.rollback])
def test_an_approval_holds_while_those_follow_that_learn_late(slow: Any, mode: str, step: Any) -> None:
    """A run was killed while it restarted: what it began goes on by itself between the plan and the next run."""
    before = slow.plan(mode, step)
    restarted = [change.name for change in before.changes if change.name.startswith("bookinfo/")]
    assert restarted == ([f"bookinfo/{name}" for name in APPS] if mode == "restart" else [])
    # A rolling update adds a pod, and later takes the old one away.
    another = copy.deepcopy(slow.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"])
    another["metadata"]["name"] = "ratings-v1-2"
    slow.session.put(another)
    slow.converge(slow.root)
    meanwhile = slow.plan(mode, step)
    slow.converge(slow.root, NEW)
    after = slow.plan(mode, step)
    assert approval([before]) == approval([meanwhile]) == approval([after])
    assert (before.unfinished, after.unfinished) == (True, False)
    assert before.notes != after.notes


def test_at_the_last_step_only_what_no_run_has_restarted_is_restarted(slow: Any) -> None:
    slow.converge(slow.root, NEW)
    secret = self_signed(NEW)
    slow.session.put(secret)
    lagging = {f"bookinfo/{name}-1": slow.dumps[f"bookinfo/{name}-1"] for name in APPS}
    slow.converge(NEW, signer=NEW)
    slow.dumps.update(lagging)
    plan = slow.plan("restart")
    assert [change.name for change in plan.changes] == [f"bookinfo/{name}" for name in APPS]
    version = slow.session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]["metadata"]["resourceVersion"]
    for name in APPS:
        template = slow.session.objects["apps/v1", "Deployment", "bookinfo", name]["spec"]["template"]
        template["metadata"]["annotations"] = {RESTARTED: f"P3-{version}"}
    plan = slow.plan("restart")
    assert (plan.changes, plan.unfinished) == ((), True)
    slow.converge(NEW, signer=NEW)
    assert slow.plan("restart").empty
