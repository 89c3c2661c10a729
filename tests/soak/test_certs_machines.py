"""A change of the root with a machine outside the cluster: its root-cert.pem is written over a real SSH server, and the
gates wait until its Envoy has followed (#6).

The machine is a folder: a file for its roots, and a stand-in for its agent and Envoy, which asks istiod for a
certificate whenever the file has changed, and shows on an admin port what it has.
"""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pki
import pytest
import sshd
from rooted import NAMESPACE, certs, folder_of, in_order, restart_istiod

from meshwright.certs import canary, consumers, mesh
from meshwright.certs.certificate import bundle, pem
from meshwright.certs.phase import STANDBY

MACHINE = "shop/vm-1"
API = "networking.istio.io/v1"


class Agent:
    """What a machine presents and trusts: what istiod signed and handed out when its file had changed."""

    def __init__(self, lab, file):
        self.lab, self.file = lab, file
        self._read, self._told, self._has = b"", "", None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _handler(agent):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"configs": agent.secrets()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        return Handler

    def secrets(self):
        there = self.file.read_bytes()
        if there != self._read or self._behind():
            self._has, self._read = self._asked(), there
        chain, roots = (base64.b64encode(pem(each).encode()).decode() for each in self._has)
        return [
            {"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": chain}}}},
            {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": {"inline_bytes": roots}}}},
        ]

    def _behind(self):
        """Told over its connection to istiod that the bundle's text is another one, it asks again at once."""
        text = self.lab.session.get("v1", "ConfigMap", "istio-ca-root-cert", NAMESPACE)["data"]["root-cert.pem"]
        behind, self._told = text != self._told, text
        return behind

    def _asked(self):
        seen = mesh.look(self.lab.session, self.lab.env)
        [replica, *_] = [each for each in seen.istiods if each.ready]
        token, name = canary.token(self.lab.session, NAMESPACE), canary.names_of("cluster.local", NAMESPACE)
        cluster = seen.setting("CLUSTER_ID", "Kubernetes")
        issued = canary.ask(self.lab.session, replica, consumers.server_name(replica), token, cluster, name)
        return issued.identity.chain, issued.roots


@pytest.fixture(scope="module")
def plugged(lab):
    """A plugged-in CA with an intermediate, so that nothing but the machine asks for a restart of istiod."""
    root = pki.make("Machines Root")
    lab.session.create(pki.plugged(pki.make("Machines Int", root, days=(-1, 400)), root))
    try:
        restart_istiod(lab)
        in_order(lab)
        yield root
    finally:
        for name in ("cacerts", STANDBY):
            lab.session.delete("v1", "Secret", name, NAMESPACE)
        restart_istiod(lab)
        in_order(lab)


@pytest.fixture
def machine(lab, plugged):
    """Its file and its agent, named in the environment, with a WorkloadEntry."""
    assert sshd.BINARY, "no sshd here"
    values = lab.driver.root / "group_data" / "lab.yaml"
    before = values.read_text()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = sshd.start(Path(folder))
        stack.callback(server.stop)
        file = Path(folder) / "root-cert.pem"
        file.write_text(plugged.pem)
        agent = Agent(lab, file)
        stack.callback(agent.stop)
        lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        stack.callback(lab.session.delete, "v1", "Namespace", "shop")
        entry = {"apiVersion": API, "kind": "WorkloadEntry", "metadata": {"name": "vm-1", "namespace": "shop"}}
        lab.session.create({**entry, "spec": {"address": "192.0.2.7", "serviceAccount": "default"}})
        host = server.host().model_dump(exclude_none=True)
        vms = {MACHINE: {"host": host, "root": str(file), "admin": agent.port}}
        stack.callback(values.write_text, before)
        yield file, lambda: values.write_text(before + f"\ncerts: {json.dumps({'vms': vms})}\n")


def test_a_machine_follows_a_change_of_the_root(lab, plugged, machine):
    file, name_it = machine
    other = pki.make("Machines Next")
    to = folder_of(lab, pki.make("Machines Next Int", other, days=(-1, 400)), other, "machines ca")
    words = ["certs", "transition", "lab", "--to", to, "--json"]
    refused = lab.driver.meshwright(*words, "--yes")
    assert refused.code == 3, refused.err
    assert f"machine {MACHINE}" in refused.err
    assert bundle(file.read_text()) == (plugged.certificate,)

    name_it()
    assert certs(lab, "verify")[0] == 0
    [plan] = lab.driver.meshwright(*words, "--plan").document["steps"]
    assert [each["name"] for each in plan["changes"] if each["kind"] == "Machine"] == [MACHINE]
    done = lab.driver.meshwright(*words, "--yes", timeout=1200)
    assert done.code == 0, done.err
    assert done.err.count(f"wrote the roots to machine {MACHINE}") == 2
    # Whom istiod trusts as a client it has read anew, once.
    assert done.err.count("restarting Deployment istio-system/istiod") == 1
    assert bundle(file.read_text()) == (other.certificate,)
    code, document = certs(lab, "verify")
    assert code == 0
    kinds = {place["kind"]: place for place in document["places"] if MACHINE in place["name"]}
    assert kinds["machine"]["trusts"] == kinds["root file"]["trusts"] == [other.certificate.sha256]

    back = lab.driver.meshwright("certs", "rollback", "lab", "--yes", timeout=1200)
    assert back.code == 0, back.err
    assert bundle(file.read_text()) == (plugged.certificate,)
