"""The same over a real SSH host: the lab's cluster as an existing one, reached only through an sshd (#3, part 2)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import sshd
import yaml


@pytest.fixture(scope="module")
def remote(lab):
    """An environment `remote` whose host is behind SSH; its kubeconfig lies there."""
    assert sshd.BINARY, "no sshd here"
    with tempfile.TemporaryDirectory() as folder:
        server = sshd.start(Path(folder))
        kubeconfig = Path(folder) / "there.kubeconfig"
        kubeconfig.write_text((lab.driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())
        values = yaml.safe_load((lab.driver.root / "group_data" / "lab.yaml").read_text())
        values["hosts"] = [server.host().model_dump(exclude_none=True)]
        context = yaml.safe_load(kubeconfig.read_text())["current-context"]
        values["cluster"] = {"kind": "existing", "kubeconfig": str(kubeconfig), "context": context}
        values["ingress"] = {
            "deadline": 0,
            "ports": [{k: v for k, v in port.items() if k != "publish"} for port in values["ingress"]["ports"]],
        }
        del values["engine"]
        lab.driver.add_environment("remote", yaml.safe_dump(values, sort_keys=False))
        yield lab.driver
        server.stop()


def test_tools_land_on_the_host_and_the_plan_is_empty(remote):
    done = remote.meshwright("apply", "remote", "tools", "--yes", timeout=900)
    assert done.code == 0, done.err + done.out
    document = remote.meshwright("plan", "remote", "--json").document
    assert document["ok"], document
    assert document["summary"]["checked"] > 60
    assert (document["summary"]["add"], document["summary"]["change"], document["summary"]["destroy"]) == (0, 0, 0)


def test_a_change_is_planned_and_made_through_the_host(lab, remote):
    lab.session.delete("apps/v1", "Deployment", "istio-egressgateway", "istio-system")
    # Of one deploy: each question over SSH takes its time, and the plan of all is looked at above.
    plan = remote.meshwright("plan", "remote", "istio").out
    assert "  + Deployment istio-system/istio-egressgateway" in plan.splitlines()
    done = remote.pyinfra("-y", "inventory/remote.py", "deploys/istio.py")
    assert done.code == 0, done.err
    assert lab.session.get("apps/v1", "Deployment", "istio-egressgateway", "istio-system") is not None
    again = remote.meshwright("plan", "remote", "istio", "--detailed-exitcode")
    assert again.code == 0, again.out


def test_an_unknown_host_key_is_refused(lab, remote):
    values = yaml.safe_load((remote.root / "group_data" / "remote.yaml").read_text())
    known = Path(values["hosts"][0]["ssh_known_hosts_file"])
    empty = known.with_name("nobody_known")
    empty.write_text("")
    values["hosts"][0]["ssh_known_hosts_file"] = str(empty)
    remote.add_environment("unknown-host", yaml.safe_dump(values))
    done = remote.meshwright("plan", "unknown-host", "--json")
    assert done.code == 3
    assert "host key of 127.0.0.1 is not known" in json.loads(done.out)["error"]["message"]
    assert "to add" not in done.out
