"""A STAND-IN for Grafana: its health, its dashboards as the sample mounts them, and its data source, which leads to the
real Prometheus. It draws nothing."""

import json
import os
import signal
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DASHBOARDS = Path("/var/lib/grafana/dashboards")
PROMETHEUS = os.environ.get("PROMETHEUS", "http://prometheus:9090")
SOURCE = "prometheus"
PAGE = """<!doctype html><title>Grafana (stand-in)</title><h1>Grafana (a stand-in)</h1><ul>{}</ul>"""


def dashboards():
    """What the files of the sample say, as Grafana's search lists it."""
    found = []
    for file in sorted(DASHBOARDS.rglob("*.json")):
        if any(part.startswith("..") for part in file.parts):
            continue  # how a ConfigMap is mounted: each file is there twice
        try:
            board = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue
        uid = board.get("uid") or file.stem
        found.append({"uid": uid, "title": board.get("title") or file.stem, "type": "dash-db", "url": f"/d/{uid}"})
    return found


class Handler(BaseHTTPRequestHandler):
    """The few paths that are asked for."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        proxied = f"/api/datasources/proxy/uid/{SOURCE}/"
        if path == "/api/health":
            self.answer(200, {"database": "ok", "version": "stand-in"})
        elif path == "/api/search":
            self.answer(200, dashboards())
        elif path == "/api/datasources":
            self.answer(200, [{"uid": SOURCE, "name": "Prometheus", "type": "prometheus", "url": PROMETHEUS}])
        elif path.startswith(proxied):
            self.handed_on(f"{PROMETHEUS}/{path.removeprefix(proxied)}?{query}")
        elif path == "/":
            page = PAGE.format("".join(f"<li>{board['title']}</li>" for board in dashboards()))
            self.send(200, page.encode(), "text/html; charset=utf-8")
        else:
            self.answer(404, {"message": "the stand-in has no such page"})

    def handed_on(self, url):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                self.send(answer.status, answer.read(), "application/json")
        except urllib.error.HTTPError as error:
            self.send(error.code, error.read(), "application/json")
        except OSError as error:
            self.answer(502, {"message": str(error)})

    def answer(self, status, value):
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    # The first process of a container has to say itself that it ends.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ThreadingHTTPServer(("", 3000), Handler).serve_forever()
