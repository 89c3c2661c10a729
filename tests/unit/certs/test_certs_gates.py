"""Gates: seen twice, nudged meanwhile, refused when somebody else writes, and given up with names."""

from __future__ import annotations

from typing import Any

import pytest
from clock import Clock
from pki import NOW, make, self_signed

from meshwright.certs import phase, trust
from meshwright.certs.gates import NUDGED, Held, Pace, behind, hold, nudge, progress
from meshwright.certs.phase import Phase
from meshwright.errors import Forbidden, Refused, Unreachable, Unverified
from meshwright.kube import ApiError


@pytest.fixture
def change(world: Any) -> Any:
    """A mesh whose Secret has just got a second root, which nobody has yet."""
    world.old, world.new, world.clock, world.said, world.nudges = world.root, make("cluster.local"), Clock(), [], []
    world.session.put(self_signed(world.old, world.new))

    def look() -> Any:
        report = trust.verify(world.session, world.env, NOW)
        return report, phase.position(report, None)

    def go(wanted: Phase = Phase.BOTH_SIGN_OLD, **pace: float) -> Held:
        return hold(
            look,
            wanted,
            nudge=lambda report: world.nudges.append((world.clock.now, behind(report))),
            say=world.said.append,
            pace=Pace(**pace),
            clock=world.clock,
            sleep=world.clock.sleep,
        )

    world.look, world.go = look, go
    return world


def test_it_holds_when_all_have_followed_and_was_seen_twice(change: Any) -> None:
    change.clock.events = [(5.0, lambda: change.converge(change.old, change.new))]
    held = change.go()
    assert held.position.stable
    assert held.seconds == 7.0
    assert held.looks == 15
    assert change.said == [progress_at_first()]
    # Again and again: the first may come before the kubelet knows.
    assert [at for at, _ in change.nudges] == [0, 2, 4]


def progress_at_first() -> str:
    return "following: 0 of 4 ConfigMaps, 0 of 2 webhooks, 0 of 1 signers, 0 of 5 proxies, 0 of 5 files"


def test_one_that_falls_back_in_between_is_seen(change: Any) -> None:
    change.converge(change.old, change.new)
    before = dict(change.dumps)
    name = next(iter(change.dumps))

    def fall() -> None:
        change.dumps[name] = (before[name][0], (change.old.certificate,))

    change.clock.events = [(1.0, fall), (3.0, lambda: change.dumps.update(before))]
    held = change.go()
    assert held.seconds == 5.0
    assert change.said == ["following: 4 of 5 proxies"]


def test_patience_ends_with_names_and_what_to_do(change: Any) -> None:
    change.converge(change.old, change.new)
    name = "bookinfo/ratings-v1-1"
    change.dumps[name] = Unreachable("it gives no answer", hint="Look at it")
    with pytest.raises(Unverified, match="1 have not followed, first proxy bookinfo/ratings-v1-1") as caught:
        change.go(patience=10)
    assert caught.value.hint == "Look at it"
    assert 10 < change.clock.now < 12


def test_somebody_else_writes_the_secret(change: Any) -> None:
    change.clock.events = [(3.0, lambda: change.session.put(self_signed(change.new)))]
    with pytest.raises(Refused, match="somebody else has written the CA Secret"):
        change.go()


def test_a_cluster_that_is_away_for_a_while(change: Any) -> None:
    away = {"list Pod": Unreachable("the API server gives no answer")}
    change.converge(change.old, change.new)
    change.session.failing = dict(away)
    change.clock.events = [(30.0, change.session.failing.clear)]
    held = change.go()
    assert held.seconds == 32.0
    assert change.said == ["no answer: the API server gives no answer"]
    change.session.failing = dict(away)
    with pytest.raises(Unverified, match="could not be looked at within 5 s"):
        change.go(patience=5)
    change.session.failing = {"list Pod": Forbidden("may not")}
    with pytest.raises(Forbidden):
        change.go()


def test_whose_kubelet_should_look(change: Any) -> None:
    report, _ = change.look()
    assert ("istio-system", "istiod-1") in behind(report)
    assert len(behind(report)) == 6
    change.converge(change.old, change.new)
    change.files["bookinfo/ratings-v1-1"] = change.old.pem
    report, _ = change.look()
    assert behind(report) == [("bookinfo", "ratings-v1-1")]
    assert progress(report) == "following: 4 of 5 files"
    change.files["bookinfo/ratings-v1-1"] = change.old.pem + change.new.pem
    report, _ = change.look()
    assert (behind(report), progress(report)) == ([], "")


def test_a_nudge_is_an_annotation(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = []

    def patch(_api: str, kind: str, name: str, namespace: str, *, body: Any) -> None:
        if name == "gone":
            raise ApiError("no", status=404, body={"reason": "NotFound"})
        if name == "no":
            raise ApiError("no", status=422, body={"reason": "Invalid"})
        patched.append((kind, namespace, name, list(body["metadata"]["annotations"])))

    monkeypatch.setattr(world.session, "patch", patch)
    nudge(world.session, [("a", "b"), ("a", "gone")])
    assert patched == [("Pod", "a", "b", [NUDGED])]
    assert "istio.io" not in NUDGED
    with pytest.raises(ApiError):
        nudge(world.session, [("a", "no")])
