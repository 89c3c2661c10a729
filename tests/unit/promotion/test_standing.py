"""One row for each environment, whatever becomes of its cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget

from meshwright import cluster, drift, release
from meshwright.drift import Drift, Drifted
from meshwright.environment import Loaded, load
from meshwright.errors import Unreachable
from meshwright.project import Project
from meshwright.promotion import standing
from meshwright.promotion.standing import Standing
from meshwright.records import Result, file
from meshwright.target import Target

CHECKS = [{"check": "x", "state": "ok", "fatal": False}] * 3


def looked(project: Project, monkeypatch: pytest.MonkeyPatch, session: Any, seconds: float = 60) -> list[Standing]:
    @contextmanager
    def opened(_project: Project, _loaded: Loaded) -> Iterator[Sequence[Target]]:
        yield [FakeTarget(project)]

    monkeypatch.setattr(cluster, "session", session)
    monkeypatch.setattr(cluster, "no_session", lambda _target, env: f"the cluster of {env.name} is absent")
    (project.root / "deploys" / "site.py").write_text("steps = []\n")
    return standing.of(project, ["dev", "staging"], opened, seconds)


def record(project: Project, name: str, digest: str, **end: Any) -> None:
    about = {"id": f"{name}-1", "environment": name}
    began = {**about, "entry": "started", "at": "2026-11-22T10:00:00Z", "release": digest, "deploy": "site"}
    ended = {
        **about,
        "entry": "ended",
        "at": "2026-11-22T10:05:00Z",
        "result": Result.OK.value,
        "checks": CHECKS,
        **end,
    }
    file.append(FakeTarget(project), name, began, ended)


def test_clusters_that_do_not_exist_or_do_not_answer(two: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(_target: object, env: Any) -> None:
        if env.name == "staging":
            raise Unreachable("10.0.0.1:6443 cannot be reached")

    now = release.of(two, load(two, "dev").env)
    assert now is not None
    record(two, "dev", now.digest)
    record(two, "staging", "sha256:" + "b" * 64, checks=[{**CHECKS[0], "fatal": True}])
    dev, staging = looked(two, monkeypatch, session)
    short = release.short(now.digest).removeprefix("sha256:")
    absent = "the cluster of dev is absent"
    assert dev.row == ("dev", short, "2026-11-22 10:05", "3 checks held", "not verified", "any time", "-", absent)
    assert (staging.state, staging.pending, staging.verified) == (
        "10.0.0.1:6443 cannot be reached", True, "1 check failed",
    )  # fmt: skip
    assert staging.row[1] == "bbbbbbbbbbbb*"


def test_one_that_hangs_keeps_nobody_waiting(two: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(_target: object, env: Any) -> None:
        if env.name == "dev":
            time.sleep(30)

    start = time.monotonic()
    dev, staging = looked(two, monkeypatch, session, 3)
    assert time.monotonic() - start < 25
    assert (dev.state, staging.state) == ("no answer in 3 s", "the cluster of staging is absent")


def test_values_that_are_wrong_are_a_state_too(two: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (two.root / "group_data" / "dev.yaml").write_text("clutser: 1\n")
    dev, staging = looked(two, monkeypatch, lambda _target, _env: None)
    assert dev.state.startswith("group_data/dev.yaml:1:1: clutser is not a known key")
    assert staging.state == "the cluster of staging is absent"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Drift("resources", checked=3), "none"),
        (Drift("resources", found=(Drifted("Gateway", "n/g"),), checked=3), "1 object"),
        (Drift("resources", not_verified="no longer kept"), "not verified"),
        (Drift("resources"), "nothing applied"),
    ],
)
def test_drift(two: Project, monkeypatch: pytest.MonkeyPatch, found: Drift, said: str) -> None:
    session = FakeSession()
    monkeypatch.setattr(session, "version", lambda: "1.35", raising=False)
    monkeypatch.setattr(drift, "of", lambda *_of: iter([found]))
    dev, _ = looked(two, monkeypatch, lambda _target, _env: session)
    assert (dev.state, dev.drift, dev.root_days) == ("up", said, None)
