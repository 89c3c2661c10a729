"""What was changed from outside is shown by the next plan and repaired by the next apply (#3, parts 5 and 6)."""

from __future__ import annotations

import os
import signal

import pytest
from driver import CHECKOUT

from meshwright import cluster, engine, tools
from meshwright.environment import load
from meshwright.lab import dockerd
from meshwright.plan import Action
from meshwright.project import Project
from meshwright.target import Local


def repaired(lab):
    done = lab.driver.meshwright("apply", "lab", "--yes")
    assert done.code == 0, done.err + done.out
    again = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert again.code == 0, again.out


def test_a_deleted_gateway_deployment(lab):
    lab.session.delete("apps/v1", "Deployment", "istio-ingressgateway", "istio-system")
    plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert plan.code == 2
    assert "  + Deployment istio-system/istio-ingressgateway" in plan.out.splitlines()
    assert plan.out.splitlines()[-1] == "Plan: 1 to add, 0 to change, 0 to destroy."
    repaired(lab)
    deployment = lab.session.get("apps/v1", "Deployment", "istio-ingressgateway", "istio-system")
    assert deployment["status"]["readyReplicas"] == 1


def test_an_edited_environment_variable_of_istiod(lab):
    deployment = lab.session.get("apps/v1", "Deployment", "istiod", "istio-system")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [variable] = [v for v in container["env"] if v["name"] == "ISTIO_MULTIROOT_MESH"]
    variable["value"] = "false"
    lab.session.replace(deployment, manager="kubectl-edit")
    plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert plan.code == 2
    line = 'spec.template.spec.containers[discovery].env[ISTIO_MULTIROOT_MESH].value: "false" -> "true"'
    assert line in plan.out
    repaired(lab)


def test_the_same_change_is_shown_by_pyinfra(lab):
    lab.session.delete("apps/v1", "Deployment", "istio-egressgateway", "istio-system")
    ours = lab.driver.meshwright("plan", "lab").out.splitlines()
    dry = lab.driver.pyinfra("--dry", "inventory/lab.py", "deploys/site.py").err
    start = dry.index(ours[0])
    assert [line.strip() for line in dry[start:].splitlines()[: len(ours)]] == [line.strip() for line in ours]
    repaired(lab)


def test_a_changed_label_of_a_namespace(lab):
    lab.session.patch(
        "v1", "Namespace", "bookinfo", body={"metadata": {"labels": {"istio-injection": None}}}, manager="kubectl-label"
    )
    plan = lab.driver.meshwright("plan", "lab").out
    assert 'metadata.labels.istio-injection: "enabled"' in plan
    repaired(lab)


def test_a_stopped_cluster_is_started(lab):
    found = engine.find(lab.target, lab.env)
    name = cluster.name(lab.target, lab.env)
    lab.target.run([tools.path(lab.target, lab.env, "k3d"), "cluster", "stop", name], env=found.environ, timeout=120)
    plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert plan.code == 2
    assert '      state: "stopped" -> "running"' in plan.out.splitlines()
    assert "known after cluster" in plan.out
    repaired(lab)
    checked = lab.driver.meshwright("check", "lab")
    assert checked.code == 0, checked.out


def test_a_killed_engine_is_told_and_what_it_held_comes_back(lab):
    """kill -9 of dockerd: nothing is taken for absent; with the engine back, the next apply brings everything back."""
    checkout = Local(Project(CHECKOUT))
    values = load(checkout.project, "lab").env
    own = dockerd.places(checkout.project)
    if not os.environ.get("CI") and (checkout.project.state / "lab" / "k3d.yaml").exists():
        pytest.skip("a demo of this checkout runs on the same engine")
    os.kill(dockerd.process(own), signal.SIGKILL)
    dead = lab.driver.meshwright("plan", "lab")
    assert dead.code == 1
    assert "to add" not in dead.out
    assert "does not answer" in dead.err
    plan = engine.ensure.plan(checkout, values)
    assert [change.action for change in plan.changes] == [Action.ADD]
    engine.ensure.apply(checkout, values, plan)
    repaired(lab)
    checked = lab.driver.meshwright("check", "lab")
    assert checked.code == 0, checked.out
