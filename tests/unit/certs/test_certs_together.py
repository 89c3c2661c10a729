"""The root of a mesh of several clusters: one plan, one order, and it goes on from wherever it was killed."""

from __future__ import annotations

from typing import Any

import certmeshes
import pytest
from certmeshes import Clusters, kubeconfig, remote_secret
from pki import make, plugged

from meshwright.certs import across, asked, phase, together, trust
from meshwright.errors import BadInput, Exit, Forbidden, MeshwrightError, Refused, Unreachable
from meshwright.options import Options
from meshwright.plan import Plan

TO = "cacerts:ca"


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch, host: Any) -> Any:
    """A mesh of two clusters; `go(step, to, of)` plans and applies as the cluster `of`."""
    found: Any = certmeshes.made(monkeypatch, host)

    def go(step: Any, to: str = "", of: str = "east", *, only: bool = False, **options: Any) -> Plan:
        host.shared.options = Options(to=to, **options)
        plan: Plan = step.plan(host, found.envs[of])
        if not only and not plan.empty:
            assert not any(change.blocked for change in plan.changes), plan.changes[0].blocked
            step.apply(host, found.envs[of], plan)
        return plan

    found.go = go
    return found


def names(plan: Plan) -> list[str]:
    return [f"{change.action.value} {change.kind} {change.name}" for change in plan.changes]


def reason(plan: Plan) -> str:
    assert plan.changes[0].blocked is not None
    return plan.changes[0].blocked.reason


STANDBY = "istio-system/meshwright-ca-standby"
FORWARD = [f"~ Phase {name}: {step}" for step in ("P1", "P2", "P3") for name in ("east", "west")]
BACK = [f"~ Phase {name}: {step}" for step in ("P2", "P1", "P0") for name in ("east", "west")]
BEGIN = [f"+ Secret {name}: {STANDBY}" for name in ("east", "west")]
END = [f"- Secret {name}: {STANDBY}" for name in ("east", "west")]


def written(mesh: Clusters, secret: str = "cacerts") -> list[str]:
    return [name for name, _, what in mesh.writes if what == secret]


def test_there_and_back_and_the_order(mesh: Any) -> None:
    assert names(mesh.go(together.transition, TO, only=True)) == [*BEGIN, *FORWARD]
    mesh.go(together.transition, TO)
    kept = [("east", "create", "meshwright-ca-standby"), ("west", "create", "meshwright-ca-standby")]
    assert mesh.writes == kept + [(name, "replace", "cacerts") for name in ("east", "west") * 3]
    assert [mesh.roots(name) for name in ("east", "west")] == [["New"], ["New"]]
    assert mesh.go(together.transition, TO, only=True).empty
    assert names(mesh.go(together.rollback, only=True)) == [*BACK, *END]
    mesh.writes.clear()
    mesh.go(together.rollback)
    assert written(mesh) == ["east", "west"] * 3
    assert [mesh.roots(name) for name in ("east", "west")] == [["Old"], ["Old"]]
    assert mesh.writes[-2:] == [(name, "delete", "meshwright-ca-standby") for name in ("east", "west")]


def test_the_end(mesh: Any) -> None:
    mesh.go(together.transition, TO)
    assert names(mesh.go(together.transition, "forget")) == END
    assert mesh.go(together.transition, "forget").empty
    with pytest.raises(MeshwrightError, match="no change of the root of prod/east is under way"):
        mesh.go(together.rollback)
    with pytest.raises(MeshwrightError, match="no change of the root of prod/east is under way") as none:
        mesh.go(together.transition)
    assert none.value.exit_code is Exit.USAGE


def test_the_other_clusters_step_has_nothing_to_do(mesh: Any) -> None:
    plan = mesh.go(together.transition, TO, of="west")
    assert plan.empty
    assert plan.notes == ("its root is changed with that of prod/east, which is in the same mesh",)
    assert mesh.writes == []


def test_the_run_reaches_both(mesh: Any, host: Any) -> None:
    assert together.transition.reach is not None
    assert [env.name for _, env in together.transition.reach(host, mesh.envs["east"])] == ["prod/east", "prod/west"]


class Killed(Exception):
    """The process is gone."""


@pytest.mark.parametrize(
    ("at", "end"), [*((at, "forward") for at in (1, 2, 3, 5, 8)), *((at, "back") for at in (2, 6))]
)
def test_killed_after_a_write(mesh: Any, at: int, end: str) -> None:
    count = 0

    def kill(*_written: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed

    mesh.after = kill
    with pytest.raises(Killed):
        mesh.go(together.transition, TO)
    mesh.after = _ordered(mesh)
    if end == "back":
        mesh.go(together.rollback)
        assert [mesh.roots(name) for name in ("east", "west")] == [["Old"], ["Old"]]
        assert not any(key[3] == phase.STANDBY for w in mesh.worlds.values() for key in w.session.objects)
        return
    if at == 1:
        with pytest.raises(MeshwrightError, match=r"under way in prod/east, and not in prod/west") as said:
            mesh.go(together.transition)
        assert said.value.exit_code is Exit.USAGE
    mesh.go(together.transition, TO if at == 1 else "")
    assert [mesh.roots(name) for name in ("east", "west")] == [["New"], ["New"]]


def _ordered(mesh: Any) -> Any:
    """After each write: each cluster trusts what the other one signs under."""

    def look(*_written: str) -> None:
        found = {name: mesh.stands(name) for name in ("east", "west")}
        for _, signer in found.values():
            assert all(signer in trusted for trusted, _ in found.values()), found

    return look


def test_no_cluster_is_in_p2_while_another_has_not_followed_p1(mesh: Any) -> None:
    """west never gets the new roots into its proxies."""
    real = mesh.worlds["west"].converge
    mesh.worlds["west"].converge = lambda *roots, **more: real(mesh.old, signer=mesh.signers["west"])
    with pytest.raises(MeshwrightError, match=r"prod/west: the gate of P1.* does not hold") as said:
        mesh.go(together.transition, TO)
    assert said.value.exit_code is Exit.PARTIAL
    assert written(mesh) == ["east", "west"]
    assert [sorted(set(mesh.roots(name))) for name in ("east", "west")] == [["New", "Old"], ["New", "Old"]]
    mesh.worlds["west"].converge = real
    mesh.go(together.transition)
    assert [mesh.roots(name) for name in ("east", "west")] == [["New"], ["New"]]


def test_a_cluster_that_is_not_listed(mesh: Any) -> None:
    mesh.worlds["west"].session.put(remote_secret("istio-remote-secret-north", "north", kubeconfig("https://north")))
    plan = mesh.go(together.transition, TO, only=True)
    assert reason(plan) == (
        "other clusters: prod/west knows a cluster that the environment does not list: north, by Secret "
        "istio-remote-secret-north, at https://north"
    )
    with pytest.raises(MeshwrightError, match="nothing to take back"):
        mesh.go(together.rollback, only=True)


def test_a_cluster_that_comes_in_the_middle_stops_it_but_not_the_way_back(mesh: Any) -> None:
    mesh.go(together.transition, TO)
    mesh.go(together.rollback, only=True)
    mesh.worlds["west"].session.put(remote_secret("istio-remote-secret-north", "north", kubeconfig("https://north")))
    assert reason(mesh.go(together.transition, "forget", only=True)).startswith("other clusters: prod/west knows")
    mesh.go(together.rollback)
    assert [mesh.roots(name) for name in ("east", "west")] == [["Old"], ["Old"]]


def test_a_cluster_that_gives_no_answer(mesh: Any) -> None:
    mesh.worlds["west"].session.failing["list Secret"] = Unreachable("nobody answers")
    with pytest.raises(Unreachable, match="prod/west gives no answer, so it is not known who else is in its mesh"):
        mesh.go(together.transition, TO)
    assert mesh.writes == []


def test_remote_secrets_that_may_not_be_listed(mesh: Any) -> None:
    """Of several clusters it is not known then who belongs together; of one it is said."""
    mesh.worlds["west"].session.failing["list Secret"] = Forbidden("not you")
    with pytest.raises(Forbidden, match="prod/west may not be asked for its remote secrets"):
        mesh.go(together.transition, TO)
    assert mesh.writes == []


def test_remote_secrets_of_one_cluster_that_may_not_be_listed(world: Any, host: Any) -> None:
    host.shared.options = Options(to="new-self-signed")
    world.session.failing["list Secret"] = Forbidden("not you")
    plan = together.transition.plan(host, world.env)
    assert not any(change.blocked for change in plan.changes)
    assert any("lab may not be asked whether the mesh has other clusters" in note for note in plan.notes)


def test_clusters_that_do_not_know_each_other_are_meshes_of_their_own(mesh: Any) -> None:
    for name, other in (("east", "west"), ("west", "east")):
        del mesh.worlds[name].session.objects["v1", "Secret", "istio-system", f"istio-remote-secret-{other}"]
    mesh.go(together.transition, f"{TO}/west", of="west")
    assert written(mesh) == ["west"] * 3
    assert [mesh.roots(name) for name in ("east", "west")] == [["Old"], ["New"]]


def test_a_mesh_that_comes_apart_before_it_is_applied(mesh: Any, host: Any) -> None:
    plan = mesh.go(together.transition, TO, only=True)
    for name, other in (("east", "west"), ("west", "east")):
        del mesh.worlds[name].session.objects["v1", "Secret", "istio-system", f"istio-remote-secret-{other}"]
    with pytest.raises(Refused, match="are others than when the plan was made"):
        together.transition.apply(host, mesh.envs["east"], plan)
    assert mesh.writes == []


def test_one_that_knows_the_other_is_enough(mesh: Any) -> None:
    del mesh.worlds["east"].session.objects["v1", "Secret", "istio-system", "istio-remote-secret-west"]
    mesh.go(together.transition, TO)
    assert written(mesh) == ["east", "west"] * 3


@pytest.mark.parametrize("to", ["new-self-signed", "extend"])
def test_a_root_of_each_clusters_own(mesh: Any, to: str) -> None:
    plan = mesh.go(together.transition, to, only=True)
    assert any(change.blocked for change in plan.changes)
    said = f"{reason(plan)} {plan.notes}"
    assert "each of the 2 clusters would get a root of its own, and none would trust another" in said


def test_roots_that_differ_today(mesh: Any) -> None:
    other = make("Other")
    signer = make("Other west", other)
    mesh.worlds["west"].session.put(plugged(signer, other))
    mesh.worlds["west"].signer = signer
    mesh.worlds["west"].converge(other)
    plan = mesh.go(together.transition, TO, only=True)
    assert reason(plan).startswith("the root today: the clusters do not have the same: prod/east has O=Old")


def test_new_roots_that_differ(mesh: Any, host: Any) -> None:
    other = make("Elsewhere")
    signer = make("Elsewhere west", other)
    folder = host.project.root / "ca" / "west"
    texts = {"ca-cert.pem": signer, "cert-chain.pem": signer, "root-cert.pem": other}
    for file, each in texts.items():
        (folder / file).write_text(each.pem)
    (folder / "ca-key.pem").write_text(signer.key_pem)
    plan = mesh.go(together.transition, TO, only=True)
    assert reason(plan).startswith("the new root: the folders do not have the same: prod/east: O=New")


def test_a_cluster_without_files(mesh: Any, host: Any) -> None:
    for file in (host.project.root / "ca" / "west").iterdir():
        file.unlink()
    with pytest.raises(BadInput, match="ca/west"):
        mesh.go(together.transition, TO, only=True)


def test_a_key_that_is_not_the_certificates_is_seen_before_anything_is_kept(mesh: Any, host: Any) -> None:
    (host.project.root / "ca" / "west" / "ca-key.pem").write_text(make("x").key_pem)
    with pytest.raises(Refused, match=r"prod/west: .* it is the key of another certificate"):
        mesh.go(together.transition, TO)
    assert mesh.writes == []


def test_changes_that_are_not_one(mesh: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh.go(together.transition, TO)
    standby = mesh.worlds["west"].session.objects["v1", "Secret", "istio-system", phase.STANDBY]
    standby["metadata"]["annotations"][phase.NEW] = "f" * 64
    with pytest.raises(Refused, match="the clusters of this mesh are in different changes of their root"):
        mesh.go(together.transition)


def test_forgotten_in_one_cluster_alone(mesh: Any) -> None:
    mesh.go(together.transition, TO)
    del mesh.worlds["east"].session.objects["v1", "Secret", "istio-system", phase.STANDBY]
    with pytest.raises(MeshwrightError, match="under way in prod/west, and not in prod/east"):
        mesh.go(together.transition)
    mesh.writes.clear()
    with pytest.raises(Refused, match=r"prod/east: it has no Secret meshwright-ca-standby, so it cannot go to P2"):
        mesh.go(together.rollback)
    assert mesh.writes == []
    assert names(mesh.go(together.transition, "forget")) == [END[1]]


def test_a_single_cluster_with_remote_secrets_is_refused_as_before(world: Any, host: Any) -> None:
    host.shared.options = Options(to="new-self-signed")
    world.session.put(remote_secret("istio-remote-secret-west", "west", kubeconfig("https://10.1.1.1:6443")))
    plan = together.transition.plan(host, world.env)
    blocked = plan.changes[0].blocked
    assert blocked is not None
    assert blocked.reason.startswith("other clusters: lab knows a cluster that the environment does not list: west")


def test_what_clusters_are_to_each_other(mesh: Any) -> None:
    def look() -> list[str]:
        reports = {name: trust.verify(w.session, w.env, asked.now()) for name, w in mesh.worlds.items()}
        return [f"{each.state}: {each.subject}" for each in across.findings(reports)]

    assert look() == ["ok: west towards east", "ok: east towards west"]
    other = make("Other")
    mesh.worlds["west"].session.put(plugged(make("Other west", other), other))
    assert look() == ["failed: west towards east", "failed: east towards west"]
