"""Sealed backups: who can open them, what is in them, and what a restore writes and does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyrage
import pytest
from leaks import Needles
from pki import make, plugged, self_signed

from meshwright.certs import backup, restoring
from meshwright.certs.gates import Pace
from meshwright.certs.phase import STANDBY
from meshwright.environment.certs import Backup, Certs
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused, Unverified
from meshwright.kube import ApiError
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step

KEY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()


@pytest.fixture
def sealing(world: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mesh whose environment has one recipient, and his identity where it is looked for. `restore(path)` plans a
    restore and does it."""
    sealed = Certs(backup=Backup(recipients=[str(KEY.to_public())], folder="kept"))
    world.env = world.env.model_copy(update={"certs": sealed})
    identity = host.project.root / "keys.txt"
    identity.write_text(f"# mine\n{KEY}\n")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(identity))
    monkeypatch.setattr(restoring.gates, "Pace", lambda: Pace(patience=3, apart=0, pause=0.05, every=0))
    monkeypatch.setattr(restoring.gates, "nudge", lambda *_: None)

    def restore(path: Path, *, only: bool = False) -> Any:
        host.shared.options = Options(to=str(path))
        plan = restoring.restore.plan(host, world.env)
        if not only and not plan.empty:
            assert not any(change.blocked for change in plan.changes)
            restoring.restore.apply(host, world.env, plan)
        return plan

    def back_up() -> Path:
        plan = restoring.backup_step.plan(host, world.env)
        [change] = plan.changes
        assert (change.kind, change.name) == ("Backup", "kept/lab-TIME.age")
        restoring.backup_step.apply(host, world.env, plan)
        return sorted((host.project.root / "kept").iterdir())[-1]

    world.restore, world.back_up, world.project = restore, back_up, host.project
    return world


def gone(world: Any, name: str = "istio-ca-secret") -> Any:
    return world.session.objects.pop(("v1", "Secret", "istio-system", name))


def test_only_the_recipient_can_open_it(sealing: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sealing.back_up()
    assert (path.stat().st_mode & 0o777, path.parent.name) == (0o600, "kept")
    assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----")
    needles = Needles(ca=sealing.root.key_pem)
    assert needles.below(host.project.root) == []
    assert needles.within(" ".join(host.sentences).encode()) == []
    opened = pyrage.decrypt(path.read_bytes(), [KEY])
    assert needles.within(opened) == ["ca"]
    assert [each["metadata"]["name"] for each in json.loads(opened)["items"]] == ["istio-ca-secret"]
    theirs = host.project.root / "theirs.txt"
    theirs.write_text(str(OTHER))
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(theirs))
    with pytest.raises(MeshwrightError, match="not encrypted for an identity"):
        sealing.restore(path)


def test_all_of_the_ca_is_in_it_and_nothing_that_the_cluster_added(sealing: Any) -> None:
    new = make("New")
    there = plugged(new, new)
    there["metadata"] |= {"uid": "u", "creationTimestamp": "x", "managedFields": [], "labels": {"a": "b"}}
    sealing.session.put(there)
    found = {each["metadata"]["name"]: each for each in backup.read(sealing.project, str(sealing.back_up()))}
    assert list(found) == ["cacerts", "istio-ca-secret"]
    assert found["cacerts"]["metadata"] == {"name": "cacerts", "namespace": "istio-system", "labels": {"a": "b"}}
    assert found["cacerts"]["data"] == there["data"]
    assert found["istio-ca-secret"]["type"] == "istio.io/ca-root"


def test_what_is_gone_comes_back_as_it_was(sealing: Any, host: Any) -> None:
    path = sealing.back_up()
    before = gone(sealing)
    plan = sealing.restore(path)
    [change] = plan.changes
    assert (change.action, change.name) == (Action.ADD, "istio-system/istio-ca-secret")
    assert sealing.root.certificate.label in change.why
    after = sealing.session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]
    assert (after["data"], after["type"]) == (before["data"], before["type"])
    assert "everything has followed: P0: one root" in host.sentences
    assert not any("restarting" in said for said in host.sentences)
    again = sealing.restore(path)
    assert (again.empty, again.notes) == (True, ("all of it is there as it was",))
    text = repr(plan) + str(plan.as_json()) + str(again.as_json())
    assert Needles(ca=sealing.root.key_pem).within(text.encode()) == []


def test_an_istiod_that_signs_with_another_ca_meanwhile_is_restarted(
    sealing: Any, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cacerts was deleted and istiod started again, so it is on its own CA."""
    plugged_in = make("Plugged")
    sealing.session.put(plugged(plugged_in, plugged_in))
    path = sealing.back_up()
    gone(sealing, "cacerts")
    restarted = []

    def patch(_api: str, kind: str, name: str, *_args: Any, **_more: Any) -> None:
        restarted.append(f"{kind} {name}")
        sealing.converge(plugged_in, signer=plugged_in)

    monkeypatch.setattr(sealing.session, "patch", patch)
    monkeypatch.setattr(restoring.wait, "ready", lambda *_args, **_more: None)
    sealing.restore(path)
    assert restarted == ["Deployment istiod"]


def test_a_mesh_that_does_not_follow_is_not_called_restored(sealing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sealing.back_up()
    gone(sealing)
    other = make("Elsewhere")
    sealing.converge(other, signer=other)
    monkeypatch.setattr(sealing.session, "patch", lambda *_args, **_more: None)
    monkeypatch.setattr(restoring.wait, "ready", lambda *_args, **_more: None)
    with pytest.raises(Unverified, match="have not followed"):
        sealing.restore(path)


def test_what_is_there_is_not_written_over(sealing: Any) -> None:
    path = sealing.back_up()
    sealing.session.put(self_signed(make("Minted Since")))
    [change] = sealing.restore(path, only=True).changes
    assert change.blocked is not None
    assert "another content" in change.blocked.reason


def test_what_comes_while_it_is_planned_is_not_written_over(sealing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sealing.back_up()
    gone(sealing)

    def create(_obj: Any) -> Any:
        raise ApiError("there", status=409, body={"reason": "AlreadyExists"})

    monkeypatch.setattr(sealing.session, "create", create)
    with pytest.raises(Refused, match="has come since"):
        sealing.restore(path)


@pytest.mark.parametrize("content", [b"", b"nothing sealed", pyrage.encrypt(b"{}", [KEY.to_public()])])
def test_files_that_are_no_backup(sealing: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.age").write_bytes(content)
    with pytest.raises(BadInput):
        sealing.restore(tmp_path / "x.age")


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "Deployment", "metadata": {"name": "cacerts", "namespace": "istio-system"}, "data": {"a": "b"}},
        {"kind": "Secret", "metadata": {"name": "else", "namespace": "istio-system"}, "data": {"a": "b"}},
        {"kind": "Secret", "metadata": {"name": "cacerts"}, "data": {"a": "b"}},
        {"kind": "Secret", "metadata": {"name": "cacerts", "namespace": "istio-system"}, "data": {}},
    ],
)
def test_nothing_but_a_ca_is_restored(sealing: Any, tmp_path: Path, item: Any) -> None:
    text = json.dumps({"kind": "List", "items": [item]})
    (tmp_path / "x.age").write_bytes(pyrage.encrypt(text.encode(), [KEY.to_public()]))
    with pytest.raises(BadInput, match="no backup of a CA"):
        sealing.restore(tmp_path / "x.age")


def test_no_file_was_named(sealing: Any) -> None:
    with pytest.raises(MeshwrightError) as caught:
        sealing.restore("")
    assert caught.value.exit_code is Exit.USAGE


def test_another_namespace(sealing: Any) -> None:
    path = sealing.back_up()
    istio = sealing.env.istio.model_copy(update={"namespace": "elsewhere"})
    sealing.env = sealing.env.model_copy(update={"istio": istio})
    [change] = sealing.restore(path, only=True).changes
    assert change.blocked is not None


def test_without_recipients_none_is_made(world: Any, host: Any) -> None:
    assert backup.announced(world.env, "x") is None
    with pytest.raises(BadInput, match="recipients is empty"):
        restoring.backup_step.plan(host, world.env)


def test_a_recipient_that_age_cannot_read(sealing: Any, host: Any) -> None:
    bad = Certs(backup=Backup(recipients=["age1qqqqqqqqqqqq"]))
    env = sealing.env.model_copy(update={"certs": bad})
    with pytest.raises(BadInput, match=r"certs\.backup\.recipients\[0\] is age1qqqqqqqqqqqq"):
        restoring.backup_step.plan(host, env)


def test_a_folder_that_cannot_be_written(sealing: Any, host: Any) -> None:
    (host.project.root / "kept").write_text("a file")
    with pytest.raises(MeshwrightError, match="cannot be written"):
        sealing.back_up()


def test_no_secret_at_all(sealing: Any) -> None:
    gone(sealing)
    with pytest.raises(MeshwrightError, match="no CA Secret"):
        sealing.back_up()


def test_a_change_begins_and_ends_with_one(sealing: Any, host: Any) -> None:
    done: list[str] = []
    standby = f"istio-system/{STANDBY}"

    def step(*changes: Change) -> Any:
        def apply(_target: Any, _env: Any, plan: Plan) -> None:
            done.append(f"{len(list((host.project.root / 'kept').glob('*')))} {[each.name for each in plan.changes]}")

        return backup.before(Step("x", lambda *_: Plan("x", "d", changes), apply))

    for changes, files in (
        ((Change(Action.ADD, "Secret", standby), Change(Action.CHANGE, "Phase", "P1")), 1),
        ((Change(Action.CHANGE, "Phase", "P2"),), 1),
        ((Change(Action.DESTROY, "Secret", standby),), 2),
    ):
        wrapped = step(*changes)
        plan = wrapped.plan(host, sealing.env)
        wrapped.apply(host, sealing.env, plan)
        assert done[-1] == f"{files} {[each.name for each in changes]}"
    assert sum("the CA is backed up in" in said for said in host.sentences) == 2


def test_a_plan_says_that_none_is_made(world: Any, host: Any) -> None:
    first = Change(Action.ADD, "Secret", f"istio-system/{STANDBY}")
    wrapped = backup.before(Step("x", lambda *_: Plan("x", "d", (first,)), lambda *_: None))
    plan = wrapped.plan(host, world.env)
    assert (plan.changes, plan.notes) == ((first,), (backup.NONE,))


def test_the_names_are_those_of_the_rights() -> None:
    assert STANDBY in backup.SECRETS
