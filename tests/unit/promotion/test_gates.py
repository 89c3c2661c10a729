"""How each gate stands, and the sentence of one that is closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import FakeTarget, environment

from meshwright import cluster, drift
from meshwright.drift import Drift, Drifted, Touched
from meshwright.environment.maintenance import Windows
from meshwright.environment.promotion import Promotion
from meshwright.errors import MeshwrightError
from meshwright.promotion import approvals, checkout, gates
from meshwright.promotion.gates import Asked, Gated, State, first_refusal
from meshwright.promotion.source import Applied
from meshwright.windows import gate

DIGEST = "sha256:" + "a" * 64
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
Look = Callable[..., dict[str, Gated]]


@pytest.fixture
def look(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> Look:
    """The gates of staging by name; `rules` are those of its values."""
    monkeypatch.setattr(gate, "now", lambda: NOW)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)

    def looked(
        about: Applied | None = None, *, apply: bool = False, windows: Any = None, source: str = "dev", **rules: Any
    ) -> dict[str, Gated]:
        more = {key: rules.pop(key) for key in ("skip", "override", "signatures", "current") if key in rules}
        target = environment("staging").model_copy(
            update={
                "promotion": Promotion.model_validate(rules),
                "windows": windows and Windows.model_validate(windows),
            }
        )
        asked = Asked(host.project, environment(source), target, DIGEST, **{"current": True, "apply": apply, **more})
        found, _ = gates.look(asked, lambda: about or Applied("dev applied it", NOW - 5 * HOUR), [(target, [host])], [])
        return {each.gate: each for each in found}

    return looked


def test_without_rules_the_source_must_have_applied_it(look: Look) -> None:
    assert {name: each.state for name, each in look().items()} == {"applied": State.OPEN, "drift": State.LATER}
    never = look(Applied(refused="dev never applied it", hint="apply it"))["applied"]
    assert (never.state, never.text, never.hint) == (State.CLOSED, "dev never applied it", "apply it")
    assert "applied" not in look(applied=False)


def test_order(look: Look) -> None:
    assert look(**{"from": "dev"})["order"].state is State.OPEN
    closed = look(source="lab", **{"from": "dev"})["order"]
    assert closed.text == "staging takes releases from dev, not from lab"
    assert "--skip REASON" in closed.hint
    skipped = look(source="lab", skip="dev is broken", **{"from": "dev"})["order"]
    assert (skipped.state, skipped.text) == (State.SKIPPED, "dev is left out: dev is broken")


def test_soak(look: Look) -> None:
    assert look(soak="5h")["soak"].state is State.OPEN
    short = look(soak="6h")["soak"]
    assert short.text == "it has been in dev for 5 hours, and must be there for 6 hours"
    assert short.hint == "It has been long enough at Sun 2026-11-22 13:00 UTC"
    gone = look(Applied("", NOW - 5 * HOUR, NOW - 4 * HOUR), soak="2h")["soak"]
    assert gone.state is State.CLOSED
    assert gone.text.endswith("; another release is there by now")
    assert look(Applied("", None), soak="2h")["soak"].text == "nobody knows since when it is in dev"


def test_a_clock_that_jumped_back(look: Look) -> None:
    closed = look(Applied("", NOW + HOUR), soak="1m")["soak"]
    assert closed.state is State.CLOSED
    assert closed.text == (
        "the clock reads Sun 2026-11-22 12:00 UTC, but dev applied the release Sun 2026-11-22 13:00 UTC"
    )


@pytest.mark.parametrize(
    ("signed", "wrote", "state", "text"),
    [
        (["ann", "bob"], {"ann"}, State.OPEN, "approved by bob"),
        (["ann"], {"ann"}, State.CLOSED, "sha256:aaaaaaaaaaaa needs 1 approval and has 0; ann wrote the change"),
        ([], {"ann"}, State.CLOSED, "sha256:aaaaaaaaaaaa needs 1 approval and has 0"),
    ],
)
def test_approvals(
    look: Look, monkeypatch: pytest.MonkeyPatch, signed: list[str], wrote: set[str], state: State, text: str
) -> None:
    monkeypatch.setattr(approvals, "approvers", lambda *_of: signed)
    monkeypatch.setattr(checkout, "here", lambda _root: True)
    monkeypatch.setattr(checkout, "changed", lambda _root, _file: False)
    monkeypatch.setattr(checkout, "authors", lambda *_of: wrote)
    found = look(approvals={"signers": "s"})["approvals"]
    assert (found.state, found.text) == (state, text)
    monkeypatch.setattr(checkout, "changed", lambda _root, _file: True)
    assert look(approvals={"signers": "s"})["approvals"].text.startswith(
        "nobody knows who wrote the change: group_data/dev"
    )
    assert "no record says from which commit" in look(approvals={"signers": "s"}, current=False)["approvals"].text
    monkeypatch.setattr(checkout, "here", lambda _root: False)
    assert look(approvals={"signers": "s"})["approvals"].text.endswith("is no Git checkout")


def test_windows(look: Look) -> None:
    windows = {"timezone": "UTC", "allow": {"nights": {"weekly": "mon-sun 22:00-23:00"}}}
    assert look(windows=windows)["window"].state is State.LATER
    closed = look(windows=windows, apply=True)["window"]
    assert closed.text == "staging is closed for changes: no window is open"
    assert closed.hint.startswith("The next opening is Sun 2026-11-22 22:00 UTC")
    assert look(windows=windows, apply=True, override=True)["window"].state is State.SKIPPED
    windows["allow"] = {"days": {"weekly": "mon-sun 09:00-17:00"}}
    assert look(windows=windows, apply=True)["window"].text == "staging is open until Sun 2026-11-22 17:00 UTC"


def drifted(*found: Drifted, not_verified: str = "") -> Any:
    return lambda *_of: iter([Drift("resources", found=found, checked=3, not_verified=not_verified)])


FIELD = Touched("spec.x", 1, 2, "kubectl")
ADDED = Touched("spec.y", None, 2, "kubectl", added=True)


@pytest.mark.parametrize(
    ("found", "state", "text"),
    [
        ([], State.OPEN, "3 objects of staging are as they were applied"),
        ([Drifted("Gateway", "n/g", (ADDED,))], State.OPEN, "3 objects of staging are as they were applied"),
        ([Drifted("Gateway", "n/g", (FIELD,))], State.CLOSED, "somebody has changed staging from outside: Gateway n/g"),
        ([Drifted("Gateway", "n/g")], State.CLOSED, "somebody has changed staging from outside: Gateway n/g"),
    ],
)
def test_drift(look: Look, monkeypatch: pytest.MonkeyPatch, found: Sequence[Drifted], state: State, text: str) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: object())
    monkeypatch.setattr(drift, "of", drifted(*found))
    assert (look(apply=True)["drift"].state, look(apply=True)["drift"].text) == (state, text)
    if state is State.CLOSED:
        assert look(apply=True, drift="overwrite")["drift"].state is State.SKIPPED


def test_drift_that_cannot_be_found_out_is_not_none(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: object())
    monkeypatch.setattr(drift, "of", drifted(not_verified="it is no longer kept"))
    found = look(apply=True)["drift"]
    assert found.state is State.CLOSED
    assert found.text == "whether somebody has changed resources in staging is not known: it is no longer kept"


def test_the_first_that_is_closed_refuses_and_the_others_are_named() -> None:
    closed = [Gated("order", State.OPEN, "a"), Gated("soak", State.CLOSED, "b", "h"), Gated("drift", State.CLOSED, "c")]
    refused = first_refusal(closed)
    assert refused is not None
    assert isinstance(refused, MeshwrightError)
    assert (refused.message, refused.hint) == ("b (and 1 more: drift)", "h")
    assert first_refusal(closed[:1]) is None
