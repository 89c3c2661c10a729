"""An environment with two real clusters: brought up, changed and looked at by one command, and by pyinfra itself."""

from __future__ import annotations

import os

import pytest
import yaml

from meshwright import cluster
from meshwright.environment import members
from meshwright.project import Project
from meshwright.target import Local

NAMES = ("both/east", "both/west")
SPACE = "fanned"
BREAKS = """\
from meshwright import resources
from meshwright.deploy import run
from meshwright.errors import MeshwrightError
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step


def fail(_target, env, _plan):
    if env.name == "both/west":
        raise MeshwrightError("the west wind is too strong", hint="Wait")


change = Change(Action.CHANGE, "Weather", "outside")
breaks = Step("weather", lambda _target, env: Plan("weather", "calm", (change,), checked=1), fail, cluster=False)
steps = [resources.apply_all, breaks]

run(steps)
"""


class Both:
    """The environment `both`, without Istio: what is shown here is about clusters."""

    def __init__(self, driver):
        self.driver = driver
        values = yaml.safe_load((driver.root / "group_data" / "lab.yaml").read_text())
        for key in ("addons", "ingress"):
            values.pop(key)
        values["bookinfo"]["enabled"] = False
        values["namespaces"] = {"bookinfo": None}
        values["resources"] = {"manifests": ["both.yaml"]}
        values["clusters"] = [{"name": "east"}, {"name": "west"}]
        self.say("one")
        driver.add_environment("both", yaml.safe_dump(values, sort_keys=False))
        (driver.root / "deploys" / "weather.py").write_text(BREAKS)
        if "DOCKER_HOST" in driver.environ:
            os.environ["DOCKER_HOST"] = driver.environ["DOCKER_HOST"]

    def say(self, word):
        """What the manifests want in every cluster."""
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "said", "namespace": SPACE}}
        text = yaml.safe_dump_all([space, made | {"data": {"word": word}}])
        (self.driver.root / "both.yaml").write_text(text)

    def sessions(self):
        """A session with each cluster, by name."""
        project = Project(self.driver.root)
        return {loaded.env.name: cluster.session(Local(project), loaded.env) for loaded in members(project, "both")}

    def said(self):
        """What each cluster has."""
        found = {name: session.get("v1", "ConfigMap", "said", SPACE) for name, session in self.sessions().items()}
        return {name: each and each["data"]["word"] for name, each in found.items()}


@pytest.fixture(scope="module")
def both(driver):
    made = Both(driver)
    ran = driver.meshwright("apply", "both", "cluster", "--yes", "--json", timeout=1800)
    assert ran.code == 0, ran.err
    assert [each["state"] for each in ran.document["clusters"]] == ["succeeded", "succeeded"]
    yield made
    for name in NAMES:
        driver.meshwright("destroy", name, "--confirm", name)


def test_each_cluster_is_its_own(both):
    uids = {session.identity().uid for session in both.sessions().values()}
    assert len(uids) == 2
    again = both.driver.meshwright("plan", "both", "cluster", "--detailed-exitcode")
    assert again.code == 0, again.out
    rows = both.driver.meshwright("environments", "--json").document["environments"]
    assert {each["environment"]: each["state"] for each in rows if each["environment"] in NAMES} == dict.fromkeys(
        NAMES, "up"
    )


def test_one_apply_changes_both_and_each_has_its_record(both):
    both.say("hello")
    ran = both.driver.meshwright("apply", "both", "resources", "--yes", "--reason", "ticket 4711")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "2 clusters: 2 succeeded, 0 failed, 0 not begun."
    assert both.said() == dict.fromkeys(NAMES, "hello")
    for name, session in both.sessions().items():
        kept = session.list("v1", "ConfigMap", "meshwright", labels="meshwright/record=both")
        assert kept
        assert all(f'"environment":"{name}"' in each["data"]["record.json"] for each in kept)
        [newest, *_] = both.driver.meshwright("history", name, "--json").document["records"]
        assert (newest["environment"], newest["reason"], newest["result"]) == (name, "ticket 4711", "ok")


def test_a_second_one_that_fails_is_5_and_named(both):
    both.say("later")
    ran = both.driver.meshwright("apply", "both", "weather", "--yes")
    assert ran.code == 5
    assert ran.out.splitlines()[-3:] == [
        "both/east: changed (2 steps)",
        "both/west: failed: the west wind is too strong",
        "2 clusters: 1 succeeded, 1 failed, 0 not begun.",
    ]
    # What a failed run has done before it failed is there, and its record says how it ended.
    [newest, *_] = both.driver.meshwright("history", "both/west", "--json").document["records"]
    assert (newest["result"], newest["message"]) == ("failed", "the west wind is too strong")


def test_pyinfra_runs_on_both_and_on_one(both):
    both.say("east first")
    ran = both.driver.pyinfra("-y", "inventory/both.py", "deploys/resources.py", "--limit", "@cluster/east")
    assert ran.code == 0, ran.err
    assert both.said() == {"both/east": "east first", "both/west": "later"}
    both.say("all")
    ran = both.driver.pyinfra("-y", "inventory/both.py", "deploys/resources.py")
    assert ran.code == 0, ran.err
    assert both.said() == dict.fromkeys(NAMES, "all")
