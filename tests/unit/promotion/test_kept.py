"""Releases kept on the host and in the cluster, and found again by their digest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeSession, FakeTarget

from meshwright import cluster, kube, release
from meshwright.environment import load
from meshwright.errors import BadInput, Unreachable
from meshwright.project import Project
from meshwright.promotion import kept
from meshwright.release import Release
from meshwright.run import Member, Run


def made(number: int) -> Release:
    return Release({"istio": {"version": f"1.30.{number}"}})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    found = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: found)
    return found


def test_it_is_noted_and_kept_once_in_each_place(two: Project, session: FakeSession) -> None:
    env = load(two, "dev").env
    target, run = FakeTarget(two), Run("dev")
    member = Member(target, "site", ("istio",), {})
    kept.noted(run, member, env)
    assert member.kept == {"host"}
    member.session = session
    for _ in range(2):
        kept.noted(run, member, env)
    assert member.kept == {"host", "cluster"}
    assert len(session.list("v1", "ConfigMap", "meshwright")) == 1
    now = release.of(two, env)
    assert now is not None
    (two.state / "dev" / "releases.json").unlink()
    assert kept.find(target, env, now.digest[:20]) == now


def test_the_newest_are_kept(two: Project, session: FakeSession) -> None:
    target, env = FakeTarget(two), load(two, "dev").env
    for number in range(kept.KEPT + 5):
        kept.keep(target, "dev", made(number))
    there = list(kept.known(target, env))
    assert len(there) == kept.KEPT
    assert there[0] == made(kept.KEPT + 4).digest
    kept.keep(target, "dev", made(10))
    assert next(iter(kept.known(target, env))) == made(10).digest


def test_one_that_is_not_there_is_told_from_one_that_was_edited(two: Project, session: FakeSession) -> None:
    target, env = FakeTarget(two), load(two, "dev").env
    with pytest.raises(BadInput, match=r"dev has no release sha256:abcdef, as far as is known\. None is kept"):
        kept.find(target, env, "abcdef")
    kept.keep(target, "dev", made(1))
    with pytest.raises(BadInput, match=rf"Kept are {release.short(made(1).digest)}"):
        kept.find(target, env, "abcdef")
    path = two.state / "dev" / "releases.json"
    path.write_text(path.read_text().replace("1.30.1", "1.30.9"))
    with pytest.raises(BadInput, match="is kept, but not as it was"):
        kept.find(target, env, made(1).digest)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(BadInput, match="dev has no release"):
        kept.find(target, env, made(1).digest)


def test_a_cut_configmap_is_not_a_release(two: Project, session: FakeSession) -> None:
    env = load(two, "dev").env
    target = FakeTarget(two)
    member = replace(Member(target, "site", ("istio",), {}), session=session)
    kept.noted(Run("dev"), member, env)
    [found] = session.list("v1", "ConfigMap", "meshwright")
    session.objects[("v1", "ConfigMap", "meshwright", found["metadata"]["name"])]["binaryData"] = {"x": "y"}
    (two.state / "dev" / "releases.json").unlink()
    now = release.of(two, env)
    assert now is not None
    with pytest.raises(BadInput, match="is kept, but not as it was"):
        kept.find(target, env, now.digest)


def test_a_cluster_that_does_not_answer_has_none(two: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_target: object, _env: object) -> kube.Session:
        raise Unreachable("no answer")

    monkeypatch.setattr(cluster, "session", gone)
    target, env = FakeTarget(two), load(two, "dev").env
    kept.keep(target, "dev", made(1))
    assert list(kept.known(target, env)) == [made(1).digest]
