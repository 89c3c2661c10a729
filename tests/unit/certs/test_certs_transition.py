"""The change of the root as steps: what is planned, what is refused, what is done, and that it can be run again."""

from __future__ import annotations

from typing import Any

import pytest
from certmesh import istiod_pod, plane
from pki import Signed, make, plugged, self_signed

from meshwright.certs import asked, making, moving, standby, transition
from meshwright.certs.gates import Pace
from meshwright.certs.phase import STANDBY
from meshwright.errors import BadInput, Exit, Forbidden, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.plan import Action, Plan

NEW = make("Acme")
INT = make("Acme Int", NEW)


@pytest.fixture
def mesh(world: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mesh with two istiods that follows each write at once; `go(step, to)` plans and applies."""
    world.session.put(istiod_pod("istiod-2"))
    known: dict[Any, Any] = {}

    def learn(*certificates: Signed) -> None:
        known.update({each.certificate: each for each in certificates})

    def follow(_seconds: float) -> None:
        mover = world.mover
        report, _ = mover.look()
        authority = report.seen.authority
        if not report.ok:
            for ca in (mover.change.old, mover.change.new):
                key = making._key(ca.key, "x")
                learn(Signed(ca.signer, key, ca.chain), Signed(ca.root, key))  # type: ignore[arg-type]
            roots = [known[root] for root in dict.fromkeys(authority.ordered)]
            world.converge(*roots, signer=known[authority.signer])

    real = moving.Mover

    def mover(session: Any, env: Any, change: Any, say: Any) -> Any:
        world.mover = real(session, env, change, say, Pace(patience=5, apart=0, every=0), sleep=follow)
        return world.mover

    monkeypatch.setattr(transition, "Mover", mover)
    monkeypatch.setattr(world.session, "patch", lambda *_args, **_more: None)
    monkeypatch.setattr(moving.wait, "ready", lambda *_args, **_more: None)

    def go(step: Any, to: str = "", *, only: bool = False) -> Plan:
        host.shared.options = Options(to=to)
        plan: Plan = step.plan(host, world.env)
        if not only and not plan.empty:
            assert not any(change.blocked for change in plan.changes)
            step.apply(host, world.env, plan)
        return plan

    folder = host.project.root / "ca"
    folder.mkdir()
    texts = {"ca-cert.pem": INT.pem, "ca-key.pem": INT.key_pem, "cert-chain.pem": INT.pem, "root-cert.pem": NEW.pem}
    for name, text in texts.items():
        (folder / name).write_text(text)
    world.go, world.folder = go, folder
    return world


def names(plan: Plan) -> list[str]:
    return [f"{change.action.value} {change.kind} {change.name}" for change in plan.changes]


STAND, FORGET = "Secret istio-system/meshwright-ca-standby", "- Secret istio-system/meshwright-ca-standby"
ISTIOD = "~ Deployment istio-system/istiod"
PHASES = ["~ Phase P1", "~ Phase P2", "~ Phase P3"]
BACK = ["~ Phase P2", "~ Phase P1", "~ Phase P0"]


@pytest.mark.parametrize(
    ("to", "phases", "back"),
    [
        ("new-self-signed", [*PHASES, ISTIOD], [*BACK, ISTIOD, FORGET]),
        ("cacerts:ca", [*PHASES, ISTIOD], [*BACK, "- Secret istio-system/cacerts", FORGET]),
        ("extend", ["~ Phase P1", "~ Phase P3", ISTIOD], ["~ Phase P2", "~ Phase P0", ISTIOD, FORGET]),
    ],
)
def test_there_and_back_and_nothing_left_to_do(mesh: Any, to: str, phases: list[str], back: list[str]) -> None:
    assert names(mesh.go(transition.transition, to)) == [f"+ {STAND}", *phases]
    again = mesh.go(transition.transition, to)
    assert again.empty
    assert "--to forget deletes it" in " ".join(again.notes)
    assert mesh.go(transition.transition).empty
    assert names(mesh.go(transition.rollback)) == back
    with pytest.raises(MeshwrightError, match="nothing to take back"):
        mesh.go(transition.rollback)
    assert [key for key in mesh.session.objects if key[3] in (STANDBY, "cacerts")] == []


def test_forgetting_ends_it(mesh: Any) -> None:
    mesh.go(transition.transition, "new-self-signed")
    assert names(mesh.go(transition.transition, "forget")) == [FORGET]
    assert mesh.go(transition.transition, "forget").empty
    with pytest.raises(MeshwrightError) as caught:
        mesh.go(transition.transition)
    assert caught.value.exit_code is Exit.USAGE


def test_nothing_is_forgotten_that_is_needed(mesh: Any) -> None:
    mesh.go(transition.transition, "cacerts:ca")
    name = next(iter(mesh.dumps))
    mesh.dumps[name] = (mesh.dumps[name][0], (mesh.root.certificate,))
    [change] = mesh.go(transition.transition, "forget", only=True).changes
    assert change.blocked is not None


def test_a_plan_shows_both_roots_and_binds_them(mesh: Any) -> None:
    plan = mesh.go(transition.transition, "cacerts:ca", only=True)
    both = [mesh.root.certificate.label, NEW.certificate.label]
    fields = {change.name: [field.after for field in change.fields] for change in plan.changes}
    assert fields["P1"] == ["Secret cacerts", both, both[0], ["istiod"]]
    assert fields["P2"] == ["Secret cacerts", both, both[1], "nothing"]
    assert fields["P3"] == ["Secret cacerts", [both[1]], both[1], "nothing"]
    assert mesh.go(transition.transition, "cacerts:ca", only=True).digest == plan.digest
    other = make("Other")
    (mesh.folder / "root-cert.pem").write_text(other.pem)
    assert mesh.go(transition.transition, "cacerts:ca", only=True).digest != plan.digest


def test_a_plan_reads_no_key(mesh: Any) -> None:
    (mesh.folder / "ca-key.pem").unlink()
    plan = mesh.go(transition.transition, "cacerts:ca", only=True)
    assert not any(change.blocked for change in plan.changes)
    with pytest.raises(BadInput, match=r"ca has no ca-key\.pem"):
        mesh.go(transition.transition, "cacerts:ca")
    assert ("v1", "Secret", "istio-system", STANDBY) not in mesh.session.objects
    (mesh.folder / "ca-key.pem").write_text(NEW.key_pem)
    with pytest.raises(Refused, match="the key of another certificate"):
        mesh.go(transition.transition, "cacerts:ca")
    assert ("v1", "Secret", "istio-system", STANDBY) not in mesh.session.objects


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda mesh: mesh.session.put(plane(CLUSTER_ID="Kubernetes")), "live change of roots"),
        (lambda mesh: mesh.session.put(self_signed(mesh.root, make("x"))), "the mesh stands at P1"),
        (lambda mesh: mesh.pages.update({("istiod-1", "/version"): b"1.25.1"}), "splits the bundle"),
        (lambda mesh: (mesh.folder / "root-cert.pem").write_text(make("x").pem), "no path"),
    ],
)
def test_a_change_that_may_not_begin_is_shown_and_refused(mesh: Any, break_it: Any, reason: str) -> None:
    break_it(mesh)
    plan = mesh.go(transition.transition, "cacerts:ca", only=True)
    [blocked] = [change.blocked for change in plan.changes if change.blocked]
    said = " ".join([blocked.reason, *plan.notes])
    assert reason in said


def test_what_it_cannot_be_changed_to(mesh: Any) -> None:
    for to in ("nonsense", "cacerts:", "cacerts"):
        with pytest.raises(BadInput, match="is nothing that a root can be changed to"):
            mesh.go(transition.transition, to)
    with pytest.raises(MeshwrightError) as caught:
        mesh.go(transition.transition)
    assert caught.value.exit_code is Exit.USAGE
    with pytest.raises(BadInput, match="nowhere has no"):
        mesh.go(transition.transition, "cacerts:nowhere")


def test_another_change_while_one_is_under_way(mesh: Any) -> None:
    mesh.go(transition.transition, "new-self-signed")
    for to in ("extend", "cacerts:ca"):
        with pytest.raises(Refused, match="another change of the root is under way"):
            mesh.go(transition.transition, to)


def test_the_root_that_is_there_already(mesh: Any) -> None:
    mesh.session.put(plugged(INT, NEW))
    mesh.converge(NEW, signer=INT)
    plan = mesh.go(transition.transition, "cacerts:ca")
    assert (plan.empty, plan.notes) == (True, ("the mesh has this root already",))


def test_a_killed_run_goes_on_without_being_told_where_to(mesh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = mesh.session.replace, []

    def killed(obj: Any, **more: Any) -> Any:
        calls.append(obj["metadata"]["name"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(obj, **more)

    monkeypatch.setattr(mesh.session, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        mesh.go(transition.transition, "new-self-signed")
    assert names(mesh.go(transition.transition)) == [*PHASES[1:], ISTIOD]
    assert mesh.go(transition.transition).empty


def test_no_cluster_yet_and_no_right(mesh: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh.session.failing["get Secret"] = Forbidden("may not get Secret")
    with pytest.raises(Forbidden):
        mesh.go(transition.transition, "new-self-signed")
    from meshwright import cluster

    monkeypatch.setattr(cluster, "session", lambda *_: None)
    for step in (transition.transition, transition.rollback):
        assert step.plan(host, mesh.env).after == "cluster"


def test_no_key_in_plans_or_sentences(mesh: Any, host: Any) -> None:
    plan = mesh.go(transition.transition, "cacerts:ca")
    change = standby.read(mesh.session, "istio-system")
    assert change is not None
    text = repr(plan) + str(plan.as_json()) + " ".join(host.sentences) + repr(change)
    for key in (INT.key_pem, change.old.key):
        assert key.splitlines()[1] not in text
    assert plan.count(Action.ADD) == 1
    assert asked.TO
