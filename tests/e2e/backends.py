"""Backends of a test's own: pods with a sidecar behind a Service, that can be told to fail or to be not ready."""

from __future__ import annotations

import time

from meshwright.kube import exec as kube_exec
from meshwright.lab import recipes

# Answers with its name, `/slow` after a second. `/set?bad` makes it answer 503, `/set?unready` not ready; `/set?busy`
# lets `/hold` wait until it is good again, or for a minute; `/set?good` undoes them. With TLS in its environment it
# speaks TLS with the certificate and key there.
SERVER = """
import http.server, os, socket, socketserver, ssl, time
state = {"bad": False, "unready": False, "busy": False}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path, _, what = self.path.partition("?")
        if path == "/set":
            state.update({name: name == what for name in state})
        failing = state["unready"] if path == "/ready" else state["bad"] and path != "/set"
        body = socket.gethostname().encode()
        if path == "/slow":
            time.sleep(1)
        for _ in range(600):
            if path != "/hold" or not state["busy"]:
                break
            time.sleep(0.1)
        self.send_response(503 if failing else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128
server = Server(("", 8080), Handler)
if os.environ.get("TLS"):
    open("/tmp/pair.pem", "w").write(os.environ["TLS"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/pair.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
TELL = "import sys, urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/set?' + sys.argv[1])"


def echo(lab):
    """A container of Istio's echo server: HTTP/1.1 and HTTP/2 at 8080 and at 8081, gRPC at 7070."""
    [image] = [one.name for one in recipes.all_images(lab.target) if "/echo:" in one.name]
    probe = {"tcpSocket": {"port": 7070}, "periodSeconds": 1}
    return {"name": "web", "image": image, "args": ["--port=8080,8081", "--grpc=7070"], "readinessProbe": probe}


def server(lab, pair=""):
    """A container that runs SERVER, with TLS where it is given a certificate and key."""
    [details] = lab.session.list("v1", "Pod", "bookinfo", labels="app=details")
    image = next(one["image"] for one in details["spec"]["containers"] if one["name"] == "details")
    container = {"name": "web", "image": image, "command": ["python3", "-c", SERVER]}
    if pair:
        return {**container, "env": [{"name": "TLS", "value": pair}]}
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    return {**container, "readinessProbe": probe}


class Backends:
    """Pods of one namespace, which is injected, behind the Service `web` and others."""

    def __init__(self, lab, namespace, container=None, port_name="http"):
        self.session, self.namespace, self.container = lab.session, namespace, container or server(lab)
        self.session.apply(
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": namespace, "labels": {"istio-injection": "enabled"}}}, manager="test",
        )  # fmt: skip
        self.serve("web", (port_name, 80, 8080))

    @property
    def host(self):
        return f"web.{self.namespace}.svc.cluster.local"

    def serve(self, name, *ports):
        """A Service for the pods: ports by name, their own number, and that of the pods."""
        spec = {
            "selector": {"app": "web"},
            "ports": [{"name": name, "port": port, "targetPort": inner} for name, port, inner in ports],
        }
        metadata = {"name": name, "namespace": self.namespace}
        self.session.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    def add(self, *names):
        """Adds pods, and waits until they are ready."""
        for name in names:
            metadata = {"name": name, "namespace": self.namespace, "labels": {"app": "web", "pod": name}}
            spec = {"containers": [self.container]}
            self.session.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        for name in names:
            self.until(name, ready=True)

    def until(self, name, *, ready):
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            status = self.session.get("v1", "Pod", name, self.namespace).get("status", {})
            conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
            if (conditions.get("Ready") == "True") is ready:
                return
            time.sleep(0.3)
        raise AssertionError(f"{name} does not become {'ready' if ready else 'not ready'}")

    def remove(self, name):
        self.session.delete("v1", "Pod", name, self.namespace)

    def tell(self, name, what):
        """Makes one pod bad, unready, busy or good."""
        code, _, err = kube_exec.run(self.session, self.namespace, name, "web", ["python3", "-c", TELL, what])
        assert code == 0, err.decode()
