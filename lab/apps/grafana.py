"""A STAND-IN for Grafana: its health, its dashboards as the sample mounts them, and its data source, which leads to the
real Prometheus. It draws nothing."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

from answering import Answering, serve

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


class Handler(Answering):
    """The few paths that are asked for."""

    def get(self, path, query):
        proxied = f"/api/datasources/proxy/uid/{SOURCE}/"
        if path == "/api/health":
            self.answer({"database": "ok", "version": "stand-in"})
        elif path == "/api/search":
            self.answer(dashboards())
        elif path == "/api/datasources":
            self.answer([{"uid": SOURCE, "name": "Prometheus", "type": "prometheus", "url": PROMETHEUS}])
        elif path.startswith(proxied):
            self.handed_on(f"{PROMETHEUS}/{path.removeprefix(proxied)}?{query}")
        elif path == "/":
            self.page(PAGE.format("".join(f"<li>{board['title']}</li>" for board in dashboards())))
        else:
            self.answer({"message": "the stand-in has no such page"}, 404)

    def handed_on(self, url):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                self.send(answer.status, answer.read(), "application/json")
        except urllib.error.HTTPError as error:
            self.send(error.code, error.read(), "application/json")
        except OSError as error:
            self.answer({"message": str(error)}, 502)


if __name__ == "__main__":
    serve(Handler, 3000)
