"""`meshwright promote` past gates that are closed and with input that is wrong: one sentence, and nothing changed."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeTarget
from promoting import AFTER, DEV, STAGING, World

from meshwright.errors import Exit
from meshwright.promotion import kept
from meshwright.promotion.approvals import namespace
from meshwright.records import file
from meshwright.release import Release, short
from meshwright.windows import gate

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "now", lambda: NOW)


def rules(more: str) -> str:
    """staging's file with more rules for promotions."""
    return STAGING.replace("  applied: false\n", more)


def applied(host: FakeTarget, release: Release, hours: float, *, cut: bool = False) -> None:
    """Dev applied a release so many hours before NOW, and a check held; its last line may be cut in the middle."""
    at = NOW - dt.timedelta(hours=hours)
    about = {"id": f"{at:%Y%m%d-%H%M%S}-000000", "environment": "dev"}
    rows = [{"host": "@local", "step": step, "state": "changed", "seconds": 1} for step in ("istio", "resources")]
    checks = [{"group": "g", "check": "c", "state": "ok", "fatal": False, "detail": ""}]
    began = {**about, "entry": "started", "at": at.isoformat(), "release": release.digest, "deploy": "site"}
    ended = {**about, "entry": "ended", "at": at.isoformat(), "result": "ok", "steps": rows, "checks": checks}
    file.append(host, "dev", began, ended)
    kept.keep(host, "dev", release)
    if cut:
        path = Path(file.path(host, "dev"))
        path.write_bytes(path.read_bytes()[:-40])


def refused(run: Any, world: World, *words: str, code: int = Exit.REFUSED) -> tuple[str, str]:
    """Runs a promotion that is refused: its one sentence, and all else that it said."""
    before = world.everything
    ran = run("promote", "dev", "staging", "--yes", *words)
    assert ran.code == code, ran.err
    [error] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert world.everything == before
    assert world.ran == []
    return error, ran.err


def test_soak_time(run: Any, world: World, host: FakeTarget) -> None:
    world.put("staging", rules("  soak: 1d\n"))
    applied(host, world.dev, 3)
    error, said = refused(run, world)
    assert "it has been in dev for 3 hours, and must be there for 1 day" in error
    assert "It has been long enough at Mon 2026-11-23 09:00 UTC" in said
    applied(host, world.dev, 30)
    assert run("promote", "dev", "staging", "--yes").code == Exit.OK


def test_a_clock_that_jumps(run: Any, world: World, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("staging", rules("  soak: 1h\n"))
    applied(host, world.dev, 3)
    monkeypatch.setattr(gate, "now", lambda: NOW - dt.timedelta(days=3))
    error, said = refused(run, world)
    assert "the clock reads Thu 2026-11-19 12:00 UTC, but dev applied the release Sun 2026-11-22 09:00 UTC" in error
    assert "set the clock of this machine" in said


def test_a_closed_window(run: Any, world: World) -> None:
    windows = "windows: {timezone: UTC, allow: {nights: {weekly: 'mon-sun 22:00-23:00'}}}\n"
    world.put("staging", STAGING + windows)
    error, said = refused(run, world, "--apply")
    assert "staging is closed for changes: no window is open" in error
    assert "The next opening is Sun 2026-11-22 22:00 UTC" in said
    # Only an apply changes the environment: the file alone may be written at any time.
    assert run("promote", "dev", "staging", "--yes").code == Exit.OK


@pytest.mark.parametrize("cut", [False, True])
def test_a_release_that_was_never_applied(run: Any, world: World, host: FakeTarget, cut: bool) -> None:
    world.put("staging", rules("  applied: true\n"))
    older = world.dev
    kept.keep(host, "dev", older)
    world.put("dev", DEV.replace("1.30.4", "1.30.5"))
    if cut:
        applied(host, older, 3, cut=True)
    error, said = refused(run, world, "--release", older.digest)
    assert f"dev never applied {short(older.digest)}, as far as is known" in error
    assert ("; 1 line of its records could not be read" in error) == cut
    assert "`meshwright apply dev` first" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("1.30.4", "1.30.6"), "its digest does not match what is in it"),
        (lambda text: text[: len(text) // 2], "dev has no release sha256:"),
    ],
)
def test_a_kept_release_that_was_edited_or_cut(run: Any, world: World, host: FakeTarget, spoil: Any, said: str) -> None:
    older = world.dev
    kept.keep(host, "dev", older)
    world.put("dev", DEV.replace("1.30.4", "1.30.5"))
    path = world.root / ".meshwright" / "dev" / "releases.json"
    path.write_text(spoil(path.read_text()))
    error, _ = refused(run, world, "--release", older.digest, code=Exit.BAD_INPUT)
    assert said in error


def test_a_note_that_was_cut(run: Any, world: World) -> None:
    world.note.parent.mkdir(parents=True, exist_ok=True)
    world.note.write_text('{"format_version": 1, "sour')
    error, said = refused(run, world, code=Exit.BAD_INPUT)
    assert ".meshwright/staging/promotion.json is not as it was written" in error
    assert "`git diff group_data/staging.yaml`" in said


class Checkout:
    """The project as a Git checkout, and people with keys; ann wrote the newest commit of dev's file."""

    def __init__(self, world: World) -> None:
        self.world, self.keys = world, world.root.parent / "keys"
        self.keys.mkdir()
        world.put("staging", rules("  applied: false\n  approvals: {signers: group_data/approvers}\n"))
        for who in (ANN, BOB, EVE):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", who]
            subprocess.run(command, cwd=self.keys, check=True)
        signers = world.root / "group_data" / "approvers"
        signers.write_text("".join(f"{who} {(self.keys / f'{who}.pub').read_text()}" for who in (ANN, BOB)))
        self.git("init", "-q")
        self.commit()

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=ann", "-c", f"user.email={ANN}"]
        command = ["git", *who, *words]
        return subprocess.run(command, cwd=self.world.root, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> None:
        self.git("add", "group_data", "inventory", "deploys")
        self.git("commit", "-qm", "change")

    def sign(self, who: str, what: str = "", environment: str = "staging") -> str:
        """The file with somebody's signature, made by the command that the gate's hint shows."""
        file = self.keys / f"{who}.{environment}.sig"
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(self.keys / who), "-n", namespace(environment), "-"]
        text = f"{what or self.world.dev.digest}\n"
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
        file.write_bytes(done.stdout)
        return str(file)


@pytest.fixture
def repository(world: World, host: FakeTarget) -> Checkout:
    applied(host, world.dev, 3)
    return Checkout(world)


def test_an_approval_by_somebody_else_is_needed_and_recorded(run: Any, repository: Checkout) -> None:
    world = repository.world
    error, said = refused(run, world)
    assert f"{short(world.dev.digest)} needs 1 approval and has 0" in error
    assert f"echo {world.dev.digest} | ssh-keygen -Y sign -f YOUR_KEY -n meshwright.promote.staging -" in said
    error, _ = refused(run, world, "--approval", repository.sign(ANN))
    assert f"needs 1 approval and has 0; {ANN} wrote the change" in error
    ran = run(
        "promote", "dev", "staging", "--yes", "--approval", repository.sign(ANN), "--approval", repository.sign(BOB)
    )
    assert ran.code == Exit.OK, ran.err
    assert "1.30.4" in world.staging
    started, _ = world.records()
    assert started["promotion"]["approved_by"] == [BOB]
    assert started["commit"]["id"] == repository.git("rev-parse", "HEAD")


def test_approvals_that_are_none(run: Any, repository: Checkout) -> None:
    world = repository.world
    error, _ = refused(run, world, "--approval", repository.sign(EVE))
    assert "is signed by a key that is not among the allowed signers of staging" in error
    for signature in (repository.sign(BOB, "sha256:" + "0" * 64), repository.sign(BOB, environment="prod")):
        error, _ = refused(run, world, "--approval", signature)
        assert f"is no approval of {short(world.dev.digest)} for staging: it signs something else" in error
    error, _ = refused(run, world, "--approval", "group_data/dev.yaml", code=Exit.BAD_INPUT)
    assert "group_data/dev.yaml is no signature of ssh-keygen" in error
    (world.root / "group_data" / "approvers").unlink()
    error, _ = refused(run, world, "--approval", repository.sign(BOB), code=Exit.BAD_INPUT)
    assert "promotion.approvals.signers is group_data/approvers, which is not there" in error


def test_who_wrote_a_change_is_known_of_a_commit_alone(run: Any, repository: Checkout) -> None:
    world = repository.world
    world.put("dev", DEV + "# being worked on\n")
    error, _ = refused(run, world, "--approval", repository.sign(BOB))
    assert "nobody knows who wrote the change: group_data/dev.yaml has changes that are not in a commit" in error
    repository.commit()
    assert run("promote", "dev", "staging", "--yes", "--approval", repository.sign(BOB)).code == Exit.OK
    assert world.staging != STAGING
    assert AFTER.splitlines()[-1] == world.staging.splitlines()[-1]
