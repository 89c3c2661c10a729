"""What the addons' programs in the lab answer over HTTP with: JSON or a page, and no line of log."""

import json
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering(BaseHTTPRequestHandler):
    """A handler with answers to give. Whoever makes one says in `get(path, query)` what they are."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.get(path, query)

    def answer(self, value, status=200):
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(self, status, body, kind="text/plain; charset=utf-8"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self, text):
        self.send(200, text.encode(), "text/html; charset=utf-8")

    def log_message(self, *_):
        pass


def end_when_told():
    """The first process of a container has to say itself that it ends."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def serve(handler, port, host=""):
    """Answers until the process is told to end."""
    end_when_told()
    ThreadingHTTPServer((host, port), handler).serve_forever()
