"""Two environments, the second of which takes releases from the first: routes to promote, and a promotion killed."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter

import yaml
from killing import kill, steps
from outside import DEADLINE, Outside
from owning import kubeconfig_of

ISTIO = "networking.istio.io/v1"
HOST = "promoted.example.com"


def values_on(lab):
    """Values of an environment on the lab's cluster, without Bookinfo, addons and objects of its own."""
    file = lab.driver.home / "pair.kubeconfig"
    document = kubeconfig_of(lab)
    file.write_text(yaml.safe_dump(document))
    values = yaml.safe_load((lab.driver.root / "group_data" / "lab.yaml").read_text())
    del values["engine"]
    for port in values["ingress"]["ports"]:
        port.pop("publish", None)
    known = lab.session.identity()
    values["cluster"] = {
        "kind": "existing",
        "kubeconfig": str(file),
        "context": document["contexts"][0]["name"],
        "uid": known.uid,
        "ca_sha256": known.ca_sha256,
    }
    values["bookinfo"]["enabled"] = False
    del values["addons"]
    return values


class Pair:
    """The environments `early` and `later`; the second takes releases from the first.

    Both are on the lab's cluster, unless `there` says where the second is: a place with a session of its own, and
    `values` that are laid over the first one's.
    """

    def __init__(self, lab, space, there=None):
        self.lab, self.space, self.there, self.driver = lab, space, there or lab, lab.driver
        self.base = values_on(lab)
        self.over = there.values if there else {}
        self.note = lab.driver.root / ".meshwright" / "later" / "promotion.json"
        self.took = 4.0
        self.write("early", {})
        self.write("later", {}, promotion={"from": "early"})

    def path(self, name):
        return self.driver.root / "group_data" / f"{name}.yaml"

    def write(self, name, resources, **more):
        """Writes an environment's values, with a comment that must stay."""
        over = self.over if name == "later" else {}
        values = {**self.base, **over, **more, "resources": {**resources, "allow_empty": True}}
        self.driver.add_environment(
            name, f"# {name}: kept by its own people\n" + yaml.safe_dump(values, sort_keys=False)
        )

    def rule(self, old, new):
        """Changes the text of later's rules."""
        text = self.path("later").read_text()
        assert old in text
        self.path("later").write_text(text.replace(old, new))

    def routes(self, a, b, host="web"):
        """Everything for HOST goes to the pods a and b with these weights."""
        to = [{"destination": {"host": host, "subset": name}, "weight": n} for name, n in (("a", a), ("b", b))]
        name = f"{self.space}/promoted"
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

    def timed(self):
        """Promotes, and keeps how long it took from its first write to its last."""
        process = self.begin()
        start = time.monotonic()
        while self.note.exists() and process.poll() is None:
            time.sleep(0.01)
        self.took = time.monotonic() - start
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
        return out

    def killed(self, resources, share):
        """Writes early's `resources`, begins to promote them, and kills that at a share of the time between its first
        write and its last; gives what it hit, "" where it was through before."""
        self.write("early", resources)
        runs = self.note.parent / "runs"
        there = set(runs.glob("*.jsonl"))
        process = self.begin()
        time.sleep(share * self.took)
        if process.poll() is None:
            kill(process)
        else:
            process.communicate()
        if not self.note.exists():
            return ""
        new = set(runs.glob("*.jsonl")) - there
        stage = json.loads(self.note.read_text())["stage"]
        return f"{stage}: {(steps(new.pop()) or ['no step'])[-1] if new else 'before the apply'}"

    def whole(self, before):
        """What later's file is after a kill, by the digest in the note: what it was, or all that it was to be."""
        now = self.path("later").read_bytes()
        if now == before:
            return "before"
        assert hashlib.sha256(now).hexdigest() == json.loads(self.note.read_text())["after"], now.decode()
        return "after"

    def live(self, name="promoted"):
        """The weights of a virtual service in later's cluster."""
        found = self.there.session.get(ISTIO, "VirtualService", name, self.space)
        return [each.get("weight", 0) for each in found["spec"]["http"][0]["route"]] if found else None

    def close(self):
        """Takes away what both have applied, and their files."""
        for name in ("early", "later"):
            self.write(name, {})
            ran = self.driver.meshwright("apply", name, "resources", "--yes")
            assert ran.code == 0, ran.err
            self.path(name).unlink()
            (self.driver.root / "inventory" / f"{name}.py").unlink()


def answers(place, wanted, times=10, host=HOST, path="/"):
    """Who answers at a place, once that is as wanted."""
    outside, deadline = Outside(place), time.monotonic() + DEADLINE
    while True:
        found = Counter()
        for _ in range(times):
            answer = outside.get(host, path)
            found[answer.text if answer.status == 200 else str(answer.status)] += 1
        if set(found) == wanted or time.monotonic() > deadline:
            return set(found)
