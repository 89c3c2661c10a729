"""What tests that change the root of the lab's mesh share: waiting until it is in order, CAs in folders, runs."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import os
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import load as loading
import pki
import yaml
from relay import Relay

from meshwright import cluster, ingress, probe
from meshwright.certs import trust
from meshwright.check import State
from meshwright.foreign import RESTARTED
from meshwright.kube import wait

NAMESPACE = "istio-system"


def certs(lab, *words):
    """A command of `meshwright certs`: exit code and document."""
    done = lab.driver.meshwright("certs", words[0], "lab", *words[1:], "--json")
    return done.code, done.document


def bad(document):
    return {each["subject"]: each["detail"] for each in document["findings"] if each["state"] != "ok"}


def looked(lab):
    """One look in this process, as `meshwright certs verify` has it: what lags, and the document."""
    report = trust.verify(lab.session, lab.env, dt.datetime.now(dt.UTC))
    return {each.subject for each in report.laggards if each.state is not State.WARNING}, report.as_json()


def in_order(lab, seconds=150):
    """Waits until everything trusts and presents the same."""
    deadline = time.monotonic() + seconds
    while True:
        lagging, document = looked(lab)
        if not lagging:
            return document
        assert time.monotonic() < deadline, bad(document)
        nudge(lab)
        time.sleep(2)


def nudge(lab):
    """Makes every kubelet look at the Secrets and ConfigMaps of its pods at once, by an annotation on them."""
    stamp = {"metadata": {"annotations": {"meshwright-test/at": str(time.time())}}}
    for pod in lab.session.list("v1", "Pod"):
        if pod["metadata"]["namespace"] != "kube-system":
            lab.session.patch("v1", "Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], body=stamp)


def restart_istiod(lab):
    stamp = {RESTARTED: f"test-{time.time()}"}
    body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    lab.session.patch("apps/v1", "Deployment", "istiod", NAMESPACE, body=body)
    wait.ready(lab.session, [wait.Ref("Deployment", "istiod", NAMESPACE)], timeout=120)
    # The one before it is still on its way out, and still answers.
    until(lambda: len(lab.session.list("v1", "Pod", NAMESPACE, labels="app=istiod")) == 1)


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.3)


def folder_of(lab, signer, root, name):
    """The four files of a CA in a folder of the project; what `--to` says of it."""
    folder = lab.driver.root / name
    folder.mkdir(exist_ok=True)
    for file, text in pki.plugged(signer, root)["data"].items():
        (folder / file).write_bytes(base64.b64decode(text))
    return f"cacerts:{name}"


def page_load(lab, **more):
    """A load of Bookinfo's page through the gateway, not yet started; the page answers."""
    at = ingress.address(lab.target, lab.env)
    until(lambda: probe.get(lab.target, f"{at.url}/productpage").status == 200)
    return loading.Load(at.host, at.port, **more)


def bookinfo_hosts(lab):
    return f"*.{lab.env.bookinfo.namespace}.svc.cluster.local"


def existing(lab, name, server="", uid=""):
    """An environment `name` on the lab's cluster, as one that somebody else made; reached at `server`, and pinned to
    the cluster with this uid, where they are given."""
    document = yaml.safe_load((lab.driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())
    document["clusters"][0]["cluster"]["server"] = server or document["clusters"][0]["cluster"]["server"]
    file = lab.driver.home / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(document))
    found = {"kind": "existing", "kubeconfig": str(file), "context": document["contexts"][0]["name"]}
    if uid:
        found |= {"uid": uid, "ca_sha256": lab.session.identity().ca_sha256}
    values = {"cluster": found, "istio": {"version": lab.env.istio.version, "hub": lab.env.istio.hub}}
    lab.driver.add_environment(name, yaml.safe_dump(values))


@contextlib.contextmanager
def relayed(lab, name):
    """An environment `name` whose API server is behind a relay that can be cut."""
    document = yaml.safe_load((lab.driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())
    there = urlsplit(document["clusters"][0]["cluster"]["server"])
    relay = Relay(there.hostname, there.port)
    try:
        existing(lab, name, server=f"https://127.0.0.1:{relay.port}")
        yield relay
    finally:
        relay.cut()


@contextlib.contextmanager
def kubelet_standing_still(lab):
    """The kubelet of the lab's only node is stopped: it syncs nothing, and carries no port-forward."""
    node = f"--hostname-override=k3d-{cluster.name(lab.target, lab.env)}-server-0"
    found = [at for at in Path("/proc").glob("[0-9]*/cmdline") if _is_kubelet(at, node)]
    [pid] = [int(at.parent.name) for at in found]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_kubelet(at, node):
    try:
        words = at.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return words[:2] == ["kube", "kubelet"] and node in words


def born_in_the_middle(lab, phase):
    """A namespace and a pod with a sidecar in it, which nobody waits for."""
    name = f"born-in-{phase}-{time.monotonic_ns() % 10**6}"
    metadata = {"name": name, "labels": {"istio-injection": "enabled"}}
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    [ratings, *_] = lab.session.list("v1", "Pod", lab.env.bookinfo.namespace, labels="app=ratings")
    [image] = [c["image"] for c in ratings["spec"]["containers"] if c["name"] == "ratings"]
    container = {"name": "app", "image": image, "command": ["sleep", "900"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    # The service account comes a moment after its namespace.
    until(lambda: lab.session.get("v1", "ServiceAccount", "default", name) is not None)
    lab.session.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late", "namespace": name}, "spec": spec}
    )
    return name


class Lines:
    """What a process prints, read while it runs."""

    def __init__(self, stream):
        self.text = ""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self.text += line

    def join(self):
        self._thread.join(30)
