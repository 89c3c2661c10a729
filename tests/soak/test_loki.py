"""Loki as its sample has it, on and off again, with a stand-in for its image (#8)."""

from __future__ import annotations

import pytest
from exposing import Values, sample

LOKI = """\
  loki:
    images:
      docker.io/grafana/loki: meshwright.lab/stand-in/loki:1
      docker.io/kiwigrid/k8s-sidecar: meshwright.lab/stand-in/loki:1
"""
# The lab has no provisioner. This one is for the claim of the sample's StatefulSet.
DISK = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "loki-e2e"},
    "spec": {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "istio-system", "name": "storage-loki-0"},
        "hostPath": {"path": "/var/lib/loki-e2e", "type": "DirectoryOrCreate"},
    },
}


def apply(lab):
    ran = lab.driver.meshwright("apply", "lab", "addons", "--yes", timeout=900)
    assert ran.code == 0, ran.err + ran.out


@pytest.fixture
def loki(lab):
    """The lab with its addons, Loki among them, and where Loki's claim is kept; all off again afterwards."""
    values = Values(lab.driver)
    values.addons("".join([*sample(lab.driver).values(), LOKI]))
    lab.session.apply(DISK)
    try:
        apply(lab)
        yield values
    finally:
        values.addons("  prometheus: {enabled: false}\n")
        apply(lab)
        lab.session.delete("v1", "PersistentVolume", DISK["metadata"]["name"])
        values.back()


def test_loki_lists_its_labels_and_is_gone_when_it_is_off(lab, loki):
    answers = lab.driver.meshwright("check", "lab", "--group", "addons", "--json").document["checks"]
    details = {each["check"]: (each["state"], each["detail"]) for each in answers}
    assert details["addon-loki"] == ("ok", "0 labels (a stand-in)")
    plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    loki.addons("".join(sample(lab.driver).values()).replace(LOKI, ""))
    apply(lab)
    left = [
        f"{kind} {obj['metadata']['name']}"
        for api, kind in (
            ("apps/v1", "StatefulSet"),
            ("v1", "PersistentVolumeClaim"),
            ("v1", "Service"),
            ("v1", "ConfigMap"),
            ("v1", "Pod"),
        )
        for obj in lab.session.list(api, kind)
        if "loki" in obj["metadata"]["name"]
    ]
    assert left == []
