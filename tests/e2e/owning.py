"""An environment of a test's own on the lab's cluster, with manifests of its own."""

from __future__ import annotations

import shutil
import sys
import time

import yaml
from killing import children
from test_faults import environment_at, kubeconfig_of

from meshwright import applyset

ISTIO = "networking.istio.io/v1"


def config(name, namespace, **data):
    """A ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def entry(name, namespace, port=443):
    """A ServiceEntry that nobody uses; istiod's webhook is asked about it."""
    ports = [{"number": port, "name": "tls", "protocol": "TLS"}]
    spec = {"hosts": [f"{name}.example.com"], "exportTo": ["."], "resolution": "DNS", "ports": ports}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": ISTIO, "kind": "ServiceEntry", "metadata": metadata, "spec": spec}


def lines(ran):
    """The lines of standard output."""
    return [line.strip() for line in ran.out.splitlines()]


class Owned:
    """The environment `name`; its objects are those of the last `write`. `document` is its kubeconfig."""

    def __init__(self, lab, name, document=None):
        self.lab, self.name, self.session = lab, name, lab.session
        self.folder = lab.driver.root / "manifests" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.values = lab.driver.root / "group_data" / f"{name}.yaml"
        environment_at(lab, name, document or kubeconfig_of(lab))
        self.base = self.values.read_text().rstrip() + "\n  timeout: 20\n"  # of istio, which comes last
        self.allow()

    def allow(self, **resources):
        """Writes the environment's values."""
        wanted = {"manifests": [f"manifests/{self.name}"], **resources}
        self.values.write_text(self.base + yaml.safe_dump({"resources": wanted}))

    def write(self, *objects):
        (self.folder / "a.yaml").write_text(yaml.safe_dump_all(objects))

    def plan(self, *words):
        return self.lab.driver.meshwright("plan", self.name, "resources", *words)

    def apply(self, *words):
        return self.lab.driver.meshwright("apply", self.name, "resources", "--yes", *words)

    def applied(self):
        """Applies; the second plan is empty."""
        done = self.apply()
        assert done.code == 0, done.err + done.out
        again = self.plan("--detailed-exitcode")
        assert again.code == 0, again.out + again.err
        return done

    def members(self, kind="ConfigMap", api="v1"):
        """The names of what the environment keeps."""
        label = f"applyset.kubernetes.io/part-of={applyset.identifier('resources-' + self.name)}"
        return sorted(obj["metadata"]["name"] for obj in self.session.list(api, kind, labels=label, metadata_only=True))

    def begin(self, count, kind="ConfigMap", api="v1"):
        """Starts an apply; gives its process once `count` objects more are there."""
        before = len(self.members(kind, api))
        process = self.lab.driver.start(sys.executable, "-m", "meshwright", "apply", self.name, "resources", "--yes")
        deadline = time.monotonic() + 120
        while len(self.members(kind, api)) < before + count:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    def ended(self, process):
        """Exit code and one sentence of a run that failed."""
        out, _ = process.communicate(timeout=180)
        assert "Traceback" not in out, out
        [said] = [line for line in out.splitlines() if line.startswith("error: ")]
        assert not children(process.pid)
        return process.returncode, said, out

    def clean(self):
        self.allow(manifests=[], allow_empty=True)
        done = self.apply()
        assert done.code == 0, done.err
