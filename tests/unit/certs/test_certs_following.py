"""Proxies that learn a new root only with their next certificate: restarted, or waited for, and nobody else is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import certmesh
import mesh as objects
import pytest
from pki import NOW, leaf, make, self_signed

from meshwright.certs import gates, phase, restarting, trust
from meshwright.certs.following import Follower
from meshwright.certs.gates import Pace
from meshwright.certs.modes import Mode, lagging, slow
from meshwright.certs.phase import Phase
from meshwright.errors import Refused, Unverified
from meshwright.foreign import RESTARTED

SLOW = ("bookinfo/details-v1-1", "bookinfo/ratings-v1-1")


class Slow:
    """The mesh of `world` after a second root was written: everybody but SLOW has followed. A slow one follows when its
    Deployment is restarted, and `late` seconds after the write."""

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.now, self.said = world, 0.0, []
        self.late, self.stop_at = 1e9, 1e9
        self.new = make("Acme")
        session = world.session
        for name in (each.partition("/")[2] for each in SLOW):
            pod = session.objects["v1", "Pod", "bookinfo", name]
            [proxy] = pod["spec"]["initContainers"]
            proxy["env"] = []
            own = name.removesuffix("-1")
            pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{own}-x", "controller": True}]
            above = {"ownerReferences": [{"kind": "Deployment", "name": own, "controller": True}]}
            session.put(objects.made("apps/v1", "ReplicaSet", f"{own}-x", "bookinfo", metadata=above))
        before = {name: world.dumps[name] for name in SLOW}
        session.put(self_signed(world.root, self.new))
        world.converge(world.root, self.new)
        self.after = {name: world.dumps[name] for name in SLOW}
        world.dumps.update(before)
        self.before = before
        real = session.patch

        def patch(api: str, kind: str, name: str, namespace: str, *, body: Any) -> Any:
            count = len(session.patches)
            answer = real(api, kind, name, namespace, body=body)
            if kind == "Deployment" and len(session.patches) > count:
                world.dumps[f"bookinfo/{name}-1"] = self.after[f"bookinfo/{name}-1"]
            return answer

        monkeypatch.setattr(session, "patch", patch)
        monkeypatch.setattr(restarting.wait, "ready", lambda *_args, **_more: None)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.late:
            self.world.dumps.update(self.after)

    def look(self) -> Any:
        report = trust.verify(self.world.session, self.world.env, NOW + dt.timedelta(seconds=self.now))
        return report, phase.position(report, None)

    def hold(self, look: Any, pace: Pace) -> Any:
        wanted, say = Phase.BOTH_SIGN_OLD, self.said.append
        clock, nudge = (lambda: self.now), (lambda _report: None)
        return gates.hold(look, wanted, nudge=nudge, say=say, pace=pace, clock=clock, sleep=self.sleep)

    def safe_point(self, what: str) -> None:
        if self.now >= self.stop_at:
            raise Refused(f"the window is over: stopped at {what}")

    def follow(self, mode: Mode) -> list[str]:
        """The Deployments that were restarted."""
        before = len(self.world.session.patches)
        Follower(
            self.world.session,
            mode,
            self.hold,
            self.look,
            "P1",
            self.said.append,
            Pace(patience=30, pause=1, apart=1),
            60,
            lambda: self.now,
            self.sleep,
            self.safe_point,
        ).follow()
        return [name for kind, _, name, _ in self.world.session.patches[before:] if kind == "Deployment"]


@pytest.fixture
def mesh(world: Any, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(world, monkeypatch)


def test_who_is_slow(mesh: Slow) -> None:
    report, _ = mesh.look()
    assert tuple(map(str, slow(report.seen.mesh))) == SLOW
    assert lagging(report) == set(SLOW)
    mesh.world.session.put(certmesh.plane(CLUSTER_ID="Kubernetes"))
    assert len(slow(mesh.look()[0].seen.mesh)) == 5


def test_only_the_laggards_are_restarted_and_only_once(mesh: Slow) -> None:
    assert mesh.follow(Mode.RESTART) == ["details-v1", "ratings-v1"]
    marks = {
        key[3]: obj["spec"]["template"]["metadata"]["annotations"][RESTARTED]
        for key, obj in mesh.world.session.objects.items()
        if key[1] == "Deployment" and key[3] in ("details-v1", "ratings-v1")
    }
    version = mesh.world.session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]["metadata"]
    assert set(marks.values()) == {f"P1-{version['resourceVersion']}"}
    assert mesh.follow(Mode.RESTART) == []
    # Killed before its pods were new: they are only waited for.
    mesh.world.dumps.update(mesh.before)
    assert mesh.follow(Mode.RESTART) == []


def test_one_that_has_followed_is_left_alone(mesh: Slow) -> None:
    mesh.world.dumps[SLOW[0]] = mesh.after[SLOW[0]]
    assert mesh.follow(Mode.RESTART) == ["ratings-v1"]


def test_one_that_is_told_but_does_not_follow_is_restarted_too(mesh: Slow) -> None:
    name = "bookinfo/details-v1-1"
    pod = mesh.world.session.objects["v1", "Pod", "bookinfo", "details-v1-1"]
    pod["spec"]["initContainers"][0]["env"] = [{"name": "PROXY_CONFIG_XDS_AGENT", "value": "true"}]
    assert mesh.follow(Mode.RESTART) == ["details-v1", "ratings-v1"]
    assert mesh.now >= 20
    assert mesh.world.dumps[name] == mesh.after[name]


def test_those_that_are_told_are_waited_for_as_long_as_some_of_them_follow(
    mesh: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is restarted only because the machine is busy."""
    for name in SLOW:
        pod = mesh.world.session.objects["v1", "Pod", *name.split("/")]
        pod["spec"]["initContainers"][0]["env"] = [{"name": "PROXY_CONFIG_XDS_AGENT", "value": "true"}]

    def sleep(seconds: float) -> None:
        mesh.now += seconds
        for number, name in enumerate(SLOW):
            if mesh.now >= 15 + 18 * number:
                mesh.world.dumps[name] = mesh.after[name]

    monkeypatch.setattr(mesh, "sleep", sleep)
    assert mesh.follow(Mode.RESTART) == []
    assert 33 <= mesh.now < 40


def test_what_cannot_be_restarted_is_named(mesh: Slow) -> None:
    mesh.world.session.objects["apps/v1", "Deployment", "bookinfo", "ratings-v1"]["spec"]["paused"] = True
    assert mesh.follow(Mode.RESTART) == ["details-v1"]
    assert any(each.startswith("not restarted: Deployment bookinfo/ratings-v1, it is paused") for each in mesh.said)


def test_nobody_is_restarted_before_istiod_hands_out_the_new(mesh: Slow) -> None:
    mesh.world.hand_out(mesh.world.root)
    with pytest.raises(Unverified, match="have not followed, first ConfigMap"):
        mesh.follow(Mode.RESTART)
    assert [each for each in mesh.world.session.patches if each[0] == "Deployment"] == []


def short(mesh: Slow, minutes: float) -> None:
    """Gives the slow certificates of this life, new now."""
    for name in SLOW:
        chain, roots = mesh.world.dumps[name]
        own = leaf(mesh.world.root, "spiffe://x", days=(0, minutes / 1440))
        mesh.world.dumps[name] = mesh.before[name] = ((*own.chain, *chain[1:]), roots)


def test_patience_waits_for_half_of_a_life_and_says_how_long(mesh: Slow) -> None:
    short(mesh, 10)
    mesh.late = 5 * 60
    assert mesh.follow(Mode.PATIENT) == []
    assert mesh.late <= mesh.now <= mesh.late + 30
    said = [each for each in mesh.said if each.startswith("waiting for the next certificates of 2 proxies")]
    assert len(said) == 1
    assert said[0].endswith("in 7 minutes")


def test_patience_leaves_those_that_never_ask_to_the_gate(mesh: Slow) -> None:
    short(mesh, 6)
    mesh.follow(Mode.PATIENT)
    assert 5 * 60 <= mesh.now <= 6 * 60
    with pytest.raises(Unverified, match="first proxy bookinfo/details-v1-1"):
        mesh.hold(mesh.look, Pace(patience=5))


def test_a_window_ends_the_wait_at_a_safe_point_and_another_run_goes_on(mesh: Slow) -> None:
    short(mesh, 10)
    mesh.late, mesh.stop_at = 5 * 60, 120
    with pytest.raises(Refused, match="stopped at the wait of P1"):
        mesh.follow(Mode.PATIENT)
    assert mesh.now < 180
    mesh.stop_at = 1e9
    mesh.follow(Mode.PATIENT)
    assert mesh.late <= mesh.now <= mesh.late + 30
