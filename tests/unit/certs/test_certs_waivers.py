"""Waivers: a proxy that no gate waits for, by name and with a reason, kept with the change and seen by everybody."""

from __future__ import annotations

from typing import Any

import pytest
from certmesh import istiod_pod
from pki import make, self_signed

from meshwright.certs import mesh as looks
from meshwright.certs import moving, phase, standby, transition, trust, waivers
from meshwright.certs.asked import now
from meshwright.certs.contents import Ca, Case
from meshwright.certs.phase import STANDBY
from meshwright.certs.standby import Standby
from meshwright.check import State
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.plan import Plan

POD, REASON = "bookinfo/ratings-v1-1", "ends tonight"
NEW = make("Acme")


@pytest.fixture
def late(world: Any, host: Any) -> Any:
    """A mesh whose change stands at P1, with one proxy that does not follow. `plan` plans going on with it."""
    before = world.dumps[POD], world.files[POD]

    def ca(made: Any) -> Ca:
        return Ca(made.certificate, made.certificate, (), made.key_pem, "istio-ca-secret")

    standby.keep(world.session, Standby(Case.IN_PLACE, ca(world.root), ca(NEW)), "istio-system")
    world.session.put(self_signed(world.root, NEW))
    world.converge(world.root, NEW)
    world.dumps[POD], world.files[POD] = before

    def plan(step: Any = transition.transition, **options: Any) -> Plan:
        host.shared.options = Options(**options)
        made: Plan = step.plan(host, world.env)
        return made

    world.plan, world.host = plan, host
    return world


def waived(plan: Plan) -> list[str]:
    return [f"{change.action.value} {change.name}" for change in plan.changes if change.kind == "Waiver"]


@pytest.mark.parametrize("step", [transition.transition, transition.rollback])
def test_the_gate_holds_without_it_and_the_plan_shows_it(late: Any, step: Any) -> None:
    assert late.plan(step).unfinished
    plan = late.plan(step, waive=frozenset({POD}), reason=REASON)
    assert not plan.unfinished
    assert waived(plan) == [f"+ {POD}"]
    [why] = [change.why for change in plan.changes if change.kind == "Waiver"]
    assert why.startswith(f"{REASON}: no gate waits for it")
    # Another reason is another plan.
    assert late.plan(step, waive=frozenset({POD}), reason="other").digest != plan.digest != late.plan(step).digest


def test_it_is_kept_with_the_change(late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    late.plan(waive=frozenset({POD}), reason=REASON)
    mover = transition.mover(late.host, late.env, late.session)
    assert mover.change.waived == {POD: REASON}
    report, at = mover.look()
    assert (at.stable, dict(at.waived)) == (True, {POD: REASON})
    # Whoever comes next knows it without being told.
    assert standby.read(late.session, "istio-system").waived == {POD: REASON}  # type: ignore[union-attr]
    plan = late.plan()
    assert (waived(plan), plan.unfinished) == ([], False)
    where = phase.where(late.session, trust.verify(late.session, late.env, now()))
    assert (where.stable, where.as_json()["waived"]) == (True, {POD: REASON})
    [finding] = [each for each in report.findings if each.subject == f"proxy {POD}"]
    assert finding.state is State.WARNING
    assert finding.detail.startswith(f"waived ({REASON}): it does not trust")
    # A look that is not about the change is as strict as ever.
    assert not trust.verify(late.session, late.env, now()).ok


def test_who_does_not_trust_what_others_present_is_no_clash(late: Any) -> None:
    before = late.dumps[POD]
    late.session.put(self_signed(NEW, late.root, NEW))
    late.converge(NEW, late.root, signer=NEW)
    late.dumps[POD] = before
    seen = trust.verify(late.session, late.env, now()).seen
    strict = [each.subject for each in trust.report(seen).laggards if each.subject.startswith("handshakes")]
    assert len(strict) > 1
    mild = [each.subject for each in trust.report(seen, {POD: REASON}).findings]
    assert not [each for each in mild if each.startswith("handshakes")]


def test_it_may_be_said_when_a_change_begins(world: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its agent learns late, so live mode would restart what keeps it first."""
    world.session.put(istiod_pod("istiod-2"))
    [proxy] = world.session.objects["v1", "Pod", *POD.split("/")]["spec"]["initContainers"]
    proxy["env"] = []
    host.shared.options = Options(to="new-self-signed")
    assert transition.transition.plan(host, world.env).changes[0].kind == "Mesh"
    host.shared.options = Options(to="new-self-signed", waive=frozenset({POD}), reason=REASON)
    plan = transition.transition.plan(host, world.env)
    assert waived(plan) == [f"+ {POD}"]
    assert not any(change.blocked for change in plan.changes)
    monkeypatch.setattr(moving, "forward", lambda _mover: None)
    transition.transition.apply(host, world.env, plan)
    made = world.session.objects["v1", "Secret", "istio-system", STANDBY]
    assert waivers.kept(made["metadata"]["annotations"]) == {POD: REASON}


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("bookinfo/ratings-v1-2", BadInput, "no proxy of the mesh has that name; the nearest is bookinfo/ratings-v1-1"),
        ("nothing", BadInput, "no proxy of the mesh has that name"),
        ("istio-system/istio-ingressgateway-1", Refused, "it is a gateway, which is never waived"),
        ("istio-system/istiod-1", Refused, "it is an istiod, which is never waived"),
    ],
)
def test_who_is_not_waived(world: Any, name: str, error: Any, said: str) -> None:
    pod = world.session.objects["v1", "Pod", "istio-system", "istio-ingressgateway-1"]
    pod["spec"]["containers"][0]["args"] = ["proxy", "router"]
    mesh = looks.look(world.session, world.env)
    with pytest.raises(error, match=said) as caught:
        waivers.asked(Options(waive=frozenset({name}), reason=REASON), mesh)
    assert caught.value.hint


def test_a_waiver_needs_a_reason(world: Any) -> None:
    mesh = looks.look(world.session, world.env)
    with pytest.raises(MeshwrightError, match="needs a reason") as caught:
        waivers.asked(Options(waive=frozenset({POD}), reason=" "), mesh)
    assert caught.value.exit_code is Exit.USAGE
    # One that is kept already needs no other.
    assert waivers.asked(Options(waive=frozenset({POD})), mesh, {POD: REASON}) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"a/b": 1}'])
def test_what_somebody_else_has_written_is_not_believed(text: str) -> None:
    with pytest.raises(MeshwrightError, match="is not a mapping of pods to reasons"):
        waivers.kept({waivers.WAIVED: text})
    assert waivers.kept({}) == {}
