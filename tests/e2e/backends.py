"""Backends of a test's own: pods with a sidecar behind a Service, that can be told to fail or to be not ready."""

from __future__ import annotations

import time

from meshwright.kube import exec as kube_exec

# Answers with its name, `/slow` after a second. `/set?bad` makes it answer 503, `/set?unready` not ready, `/set?good`
# undoes both. With TLS in its environment it speaks TLS with the certificate and key there.
SERVER = """
import http.server, os, socket, socketserver, ssl, time
state = {"bad": False, "unready": False}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path, _, what = self.path.partition("?")
        if path == "/set":
            state.update(bad=what == "bad", unready=what == "unready")
        failing = state["unready"] if path == "/ready" else state["bad"] and path != "/set"
        body = socket.gethostname().encode()
        if path == "/slow":
            time.sleep(1)
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


class Backends:
    """Pods of one namespace, which is injected, behind the Service `web`."""

    def __init__(self, lab, namespace, port_name="http", pair=""):
        self.session, self.namespace, self.pair = lab.session, namespace, pair
        [details] = self.session.list("v1", "Pod", "bookinfo", labels="app=details")
        self.image = next(one["image"] for one in details["spec"]["containers"] if one["name"] == "details")
        self.session.apply(
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": namespace, "labels": {"istio-injection": "enabled"}}}, manager="test",
        )  # fmt: skip
        spec = {"selector": {"app": "web"}, "ports": [{"name": port_name, "port": 80, "targetPort": 8080}]}
        metadata = {"name": "web", "namespace": namespace}
        self.session.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    @property
    def host(self):
        return f"web.{self.namespace}.svc.cluster.local"

    def add(self, *names):
        """Adds pods, and waits until they are ready."""
        for name in names:
            container = {
                "name": "web", "image": self.image, "command": ["python3", "-c", SERVER],
                "env": [{"name": "TLS", "value": self.pair}],
            }  # fmt: skip
            if not self.pair:
                probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
                container["readinessProbe"] = probe
            metadata = {"name": name, "namespace": self.namespace, "labels": {"app": "web", "pod": name}}
            self.session.create(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
            )
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
        """Makes one pod bad, unready or good."""
        code, _, err = kube_exec.run(self.session, self.namespace, name, "web", ["python3", "-c", TELL, what])
        assert code == 0, err.decode()
