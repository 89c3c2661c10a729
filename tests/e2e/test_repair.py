"""What was changed from outside is shown by the next plan and repaired by the next apply (#3, parts 5 and 6)."""

from __future__ import annotations

import pytest

from meshwright import cluster, engine, tools


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


@pytest.mark.parametrize("how", ["stopped"])
def test_a_stopped_cluster_is_started(lab, how):
    found = engine.find(lab.target, lab.env)
    name = cluster.name(lab.target, lab.env)
    lab.target.run([tools.path(lab.target, lab.env, "k3d"), "cluster", "stop", name], env=found.environ, timeout=120)
    plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert plan.code == 2
    assert f'      state: "{how}" -> "running"' in plan.out.splitlines()
    assert "known after cluster" in plan.out
    repaired(lab)
    checked = lab.driver.meshwright("check", "lab")
    assert checked.code == 0, checked.out
