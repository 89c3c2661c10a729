"""Promotion in a real mesh: a change of weights is seen in traffic, one that does not hold comes back (#7).

Both environments are on the lab's cluster: the first has what it applied taken away again before the second has it.
"""

from __future__ import annotations

import os
import random

import pytest
from backends import Backends
from pair import ISTIO, Pair, answers
from test_faults import one_sentence

SEED = 7


@pytest.fixture(scope="module")
def web(lab):
    made = Backends(lab, f"promoted-{os.getpid()}")
    made.add("a", "b")
    yield made
    lab.session.delete("v1", "Namespace", made.namespace)


@pytest.fixture(scope="module")
def pair(lab, web):
    made = Pair(lab, web.namespace)
    yield made
    made.close()


def test_a_release_of_a_record_is_promoted_and_seen_in_traffic(lab, pair):
    pair.write("early", pair.routes(100, 0))
    ran = pair.driver.meshwright("apply", "early", "--yes", "--json")
    assert ran.code == 0, ran.err + ran.out
    [record, *_] = pair.driver.meshwright("history", "early", "--json").document["records"]
    digest = record["release"]
    assert digest.startswith("sha256:")
    pair.write("early", {})
    ran = pair.driver.meshwright("apply", "early", "--yes")
    assert ran.code == 0, ran.err
    before = pair.path("later").read_text()
    planned = pair.promote("--release", digest[:20], "--plan", "--json").document
    assert [each["state"] for each in planned["gates"] if each["gate"] == "applied"] == ["open"], planned["gates"]
    assert pair.path("later").read_text() == before
    done = pair.promote("--release", digest[:20], "--apply", "--yes", "--reason", "ticket 4711")
    assert f"+ VirtualService {pair.space}/promoted" in done.out
    assert pair.path("later").read_text().startswith("# later: kept by its own people\n")
    assert answers(lab, {"a"}) == {"a"}
    shown = pair.driver.meshwright("history", "later").out
    assert " promote " in shown
    rows = pair.driver.meshwright("environments", "--json").document["environments"]
    [later] = [each for each in rows if each["environment"] == "later"]
    assert later["release"] == digest
    assert later["state"] == "up"
    assert later["drift"] == "none"
    assert later["root_days"] is not None
    assert later["verified"].endswith("held")


def test_what_was_never_applied_is_refused_and_a_change_of_weights_moves_traffic(lab, pair):
    pair.write("early", pair.routes(0, 100))
    ran = pair.promote("--apply", "--yes", code=3)
    assert "has not applied" in one_sentence(ran) or "never applied" in one_sentence(ran)
    pair.rule("  from: early\n", "  from: early\n  applied: false\n")
    out = pair.timed()
    assert "weight of web a: 100% -> 0%" in out
    assert "weight of web b: 0% -> 100%" in out
    assert answers(lab, {"b"}) == {"b"}


def test_a_release_that_does_not_hold_comes_back_by_itself(lab, pair):
    pair.rule("  applied: false\n", "  applied: false\n  on_failure: restore\n")
    before = pair.path("later").read_bytes()
    pair.write("early", pair.routes(50, 50, host="nowhere"))
    ran = pair.promote("--apply", "--yes", "--json", code=4)
    document = ran.document
    assert document["restored"] is True
    assert "nowhere" in document["error"]["message"]
    assert pair.path("later").read_bytes() == before
    assert pair.live() == [0, 100]
    assert answers(lab, {"b"}) == {"b"}
    [record, *_] = [
        each
        for each in pair.driver.meshwright("history", "later", "--json").document["records"]
        if each["deploy"] == "promote"
    ]
    assert record["result"] == "failed"
    assert "put back" in record["message"]


def test_what_somebody_has_changed_is_not_overwritten(lab, pair):
    space = pair.space
    found = lab.session.get(ISTIO, "VirtualService", "promoted", space)
    found["spec"]["http"][0]["timeout"] = "7s"
    found["spec"]["http"][0]["route"][0]["weight"] = 30
    found["spec"]["http"][0]["route"][1]["weight"] = 70
    lab.session.replace(found, manager="somebody")
    before = pair.path("later").read_bytes()
    pair.write("early", pair.routes(20, 80))
    ran = pair.promote("--apply", "--yes", code=3)
    assert f"somebody has changed later from outside: VirtualService {space}/promoted" in one_sentence(ran)
    assert pair.path("later").read_bytes() == before
    assert pair.live() == [30, 70]
    lab.session.delete(ISTIO, "VirtualService", "promoted", space)
    ran = pair.driver.meshwright("apply", "later", "resources", "--yes")
    assert ran.code == 0, ran.err


def _instants():
    """One in each third."""
    return [round((number + random.Random(SEED + number).random()) / 3, 2) for number in range(3)]


@pytest.mark.parametrize(("number", "share"), list(enumerate(_instants())))
def test_a_killed_promotion_is_never_half(lab, pair, number, share, record_property):
    """Killed at a share of the time from its first write to its last; then gone on with, or back."""
    before, was = pair.path("later").read_bytes(), pair.live()
    for attempt in range(4):
        weights = [10 + 4 * number + attempt, 90 - 4 * number - attempt]
        hit = pair.killed(pair.routes(*weights), share / 2**attempt)
        if hit:
            break
        # It was quicker than the one before.
        before, was = pair.path("later").read_bytes(), pair.live()
    assert hit, "every promotion was through before it could be killed"
    record_property("hit", hit)
    print(f"killed at {share}: {hit}")
    assert pair.whole(before) in ("before", "after")
    assert pair.live() in (was, weights)
    # Whoever comes next finds out, and goes on or back.
    if number == 1:
        ran = pair.driver.meshwright("promote", "later", "--back", "--yes")
        assert ran.code == 0, ran.err
        assert (pair.path("later").read_bytes(), pair.live()) == (before, was)
    else:
        pair.promote("--apply", "--yes")
        assert pair.live() == weights
    assert not pair.note.exists()
    wanted = {pod for pod, weight in zip("ab", pair.live(), strict=True) if weight}
    assert answers(lab, wanted, 60) == wanted
