"""Promotion in a real mesh: a change of weights is seen in traffic, one that does not hold comes back (#7).

Both environments are on the lab's cluster: the first has what it applied taken away again before the second has it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter

import pytest
import yaml
from backends import Backends
from killing import kill, steps
from outside import DEADLINE, Outside
from test_faults import kubeconfig_of, one_sentence

HOST = "promoted.example.com"
SEED = 7


class Pair:
    """The environments `early` and `later`; the second takes releases from the first."""

    def __init__(self, lab, web):
        self.lab, self.web, self.driver = lab, web, lab.driver
        file = lab.driver.home / "pair.kubeconfig"
        document = kubeconfig_of(lab)
        file.write_text(yaml.safe_dump(document))
        values = yaml.safe_load((lab.driver.root / "group_data" / "lab.yaml").read_text())
        del values["engine"]
        for port in values["ingress"]["ports"]:
            port.pop("publish", None)
        values["cluster"] = {
            "kind": "existing",
            "kubeconfig": str(file),
            "context": document["contexts"][0]["name"],
        }
        known = lab.session.identity()
        values["cluster"] |= {"uid": known.uid, "ca_sha256": known.ca_sha256}
        values["bookinfo"]["enabled"] = False
        self.base = values
        self.note = lab.driver.root / ".meshwright" / "later" / "promotion.json"
        self.took = 4.0
        self.write("early", {})
        self.write("later", {}, promotion={"from": "early"})

    def path(self, name):
        return self.driver.root / "group_data" / f"{name}.yaml"

    def write(self, name, resources, **more):
        """Writes an environment's values, with a comment that must stay."""
        values = {**self.base, **more, "resources": {**resources, "allow_empty": True}}
        self.driver.add_environment(
            name, f"# {name}: kept by its own people\n" + yaml.safe_dump(values, sort_keys=False)
        )

    def routes(self, a, b, host="web"):
        """Everything for HOST goes to the pods a and b with these weights."""
        to = [{"destination": {"host": host, "subset": name}, "weight": n} for name, n in (("a", a), ("b", b))]
        name = f"{self.web.namespace}/promoted"
        server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
        return {
            "gateways": {name: {"servers": [server]}},
            "virtual_services": {name: {"hosts": [HOST], "gateways": ["promoted"], "http": [{"route": to}]}},
            "destination_rules": {
                name: {"host": "web", "subsets": [{"name": pod, "labels": {"pod": pod}} for pod in "ab"]}
            },
        }

    def promote(self, *words, code=0):
        ran = self.driver.meshwright("promote", "early", "later", *words)
        assert ran.code == code, f"{ran.code}: {ran.err}{ran.out}"
        return ran

    def begin(self):
        """Starts a promotion; gives its process once the first thing is written."""
        words = ("-m", "meshwright", "promote", "early", "later", "--apply", "--yes")
        process = self.driver.start(sys.executable, *words)
        deadline = time.monotonic() + 300
        while not self.note.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def live(self):
        """The weights in the cluster."""
        found = self.lab.session.get("networking.istio.io/v1", "VirtualService", "promoted", self.web.namespace)
        return [each.get("weight", 0) for each in found["spec"]["http"][0]["route"]] if found else None


@pytest.fixture(scope="module")
def web(lab):
    made = Backends(lab, f"promoted-{os.getpid()}")
    made.add("a", "b")
    yield made
    lab.session.delete("v1", "Namespace", made.namespace)


@pytest.fixture(scope="module")
def pair(lab, web):
    made = Pair(lab, web)
    yield made
    for name in ("early", "later"):
        made.write(name, {})
        ran = made.driver.meshwright("apply", name, "resources", "--yes")
        assert ran.code == 0, ran.err
        made.path(name).unlink()
        (made.driver.root / "inventory" / f"{name}.py").unlink()


def answers(lab, wanted, times=10):
    """Who answers, once that is as wanted."""
    outside, deadline = Outside(lab), time.monotonic() + DEADLINE
    while True:
        found = Counter()
        for _ in range(times):
            answer = outside.get(HOST)
            found[answer.text if answer.status == 200 else str(answer.status)] += 1
        if set(found) == wanted or time.monotonic() > deadline:
            return set(found)


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
    assert f"+ VirtualService {pair.web.namespace}/promoted" in done.out
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
    text = pair.path("later").read_text()
    pair.path("later").write_text(text.replace("  from: early\n", "  from: early\n  applied: false\n"))
    process = pair.begin()
    start = time.monotonic()
    out, _ = process.communicate(timeout=600)
    pair.took = time.monotonic() - start
    assert process.returncode == 0, out
    assert "weight of web a: 100% -> 0%" in out
    assert "weight of web b: 0% -> 100%" in out
    assert answers(lab, {"b"}) == {"b"}


def test_a_release_that_does_not_hold_comes_back_by_itself(lab, pair):
    text = pair.path("later").read_text()
    pair.path("later").write_text(text.replace("  applied: false\n", "  applied: false\n  on_failure: restore\n"))
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
    space = pair.web.namespace
    found = lab.session.get("networking.istio.io/v1", "VirtualService", "promoted", space)
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
    lab.session.delete("networking.istio.io/v1", "VirtualService", "promoted", space)
    ran = pair.driver.meshwright("apply", "later", "resources", "--yes")
    assert ran.code == 0, ran.err


def _instants():
    return [round(random.Random(SEED + number).uniform(0.1, 0.9), 2) for number in range(3)]


@pytest.mark.parametrize(("number", "share"), list(enumerate(_instants())))
def test_a_killed_promotion_is_never_half(lab, pair, number, share, record_property):
    """Killed at a share of the time from its first write to its last, then gone on with."""
    runs = pair.driver.root / ".meshwright" / "later" / "runs"
    for attempt in range(4):
        weights = (10 + 4 * number + attempt, 90 - 4 * number - attempt)
        before, was = pair.path("later").read_bytes(), pair.live()
        pair.write("early", pair.routes(*weights))
        there = set(runs.glob("*.jsonl"))
        process = pair.begin()
        time.sleep(share * pair.took / 2**attempt)
        if process.poll() is None:
            kill(process)
            break
        # The machine was quicker than before.
        assert process.communicate()[1] is None
    else:
        pytest.fail("every run had ended before it could be killed")
    new = set(runs.glob("*.jsonl")) - there
    hit = steps(new.pop())[-1:] if new else []
    record_property("hit", f"{hit or 'before the apply'}")
    print(f"killed at {share}: {hit or 'before the apply'}")
    file, live = pair.path("later").read_bytes(), pair.live()
    assert yaml.safe_load(file)
    if file != before:
        held = yaml.safe_load(file)["resources"]["virtual_services"][f"{pair.web.namespace}/promoted"]
        assert [each["weight"] for each in held["http"][0]["route"]] == list(weights)
    assert live in (was, list(weights))
    # Whoever comes next finds out, and goes on.
    pair.promote("--apply", "--yes")
    assert pair.live() == list(weights)
    assert not pair.note.exists()
    assert answers(lab, {"a", "b"}, 60) == {"a", "b"}
