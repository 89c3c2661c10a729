"""A STAND-IN for Prometheus' config reloader: it has Prometheus read its configuration again when a file changes."""

import argparse
import os
import signal
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Its health."""

    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def watch(folder, url):
    """Asks `url` whenever the content of `folder` has changed."""
    before = None
    while True:
        now = {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
        if before is not None and now != before:
            try:
                urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10).close()
            except OSError:
                now = before  # Prometheus is not up yet: once more
        before = now
        time.sleep(2)


if __name__ == "__main__":
    # The first process of a container has to say itself that it ends.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    parser = argparse.ArgumentParser()
    parser.add_argument("--watched-dir", type=Path)
    parser.add_argument("--listen-address")
    parser.add_argument("--reload-url")
    options = parser.parse_args()
    threading.Thread(target=watch, args=(options.watched_dir, options.reload_url), daemon=True).start()
    host, _, port = options.listen_address.rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
