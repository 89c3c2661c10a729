"""Several clusters change their root together: killed whenever, nobody presents what another one does not trust."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.certs import barrier
from meshwright.certs.barrier import BACK, FORWARD, Stand, conduct, following, why_not
from meshwright.certs.contents import Step
from meshwright.errors import MeshwrightError, Refused

P0, P1, P2, P3 = FORWARD
TRUST = {P0: {"A"}, P1: {"A", "B"}, P2: {"A", "B"}, P3: {"B"}}
SIGN = {P0: "A", P1: "A", P2: "B", P3: "B"}


class Killed(MeshwrightError):
    """The run ends at this instant."""


@dataclass
class World:
    """Clusters made of proxies that follow a write one after the other. After each thing that happens, every proxy must
    take what every other one presents, of whatever cluster; `budget` things happen before the run is killed."""

    clusters: list[Fake] = field(default_factory=list)
    budget: int | None = None
    happened: list[str] = field(default_factory=list)

    def happens(self, what: str) -> None:
        if self.budget is not None:
            if self.budget == 0:
                raise Killed("killed")
            self.budget -= 1
        self.happened.append(what)

    def holds(self) -> None:
        for one in self.clusters:
            for other in self.clusters:
                for presents in one.signed:
                    for trusts in other.trusts:
                        assert presents in trusts, f"{one.name} to {other.name} after {self.happened}"

    def run(self, way: tuple[Step, ...], budget: int | None = None) -> bool:
        """Whether the run came to its end."""
        self.budget = budget
        try:
            conduct(self.clusters, way)
        except Killed:
            return False
        return True


@dataclass
class Fake:
    """A cluster with as many proxies as `signed` has: under which root each presents, and what it trusts."""

    name: str
    world: World
    step: Step = P0
    signed: list[str] = field(default_factory=lambda: ["A", "A"])
    trusts: list[set[str]] = field(default_factory=lambda: [{"A"}, {"A"}])

    @property
    def stable(self) -> bool:
        return all(each == SIGN[self.step] for each in self.signed) and all(t == TRUST[self.step] for t in self.trusts)

    def look(self) -> Stand:
        self.world.happens(f"look at {self.name}")
        return Stand(self.step, self.stable)

    def settle(self, step: Step) -> None:
        assert step is self.step
        self._follow()

    def move(self, step: Step) -> None:
        self.world.happens(f"{self.name} to {step}")
        self.step = step
        self.world.holds()
        self._follow()

    def _follow(self) -> None:
        for number in range(len(self.signed)):
            self.world.happens(f"a proxy of {self.name} follows {self.step}")
            self.trusts[number] = TRUST[self.step]
            self.world.holds()
            self.signed[number] = SIGN[self.step]
            self.world.holds()


def world(count: int) -> World:
    made = World()
    made.clusters = [Fake(name, made) for name in ("east", "west", "north")[:count]]
    return made


@settings(max_examples=300, deadline=None)
@given(
    st.integers(2, 3),
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=8),
    st.booleans(),
)
def test_killed_anywhere_and_turned_around_at_will(count: int, runs: list[tuple[int, bool]], forward: bool) -> None:
    mesh = world(count)
    for budget, ahead in runs:
        mesh.run(FORWARD if ahead else BACK, budget)
    assert mesh.run(FORWARD if forward else BACK)
    assert {cluster.step for cluster in mesh.clusters} == {P3 if forward else P0}
    assert all(cluster.stable for cluster in mesh.clusters)


def test_the_detector_detects() -> None:
    """A cluster that goes on alone is seen by the world of these tests."""
    mesh = world(2)
    mesh.clusters[0].move(P1)
    with pytest.raises(AssertionError):
        mesh.clusters[0].move(P2)


def test_all_pass_a_phase_before_any_starts_the_next() -> None:
    mesh = world(3)
    mesh.run(FORWARD)
    moves = [what for what in mesh.happened if " to " in what]
    names = ("east", "west", "north")
    assert moves == [f"{name} to {step}" for step in ("P1", "P2", "P3") for name in names]
    mesh.happened.clear()
    mesh.run(BACK)
    moves = [what for what in mesh.happened if " to " in what]
    assert moves == [f"{name} to {step}" for step in ("P2", "P1", "P0") for name in names]


@pytest.mark.parametrize(
    ("mine", "to", "other", "why"),
    [
        (Stand(P1, True), P2, Stand(P0, True), "not everything in west is certain to trust the new root"),
        (Stand(P1, True), P2, Stand(P1, False), "not everything in west is certain to trust the new root"),
        (Stand(P1, True), P2, Stand(P1, True), ""),
        (Stand(P1, True), P2, Stand(P2, True), ""),
        (Stand(P2, True), P3, Stand(P1, True), "west may still present what the old root signed"),
        (Stand(P2, True), P3, Stand(P2, False), "west may still present what the old root signed"),
        (Stand(P2, True), P3, Stand(P2, True), ""),
        (Stand(P1, False), P2, Stand(P1, True), "not everything in east has followed P1"),
        (Stand(P0, True), P2, Stand(P1, True), "a step out"),
        (Stand(P3, True), P2, Stand(P3, True), ""),
        (Stand(P2, True), P1, Stand(P3, True), "not everything in west is certain to trust the old root"),
        (Stand(P1, True), P0, Stand(P2, True), "west may still present what the new root signed"),
        # Two that somebody has brought too far apart: the one that is behind may follow.
        (Stand(P1, True), P2, Stand(P3, True), ""),
        (Stand(P3, True), P2, Stand(P1, True), ""),
    ],
)
def test_who_may_go(mine: Stand, to: Step, other: Stand, why: str) -> None:
    found = why_not({"east": mine, "west": other}, "east", to)
    assert why in found
    assert bool(why) == bool(found)


def test_the_one_that_has_come_least_far_goes_next() -> None:
    stands = {"east": Stand(P2, True), "west": Stand(P1, True)}
    assert following(stands, FORWARD) == ("west", P2)
    assert following(stands, BACK) == ("east", P1)
    assert following({"east": Stand(P3, True), "west": Stand(P3, True)}, FORWARD) is None


def test_a_step_out_of_order_is_refused_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is one thing, what may be done another: a wrong order would be stopped."""
    mesh = world(2)
    mesh.clusters[0].move(P1)
    monkeypatch.setattr(barrier, "following", lambda *_: ("east", P2))
    with pytest.raises(Refused, match="east may not go to P2 yet: not everything in west is certain to trust the new"):
        mesh.run(FORWARD)
    assert [cluster.step for cluster in mesh.clusters] == [P1, P0]


@pytest.mark.parametrize(("way", "end"), [(FORWARD, P3), (BACK, P0)])
def test_clusters_that_are_too_far_apart_come_together(way: tuple[Step, ...], end: Step) -> None:
    """Somebody else has broken the mesh: what is left is to heal it."""
    mesh = world(2)
    mesh.holds = lambda: None  # type: ignore[method-assign]
    for cluster, step in zip(mesh.clusters, (P3, P1), strict=True):
        cluster.step, cluster.signed = step, [SIGN[step]] * 2
        cluster.trusts = [set(TRUST[step]), set(TRUST[step])]
    assert mesh.run(way)
    assert {cluster.step for cluster in mesh.clusters} == {end}
