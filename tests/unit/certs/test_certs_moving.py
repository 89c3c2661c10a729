"""A change of the root as a whole, on a mesh that follows late: killed anywhere, interfered with, and taken back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from pki import Signed, b64, make, plugged, self_signed

from meshwright.certs import moving, standby
from meshwright.certs.authority import decide, material
from meshwright.certs.contents import Case, Step
from meshwright.certs.gates import Pace
from meshwright.certs.making import from_files, held
from meshwright.certs.mesh import Plane
from meshwright.certs.moving import Mover
from meshwright.certs.phase import Phase
from meshwright.certs.standby import Standby
from meshwright.errors import MeshwrightError, Refused, Unverified

OLD, NEW = make("cluster.local"), make("Acme")
INT_OLD, INT_NEW = make("Int Old", OLD), make("Int New", NEW)
ALL = (OLD, NEW, INT_OLD, INT_NEW)
LONGER = make("cluster.local", key=OLD.key, days=(-1, 9000))


class Killed(Exception):
    """The process is gone."""


class Following:
    """The mesh of `world`: some seconds after each write, and a restart where one is needed, everybody has followed."""

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch, change: Standby, delay: float = 2) -> None:
        self.world, self.change, self.delay = world, change, delay
        self.now, self.restarts, self.seen_at = 0.0, 0, None
        self.said: list[str] = []
        self.kill_at, self.writes = -1, 0
        self.started_with = self.content()[0]
        monkeypatch.setattr(world.session, "patch", self._patch)
        monkeypatch.setattr(moving.wait, "ready", lambda *_args, **_more: None)
        for verb in ("create", "replace"):
            monkeypatch.setattr(world.session, verb, self._killing(getattr(world.session, verb)))

    def _killing(self, write: Any) -> Any:
        def killing(obj: Any, **more: Any) -> Any:
            if obj["kind"] != "Secret":
                return write(obj, **more)
            self.writes += 1
            if self.kill_at == 2 * self.writes:
                raise Killed
            result = write(obj, **more)
            self.seen_at = self.now
            if self.kill_at == 2 * self.writes + 1:
                raise Killed
            return result

        return killing

    def _patch(self, _api: str, kind: str, *_args: Any, **_more: Any) -> None:
        if kind == "Deployment":
            self.restarts += 1
            self.started_with = self.content()[0]
            self.seen_at = self.now

    def content(self) -> tuple[str, tuple[Signed, ...], Signed]:
        """The Secret that istiod uses by its rules, its roots and its signer."""
        objects = self.world.session.objects
        found = {}
        for name in ("cacerts", "istio-ca-secret"):
            there = objects.get(("v1", "Secret", "istio-system", name))
            if there is not None:
                found[name] = material({**there, "data": dict(there["data"])})
        used = decide(Plane("istiod", "default", {}, "cacerts"), found)
        pool = (*ALL, LONGER)
        roots = tuple(next(each for each in pool if each.certificate == root) for root in dict.fromkeys(used.ordered))
        return used.secret, roots, next(each for each in pool if each.certificate == used.signer)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        secret, roots, signer = self.content()
        # On its own CA istiod looks at its Secret only when it starts; as on one that came after it was started.
        watched = secret == self.started_with == "istio-system/cacerts"
        if self.seen_at is not None and self.now >= self.seen_at + self.delay and (watched or self.restarted(secret)):
            self.world.converge(*roots, signer=signer)
            self.seen_at = None

    def restarted(self, secret: str) -> bool:
        return self.started_with == secret and self.restarts > 0

    def mover(self, **pace: float) -> Mover:
        return Mover(
            self.world.session,
            self.world.env,
            self.change,
            self.said.append,
            Pace(**({"patience": 60, "pause": 1, "apart": 1} | pace)),
            clock=lambda: self.now,
            sleep=self.sleep,
        )


def files(signer: Signed, root: Signed) -> dict[str, bytes]:
    chain = "" if signer is root else signer.pem
    texts = {
        "ca-cert.pem": signer.pem,
        "ca-key.pem": signer.key_pem,
        "cert-chain.pem": chain,
        "root-cert.pem": root.pem,
    }
    return {name: text.encode() for name, text in texts.items()}


STARTS: dict[Case, Any] = {
    Case.IN_PLACE: (self_signed(OLD), OLD, NEW, NEW),
    Case.PLUG_IN: (self_signed(OLD), OLD, INT_NEW, NEW),
    Case.REPLACE: (plugged(INT_OLD, OLD), INT_OLD, INT_NEW, NEW),
    Case.EXTEND: (self_signed(OLD), OLD, LONGER, LONGER),
}
RESTARTS = {Case.IN_PLACE: 3, Case.PLUG_IN: 1, Case.REPLACE: 0, Case.EXTEND: 2}


@pytest.fixture(params=list(Case))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def mesh(world: Any, monkeypatch: pytest.MonkeyPatch, case: Case) -> Following:
    """A mesh at rest on the old root, with the standby of a change written."""
    there, signer, new_signer, new_root = STARTS[case]
    world.session.objects.pop(("v1", "Secret", "istio-system", "istio-ca-secret"))
    world.session.put({**there, "data": dict(there["data"])})
    world.converge(OLD, signer=signer)
    old = held({**there, "data": dict(there["data"])})
    change = Standby(case, old, from_files(files(new_signer, new_root), "ca/"))
    standby.keep(world.session, change, "istio-system")
    return Following(world, monkeypatch, change)


def presented(mesh: Following) -> set[Any]:
    return {chain[0].x509.issuer for chain, _ in mesh.world.dumps.values()}


def test_there_and_back(mesh: Following, case: Case) -> None:
    held_at = moving.forward(mesh.mover())
    assert (held_at.position.phase, held_at.position.stable) == (Phase.NEW_ALONE, True)
    assert mesh.restarts == RESTARTS[case]
    roots = {root for _, roots in mesh.world.dumps.values() for root in roots}
    assert roots == {mesh.change.new.root}
    assert moving.forward(mesh.mover()).position.phase is Phase.NEW_ALONE
    writes = mesh.writes
    moving.forward(mesh.mover())
    assert mesh.writes == writes  # there is nothing left to do
    held_at = moving.back(mesh.mover())
    assert (held_at.position.phase, held_at.position.stable) == (Phase.REST, True)
    assert {root for _, roots in mesh.world.dumps.values() for root in roots} == {mesh.change.old.root}
    assert standby.read(mesh.world.session, "istio-system") is not None
    assert standby.forget(mesh.world.session, "istio-system")
    assert not standby.forget(mesh.world.session, "istio-system")


@pytest.mark.parametrize("kill_at", range(2, 9))
@pytest.mark.parametrize("then", [moving.forward, moving.back])
def test_killed_before_and_after_every_write(mesh: Following, kill_at: int, then: Any) -> None:
    """Another run, which has only the cluster, goes on from there, or back."""
    mesh.kill_at = kill_at
    with contextlib.suppress(Killed):
        moving.forward(mesh.mover())
    assert mesh.writes >= min(kill_at // 2, 2)
    mesh.kill_at = -1
    found = standby.read(mesh.world.session, "istio-system")
    assert found is not None
    mesh.change = found
    held_at = then(mesh.mover())
    wanted = Phase.NEW_ALONE if then is moving.forward else Phase.REST
    assert (held_at.position.phase, held_at.position.stable) == (wanted, True)


def test_nothing_is_written_before_the_gate(mesh: Following) -> None:
    """One that never follows holds everything where it is."""
    name = next(iter(mesh.world.dumps))
    stuck = mesh.world.dumps[name]
    converge = mesh.world.converge

    def but_one(*roots: Any, **more: Any) -> None:
        converge(*roots, **more)
        mesh.world.dumps[name] = stuck

    mesh.world.converge = but_one
    with pytest.raises(Unverified, match=f"first proxy {name}"):
        moving.forward(mesh.mover(patience=20))
    assert mesh.writes == 1
    _, at = mesh.mover().here()
    assert at is Step.BOTH_SIGN_OLD
    with pytest.raises(Unverified):
        moving.forward(mesh.mover(patience=20))
    assert mesh.writes == 1
    mesh.world.converge = converge
    mesh.world.dumps[name] = next(reversed(mesh.world.dumps.values()))
    assert moving.forward(mesh.mover()).position.phase is Phase.NEW_ALONE


def test_the_old_root_is_not_taken_away_before_the_gate_of_the_new_signer(mesh: Following, case: Case) -> None:
    """One that goes on presenting what the old one signed."""
    if case is Case.EXTEND:
        pytest.skip("one key signs under both")
    name = next(iter(mesh.world.dumps))
    converge = mesh.world.converge

    def but_one(*roots: Any, signer: Any) -> None:
        chain = mesh.world.dumps[name][0]
        converge(*roots, signer=signer)
        if signer in (NEW, INT_NEW):
            mesh.world.dumps[name] = (chain, mesh.world.dumps[name][1])

    mesh.world.converge = but_one
    with pytest.raises(Unverified, match=f"first proxy {name}"):
        moving.forward(mesh.mover(patience=20))
    assert mesh.writes == 2
    mesh.world.converge = converge
    _, at = mesh.mover().here()
    assert at is Step.BOTH_SIGN_NEW


def test_a_secret_that_somebody_else_writes(mesh: Following, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    mover = mesh.mover()
    held_at = mover.gate(Step.OLD)
    name = "cacerts" if case is Case.REPLACE else "istio-ca-secret"
    there = mesh.world.session.objects["v1", "Secret", "istio-system", name]
    if case is Case.PLUG_IN:
        mesh.world.session.put(plugged(INT_NEW, NEW))
    else:
        mesh.world.session.put(there)
    with pytest.raises(Refused, match="written by somebody else"):
        mover.move(held_at.report, Step.BOTH_SIGN_OLD)


def test_a_second_change_is_refused(mesh: Following) -> None:
    with pytest.raises(Refused, match="begun and not finished"):
        standby.keep(mesh.world.session, mesh.change, "istio-system")


def test_the_standby_keeps_everything(mesh: Following) -> None:
    found = standby.read(mesh.world.session, "istio-system")
    assert found is not None
    for mine, kept in ((mesh.change.old, found.old), (mesh.change.new, found.new)):
        assert (kept.root, kept.signer, kept.chain, kept.key) == (mine.root, mine.signer, mine.chain, mine.key)
    assert (found.case, found.old.secret, found.old.roots_text) == (
        mesh.change.case,
        mesh.change.old.secret,
        mesh.change.old.roots_text,
    )
    key = mesh.change.new.key.splitlines()[1]
    assert key not in repr(found)


@pytest.mark.parametrize("damage", ["annotations", "roots", "files"])
def test_a_standby_that_is_not_ours(mesh: Following, damage: str) -> None:
    made = mesh.world.session.objects["v1", "Secret", "istio-system", "meshwright-ca-standby"]
    if damage == "annotations":
        made["metadata"]["annotations"] = {}
    elif damage == "roots":
        made["metadata"]["annotations"]["meshwright/new-root"] = "ab" * 32
    else:
        del made["data"]["new.ca-key.pem"]
    with pytest.raises(MeshwrightError):
        standby.read(mesh.world.session, "istio-system")


def test_no_key_is_said(mesh: Following) -> None:
    moving.forward(mesh.mover())
    text = " ".join(mesh.said) + repr(mesh.mover())
    assert not any(each.key_pem.splitlines()[1] in text for each in ALL)
    assert len(mesh.said) > 3


@pytest.mark.parametrize("what", ["key", "content", "labels"])
def test_a_gate_looks_again_whether_the_secret_is_as_it_was_written(mesh: Following, what: str, case: Case) -> None:
    """A writer that puts its own back is named; one that only touches labels is no matter."""
    name = "cacerts" if case in (Case.PLUG_IN, Case.REPLACE) else "istio-ca-secret"

    def meddle(seconds: float) -> None:
        mesh.sleep(seconds)
        there = mesh.world.session.objects.get(("v1", "Secret", "istio-system", name))
        if mesh.writes != 1 or there is None or "meddled" in there["metadata"].get("labels", {}):
            return
        there["metadata"]["labels"] = {"meddled": "yes", "kustomize.toolkit.fluxcd.io/name": "mesh"}
        if what == "key":
            there["data"]["ca-key.pem"] = b64(NEW.key_pem)
        elif what == "content":
            there["data"]["root-cert.pem"] = there["data"]["ca-cert.pem"] = b64(OLD.pem + OLD.pem)
        mesh.world.session.put(there)

    mover = mesh.mover()
    mover.sleep = meddle
    if what == "labels":
        assert moving.forward(mover).position.phase is Phase.NEW_ALONE
        return
    with pytest.raises(Refused) as caught:
        moving.forward(mover)
    assert "written" in caught.value.message
    assert mesh.writes == 1


def test_a_run_that_goes_on_does_not_restart_istiod_twice(mesh: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[str] = []

    def patch(_api: str, kind: str, *_args: Any, body: Any, **_more: Any) -> None:
        if kind == "Deployment":
            marks.extend(body["spec"]["template"]["metadata"]["annotations"].values())

    mesh.kill_at = 3
    with contextlib.suppress(Killed):
        moving.forward(mesh.mover())
    mesh.kill_at = -1
    monkeypatch.setattr(mesh.world.session, "patch", patch)
    for _ in range(2):
        report, at = mesh.mover().here()
        with contextlib.suppress(Unverified):
            mesh.mover(patience=3).settle(report, at)
    assert len(set(marks)) == (1 if RESTARTS[mesh.change.case] else 0)
