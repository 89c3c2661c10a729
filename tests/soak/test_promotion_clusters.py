"""Two real clusters: releases go from the lab's to a second one that only an SSH host in a network namespace of its own
reaches, and are seen in its traffic."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from backends import Backends, server
from far import Far
from owning import environment_at, one_sentence
from pair import ISTIO, Pair, answers

SPACE = "promoted"


@pytest.fixture(scope="module")
def far(lab, tmp_path_factory):
    made = Far(lab, tmp_path_factory.mktemp("far"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def pair(lab, far):
    made = Pair(lab, SPACE, far)
    start = time.monotonic()
    # Without its checks: they want a pod with a sidecar, and there is none yet.
    ran = lab.driver.meshwright("apply", "later", "istio", "--yes")
    assert ran.code == 0, ran.err + ran.out
    print(f"the second mesh is up, through its host, after {time.monotonic() - start:.0f} s")
    far.enter("later")
    for place in (lab, far):
        Backends(place, SPACE, server(lab)).add("a", "b")
    made.rule("  from: early\n", "  from: early\n  applied: false\n")
    yield made
    made.close()
    lab.session.delete("v1", "Namespace", SPACE)


def test_nobody_but_its_host_reaches_the_second_cluster(lab, far, pair):
    assert far.from_here(far.address, far.port) == "Network is unreachable"
    # Nor by the port that k3d has published on this machine: docker's proxy is a process of it like any other.
    host, port = re.fullmatch(r"https://([\d.]+):(\d+)", far.published).groups()
    assert far.from_here(host, int(port)) != "connected"
    environment_at(lab, "direct", yaml.safe_load(far.kubeconfig.read_text()))
    ran = lab.driver.meshwright("plan", "direct", "resources")
    assert ran.code == 1
    assert f"{far.address}:{far.port}" in one_sentence(ran)
    plan = lab.driver.meshwright("plan", "later", "--json").document
    assert plan["summary"]["checked"] > 50
    assert sum(plan["summary"][each] for each in ("add", "change", "destroy")) == 0


def test_what_works_in_the_first_is_promoted_and_seen_in_the_second(lab, far, pair):
    pair.rule("  applied: false\n", "  applied: true\n")
    pair.write("early", pair.routes(100, 0))
    refused = pair.promote("--apply", "--yes", code=3)
    assert "early has not applied" in one_sentence(refused)
    assert lab.driver.meshwright("apply", "early", "--yes").code == 0
    assert answers(lab, {"a"}) == {"a"}
    start = time.monotonic()
    done = pair.promote("--apply", "--yes", "--reason", "ticket 4711")
    print(f"promoted through the host, with its checks, in {time.monotonic() - start:.0f} s")
    assert f"+ VirtualService {SPACE}/promoted" in done.out
    assert answers(far, {"a"}) == {"a"}
    digest = lab.driver.meshwright("history", "early", "--json").document["records"][0]["release"]
    rows = lab.driver.meshwright("environments", "--json").document["environments"]
    state = {each["environment"]: (each["release"], each["state"], each["drift"]) for each in rows}
    assert state["early"] == state["later"] == (digest, "up", "none")


def test_weights_and_a_new_route_move_the_traffic_of_the_second_alone(lab, far, pair):
    pair.rule("  applied: true\n", "  applied: false\n")
    resources = pair.routes(0, 100)
    [service] = resources["virtual_services"].values()
    to = [{"destination": {"host": "web", "subset": "a"}}]
    service["http"].insert(0, {"match": [{"uri": {"prefix": "/beta"}}], "route": to})
    pair.write("early", resources)
    done = pair.promote("--apply", "--yes")
    assert "new route for /beta*: web a" in done.out
    assert "weight of web b: 0% -> 100%" in done.out
    assert answers(far, {"b"}) == {"b"}
    assert answers(far, {"a"}, path="/beta") == {"a"}
    # The first one's files say so; nobody has applied them.
    assert answers(lab, {"a"}) == {"a"}


def test_one_that_does_not_hold_there_comes_back_file_and_cluster(lab, far, pair):
    pair.rule("  applied: false\n", "  applied: false\n  on_failure: restore\n")
    before = pair.path("later").read_bytes()
    pair.write("early", pair.routes(50, 50, host="nowhere"))
    start = time.monotonic()
    document = pair.promote("--apply", "--yes", "--json", code=4).document
    print(f"failed and put back through the host in {time.monotonic() - start:.0f} s")
    assert document["restored"] is True
    assert "nowhere" in document["error"]["message"]
    assert pair.path("later").read_bytes() == before
    assert answers(far, {"b"}) == {"b"}
    assert answers(far, {"a"}, path="/beta") == {"a"}
    assert not pair.note.exists()


def test_drift_in_the_second_is_not_overwritten(lab, far, pair):
    found = far.session.get(ISTIO, "VirtualService", "promoted", SPACE)
    found["spec"]["http"][0]["route"][0]["destination"]["subset"] = "b"
    far.session.replace(found, manager="somebody")
    before = pair.path("later").read_bytes()
    pair.write("early", pair.routes(20, 80))
    ran = pair.promote("--apply", "--yes", code=3)
    assert f"somebody has changed later from outside: VirtualService {SPACE}/promoted" in one_sentence(ran)
    assert pair.path("later").read_bytes() == before
    assert answers(far, {"b"}, path="/beta") == {"b"}
    far.session.delete(ISTIO, "VirtualService", "promoted", SPACE)
    assert lab.driver.meshwright("apply", "later", "resources", "--yes").code == 0
    assert answers(far, {"a"}, path="/beta") == {"a"}


def test_a_second_promotion_at_the_same_time_is_refused(lab, far, pair):
    pair.write("early", pair.routes(40, 60))
    process = pair.begin()
    ran = pair.promote("--apply", "--yes", code=3)
    assert "the promotion of early to later, process" in one_sentence(ran)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert answers(far, {"a", "b"}, 40) == {"a", "b"}
