"""Destroying a cluster (#3, part 5). It comes after all other tests: nothing is left of the lab's cluster then."""

from __future__ import annotations

import json

import yaml

from meshwright import cluster, engine

WORK = {
    "clusters": [{"name": "work", "cluster": {"server": "https://work.example.com"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
}


def containers(lab):
    """The node containers of the cluster that there are."""
    found = engine.find(lab.target, lab.env)
    name = cluster.name(lab.target, lab.env)
    command = ["docker", "ps", "--all", "--filter", f"label=k3d.cluster={name}", "--format", "{{.Names}}"]
    return lab.target.run(command, env=found.environ).text.split()


def test_another_name_is_refused(lab):
    done = lab.driver.meshwright("destroy", "lab", "--confirm", "prod")
    assert done.code == 3
    assert "nothing was changed" in done.err
    assert containers(lab)


def test_nobody_is_asked_without_a_terminal(lab):
    assert lab.driver.meshwright("destroy", "lab", input="lab\n").code == 64
    assert containers(lab)


def test_existing_clusters_are_never_destroyed(lab):
    assert lab.driver.meshwright("destroy", "prod", "--confirm", "prod").code == 3


def test_the_plan_says_what_goes(lab):
    document = lab.driver.meshwright("destroy", "lab", "--plan", "--json").document
    [step] = document["steps"]
    assert {change["kind"] for change in step["changes"]} == {"Cluster", "File"}
    assert step["changes"][0]["name"] == cluster.name(lab.target, lab.env)
    assert containers(lab)


def test_it_goes_and_the_users_kubeconfig_stays(lab):
    mine = lab.driver.home / ".kube" / "config"
    mine.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **WORK, "current-context": "work"}))
    merged = lab.driver.meshwright("kubeconfig", "lab", "--merge")
    assert merged.code == 0, merged.err
    # The user works in that very context: k3d by itself would take it out and switch to another.
    document = yaml.safe_load(mine.read_text())
    document["current-context"] = cluster.context(lab.target, lab.env)
    mine.write_text(yaml.safe_dump(document))
    before = mine.read_bytes()

    done = lab.driver.meshwright("destroy", "lab", "--confirm", "lab", "--json")
    assert done.code == 0, done.err
    assert done.document["summary"]["destroy"] >= 1
    assert containers(lab) == []
    assert mine.read_bytes() == before
    state = lab.driver.root / ".meshwright" / "lab"
    assert not [name for name in ("kubeconfig", "identity.json", "creating") if (state / name).exists()]


def test_again_there_is_nothing_to_destroy(lab):
    done = lab.driver.meshwright("destroy", "lab", "--json")
    assert done.code == 0
    assert json.loads(done.out)["summary"]["destroy"] == 0


def test_what_is_gone_is_absent_for_the_others(lab):
    checked = lab.driver.meshwright("check", "lab", "--group", "cluster")
    assert checked.code == 1
    assert "is absent" in checked.out
    for command in ("ingress", "kubeconfig"):
        done = lab.driver.meshwright(command, "lab")
        assert (done.code, done.out) == (1, "")
        assert len(done.err.splitlines()) == 2
