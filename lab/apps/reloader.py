"""A STAND-IN for Prometheus' config reloader: it has Prometheus read its configuration again when a file changes."""

import argparse
import threading
import time
import urllib.request
from pathlib import Path

from answering import Answering, end_when_told, serve


class Handler(Answering):
    """Its health."""

    def get(self, path, _query):
        self.send(200 if path == "/healthz" else 404, b"")


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
    end_when_told()
    parser = argparse.ArgumentParser()
    parser.add_argument("--watched-dir", type=Path)
    parser.add_argument("--listen-address")
    parser.add_argument("--reload-url")
    options = parser.parse_args()
    threading.Thread(target=watch, args=(options.watched_dir, options.reload_url), daemon=True).start()
    host, _, port = options.listen_address.rpartition(":")
    serve(Handler, int(port), host)
