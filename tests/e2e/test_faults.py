"""Bad input and faults of issue #3 that need a real cluster. Each: one sentence, its exit code, nothing changed."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import time

import pytest
from killing import begin, steps
from owning import environment_at, kubeconfig_of, one_sentence

from meshwright import kube


def test_an_api_server_that_does_not_answer_is_not_an_empty_cluster(lab):
    document = kubeconfig_of(lab)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{closed.getsockname()[1]}"
        environment_at(lab, "gone", document)
        ran = lab.driver.meshwright("plan", "gone")
    assert ran.code == 1
    assert "to add" not in ran.out
    assert "127.0.0.1" in one_sentence(ran)


def test_an_api_server_that_does_not_know_us_is_not_an_empty_cluster(lab):
    document = kubeconfig_of(lab)
    document["users"][0]["user"] = {"token": "nobody"}
    environment_at(lab, "stranger", document)
    ran = lab.driver.meshwright("plan", "stranger")
    assert ran.code == 1
    assert "to add" not in ran.out
    assert "401" in one_sentence(ran) or "does not accept" in one_sentence(ran)


def test_a_user_without_rights_is_told_which_one_is_missing(lab, scratch):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": scratch}}
    lab.session.create(account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{scratch}/serviceaccounts/reader/token"
    answer = lab.session.transport.call("POST", path, body=json.dumps(request).encode())
    token = json.loads(answer.body)["status"]["token"]
    document = kubeconfig_of(lab)
    document["users"][0]["user"] = {"token": token}
    environment_at(lab, "reader", document)
    ran = lab.driver.meshwright("plan", "reader")
    assert ran.code == 1
    assert "to add" not in ran.out
    assert re.search(r"forbidden|may not", one_sentence(ran), re.IGNORECASE)


def test_another_cluster_behind_the_context_is_refused(lab):
    identity = lab.session.identity()
    pins = f"uid: 00000000-0000-0000-0000-000000000000\n  ca_sha256: {identity.ca_sha256}"
    environment_at(lab, "other", kubeconfig_of(lab), pins, protected=True)
    ran = lab.driver.meshwright("apply", "other", "--yes")
    assert ran.code == 3
    assert identity.uid in one_sentence(ran)


def test_a_protected_environment_without_its_identity_is_read_but_not_written(lab):
    environment_at(lab, "unpinned", kubeconfig_of(lab), protected=True)
    ran = lab.driver.meshwright("plan", "unpinned")
    assert ran.code == 0, ran.err
    assert "cluster.uid and cluster.ca_sha256 are not given" in ran.out
    ran = lab.driver.meshwright("apply", "unpinned", "--yes")
    assert ran.code == 3
    assert "no uid and ca_sha256" in one_sentence(ran)
    assert lab.session.identity().uid in ran.err


def test_a_kubeconfig_that_is_not_yaml(lab):
    environment_at(lab, "notyaml", kubeconfig_of(lab))
    (lab.driver.home / "notyaml.kubeconfig").write_text("a: [1\n")
    ran = lab.driver.meshwright("plan", "notyaml")
    assert ran.code == 65
    assert "notyaml.kubeconfig" in one_sentence(ran)


def test_a_taken_port_is_refused_with_its_holder(lab):
    values = (lab.driver.root / "group_data" / "lab.yaml").read_text()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        lab.driver.add_environment(
            "ported", values.replace("loadbalancer: false", f"loadbalancer: false\n  api_port: {port}")
        )
        ran = lab.driver.meshwright("apply", "ported", "--yes")
    assert ran.code == 3
    assert f"port {port} (api_port) is taken by" in one_sentence(ran)
    assert str(os.getpid()) in one_sentence(ran)


def test_what_k3d_cannot_change_is_recreated_only_with_consent(lab):
    values = (lab.driver.root / "group_data" / "lab.yaml").read_text()
    (lab.driver.root / "group_data" / "lab.yaml").write_text(
        values.replace("loadbalancer: false", "loadbalancer: false\n  k3s_args: [--disable=metrics-server]")
    )
    try:
        plan = lab.driver.meshwright("plan", "lab")
        assert re.search(r"(?m)^  -/\+ Cluster mw-lab-\w+  \(k3d cannot change this in place\)$", plan.out)
        assert "known after cluster" in plan.out
        ran = lab.driver.meshwright("apply", "lab", "--yes")
        assert ran.code == 3
        assert "must be recreated" in one_sentence(ran)
    finally:
        (lab.driver.root / "group_data" / "lab.yaml").write_text(values)
    assert lab.session.ready()


def test_an_istiod_that_never_becomes_ready_is_explained(lab):
    values = (lab.driver.root / "group_data" / "lab.yaml").read_text()
    (lab.driver.root / "group_data" / "lab.yaml").write_text(
        values.replace("hub: meshwright.lab/istio", "hub: meshwright.lab/istio\n  tag: nowhere\n  timeout: 15")
    )
    try:
        ran = lab.driver.meshwright("apply", "lab", "--yes")
    finally:
        (lab.driver.root / "group_data" / "lab.yaml").write_text(values)
    assert ran.code == 1
    said = one_sentence(ran)
    assert "did not become ready" in said
    assert "meshwright.lab/istio/pilot:nowhere" in said
    assert re.search(r"istiod-\w+-\w+", said)
    again = lab.driver.meshwright("apply", "lab", "--yes")
    assert again.code == 0, again.err
    assert lab.driver.meshwright("plan", "lab", "--detailed-exitcode").code == 0


def test_istiod_away_is_never_called_an_invalid_object(lab):
    """With istiod gone, Istio's objects are still planned; an apply of one says that istiod is unavailable."""
    lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body={"spec": {"replicas": 0}})
    try:
        lab.session.delete("networking.istio.io/v1", "Gateway", "bookinfo-gateway", "bookinfo")
        deadline = time.monotonic() + 60
        while lab.session.list("v1", "Pod", "istio-system", labels="app=istiod") and time.monotonic() < deadline:
            time.sleep(0.5)
        ran = lab.driver.meshwright("plan", "lab", "bookinfo")
        assert ran.code == 0
        assert "+ Gateway bookinfo/bookinfo-gateway" in ran.out
        ran = lab.driver.meshwright("apply", "lab", "bookinfo", "--yes")
        assert ran.code == 1
        assert "istiod is unavailable" in one_sentence(ran)
    finally:
        lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body={"spec": {"replicas": 1}})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if lab.driver.meshwright("apply", "lab", "--yes").code == 0:
            break
        time.sleep(2)
    assert lab.driver.meshwright("plan", "lab", "--detailed-exitcode").code == 0


def test_a_mesh_of_helm_is_left_alone(lab):
    note = {"metadata": {"annotations": {"meta.helm.sh/release-name": "istiod"}}}
    lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body=note)
    try:
        lab.session.delete("apps/v1", "Deployment", "istio-egressgateway", "istio-system")
        plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
        assert plan.code == 0
        assert "istiod is kept by Helm (release istiod): it is left alone" in plan.out
    finally:
        note["metadata"]["annotations"]["meta.helm.sh/release-name"] = None
        lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body=note)
        assert lab.driver.meshwright("apply", "lab", "--yes").code == 0


def test_a_second_run_at_the_same_time_is_refused(lab):
    lab.session.delete("apps/v1", "Deployment", "istio-egressgateway", "istio-system")
    first, journal = begin(lab.driver, "lab")
    deadline = time.monotonic() + 60
    while "istio started" not in steps(journal) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = lab.driver.pyinfra("-y", "inventory/lab.py", "deploys/site.py")
    assert second.code == 1
    assert "another run is changing mw-lab-" in second.err
    assert "Traceback" not in second.err
    out, _ = first.communicate(timeout=300)
    assert first.returncode == 0, out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "nowhere"], 65, "nowhere"),
        (["plan", "lab", "sitee"], 65, "sitee"),
        (["plan"], 64, "ENV"),
        (["pla", "lab"], 64, "pla"),
        (["apply", "lab", "--frob"], 64, "--frob"),
    ],
)
def test_bad_command_lines(lab, arguments, code, words):
    ran = lab.driver.meshwright(*arguments)
    assert ran.code == code
    assert words in one_sentence(ran)


def test_the_identity_of_the_lab_was_recorded_at_its_creation(lab):
    recorded = json.loads((lab.driver.root / ".meshwright" / "lab" / "identity.json").read_text())
    assert recorded["uid"] == lab.session.identity().uid
    ca = kubeconfig_of(lab)["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(ca)
    assert isinstance(lab.session, kube.Session)
