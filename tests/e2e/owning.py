"""An environment of a test's own on the lab's cluster, with manifests of its own."""

from __future__ import annotations

import shutil
import sys
import time

import yaml
from killing import children

from meshwright import applyset

ISTIO = "networking.istio.io/v1"
EXISTING = """
cluster:
  kind: existing
  kubeconfig: {file}
  context: {context}
  {pins}
istio:
  version: 1.31-alpha.eed52ebb66ad
  hub: meshwright.lab/istio
"""


def config(name, namespace, **data):
    """A ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(name, namespace, text):
    """A Secret with a password."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": text}}


def entry(name, namespace, port=443):
    """A ServiceEntry that nobody uses; istiod's webhook is asked about it."""
    ports = [{"number": port, "name": "tls", "protocol": "TLS"}]
    spec = {"hosts": [f"{name}.example.com"], "exportTo": ["."], "resolution": "DNS", "ports": ports}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": ISTIO, "kind": "ServiceEntry", "metadata": metadata, "spec": spec}


def lines(ran):
    """The lines of standard output."""
    return [line.strip() for line in ran.out.splitlines()]


def kubeconfig_of(lab):
    """The kubeconfig of the lab, parsed."""
    return yaml.safe_load((lab.driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())


def environment_at(lab, name, document, pins="", protected=False):
    """An environment `name` on an existing cluster, reached with this kubeconfig."""
    file = lab.driver.home / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(document))
    context = document["contexts"][0]["name"]
    head = "protected: true\n" if protected else ""
    lab.driver.add_environment(name, head + EXISTING.format(file=file, context=context, pins=pins))


def one_sentence(ran):
    """The error as it was printed; there is exactly one, and no traceback."""
    assert "Traceback" not in ran.err + ran.out
    [error] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    return error


def reached(process, there):
    """Waits until `there()` while a process runs."""
    deadline = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Owned:
    """The environment `name`; its objects are those of the last `write`. `document` is its kubeconfig, `timeout` the
    seconds that what it applies may take."""

    def __init__(self, lab, name, document=None, *, protected=False, timeout=20):
        self.lab, self.name, self.session = lab, name, lab.session
        self.protected = protected
        self.folder = lab.driver.root / "manifests" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.values = lab.driver.root / "group_data" / f"{name}.yaml"
        found = lab.session.identity()
        pins = f"uid: {found.uid}\n  ca_sha256: {found.ca_sha256}" if protected else ""
        environment_at(lab, name, document or kubeconfig_of(lab), pins, protected)
        self.base = self.values.read_text().rstrip() + f"\n  timeout: {timeout}\n"  # of istio, which comes last
        self.allow()

    def allow(self, **resources):
        """Writes the environment's values."""
        wanted = {"manifests": [f"manifests/{self.name}"], **resources}
        self.values.write_text(self.base + yaml.safe_dump({"resources": wanted}))

    def write(self, *objects, file="a.yaml"):
        (self.folder / file).write_text(yaml.safe_dump_all(objects))

    def plan(self, *words):
        return self.lab.driver.meshwright("plan", self.name, "resources", *words)

    def saved(self):
        """The name of a file with the plan."""
        assert self.plan("--out", f"{self.name}.json").code == 0
        return f"{self.name}.json"

    def apply(self, *words):
        yes = () if "--saved" in words else ("--yes",)
        return self.lab.driver.meshwright("apply", self.name, "resources", *yes, *words)

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

    def begun(self, there, *words):
        """Starts an apply, or `meshwright WORDS`; gives its process once `there()`."""
        words = words or ("apply", self.name, "resources", "--yes")
        process = self.lab.driver.start(sys.executable, "-m", "meshwright", *words)
        reached(process, there)
        return process

    def begin(self, count, kind="ConfigMap", api="v1"):
        """Starts an apply; gives its process once `count` objects more are there."""
        before = len(self.members(kind, api))
        return self.begun(lambda: len(self.members(kind, api)) >= before + count)

    def ended(self, process):
        """Exit code and one sentence of a run that failed."""
        out, _ = process.communicate(timeout=180)
        assert "Traceback" not in out, out
        [said] = [line for line in out.splitlines() if line.startswith("error: ")]
        assert not children(process.pid)
        return process.returncode, said, out

    def clean(self):
        self.allow(manifests=[], allow_empty=True)
        done = self.apply(*(("--saved", self.saved()) if self.protected else ()))
        assert done.code == 0, done.err
