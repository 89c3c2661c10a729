"""Starts the real Prometheus, and is a STAND-IN for one part of it that Debian leaves out: finding pods in Kubernetes.

Debian builds Prometheus without Kubernetes' service discovery. So each `kubernetes_sd_configs` of the configuration is
replaced by an `http_sd_configs` that asks this process, which asks the API server for pods, with the labels that
Prometheus gives them (its documentation, kubernetes_sd_config, role pod). Other roles find nothing.
"""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

from answering import Answering

PORT = 9099
CONFIG = Path("/tmp/prometheus.yml")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://kubernetes.default.svc"
WANTED = re.compile(r"^( *)kubernetes_sd_configs:\n( *)- role: *(\w+)$", re.MULTILINE)
META = "__meta_kubernetes_"


def rewritten(text):
    """The configuration with this process in place of Kubernetes."""
    url = f"http://127.0.0.1:{PORT}"
    return WANTED.sub(rf"\1http_sd_configs:\n\2- url: {url}/\3\n\2  refresh_interval: 5s", text)


def pods():
    """All pods, as the API server lists them."""
    token = (ACCOUNT / "token").read_text(encoding="utf-8")
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    request = urllib.request.Request(f"{API}/api/v1/pods", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)["items"]


def label(kind, name):
    """The name of a label for a label or an annotation of a pod."""
    return f"{META}pod_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"


def targets(pod):
    """A target for each port of a pod, or one without a port."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    address = status.get("podIP")
    if not address:
        return
    ready = [each["status"] for each in status.get("conditions") or [] if each["type"] == "Ready"]
    labels = {
        f"{META}namespace": metadata["namespace"],
        f"{META}pod_name": metadata["name"],
        f"{META}pod_ip": address,
        f"{META}pod_uid": metadata["uid"],
        f"{META}pod_phase": status.get("phase", ""),
        f"{META}pod_ready": (ready or ["unknown"])[0].lower(),
        f"{META}pod_node_name": spec.get("nodeName", ""),
        f"{META}pod_host_ip": status.get("hostIP", ""),
    }
    for kind, found in (("label", metadata.get("labels")), ("annotation", metadata.get("annotations"))):
        for name, value in (found or {}).items():
            labels[label(kind, name)] = value
            labels[label(f"{kind}present", name)] = "true"
    some = False
    for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
        for port in container.get("ports") or []:
            some = True
            of_port = {
                f"{META}pod_container_name": container["name"],
                f"{META}pod_container_port_name": port.get("name", ""),
                f"{META}pod_container_port_number": str(port["containerPort"]),
                f"{META}pod_container_port_protocol": port.get("protocol", "TCP"),
            }
            yield {"targets": [f"{address}:{port['containerPort']}"], "labels": labels | of_port}
    if not some:
        yield {"targets": [address], "labels": labels}


class Handler(Answering):
    """The pods, for Prometheus."""

    def get(self, path, _query):
        try:
            self.answer([each for pod in pods() for each in targets(pod)] if path == "/pod" else [])
        except OSError as error:
            # Prometheus keeps the targets that it had.
            self.answer({"error": str(error)}, 503)


def follow(source):
    """Keeps the rewritten configuration as the real one is."""
    while True:
        time.sleep(1)
        text = rewritten(source.read_text(encoding="utf-8"))
        if text != CONFIG.read_text(encoding="utf-8"):
            CONFIG.write_text(text, encoding="utf-8")


def main(arguments):
    given = next(each for each in arguments if each.startswith("--config.file="))
    source = Path(given.partition("=")[2])
    CONFIG.write_text(rewritten(source.read_text(encoding="utf-8")), encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=follow, args=(source,), daemon=True).start()
    own = [f"--config.file={CONFIG}" if each == given else each for each in arguments]
    process = subprocess.Popen(["/usr/bin/prometheus", *own])
    # The container ends with Prometheus, and Prometheus with the container.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    os._exit(process.wait() & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1:])
