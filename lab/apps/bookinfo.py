#!/usr/bin/env python3
"""A STAND-IN for the application images of Istio's Bookinfo sample, for machines that reach no container registry.

It has the roles, ports and paths that the sample's manifests expect, so they run unchanged but for the image names:
productpage asks details and reviews, reviews v2 and v3 ask ratings, each anew for every request. That is enough to
prove a mesh: requests with four hops, through every sidecar. The real applications do more (login, a database).

A page in which every call worked holds neither `error` nor `unavailable`; a failed call puts `error` into it.
Each response says what it is: `x-stand-in: bookinfo`.

Which one it is comes from the environment: ROLE (productpage, details, reviews, ratings) and VERSION (v1, v2, v3).
"""

from __future__ import annotations

import html
import json
import os
import signal
import socket
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 9080
TITLE = "Simple Bookstore App"
CALL_SECONDS = 3

# Headers that a service hands on, so that tracing and routing by header see one request and not four.
PROPAGATED = (
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "end-user",
    "user-agent",
    "authorization",
    "cookie",
)

# Colour of the stars by version of reviews; v1 shows none, as in the sample.
STARS = {"v2": "black", "v3": "red"}

Headers = dict[str, str]


class CallFailed(Exception):
    """Another service did not give a good answer."""


def call(service: str, path: str, headers: Headers) -> Any:
    """The JSON answer of another service; a new connection each time, so that each request is balanced anew."""
    host = os.environ.get(f"{service.upper()}_HOSTNAME", service)
    port = os.environ.get(f"{service.upper()}_SERVICE_PORT", str(PORT))
    request = urllib.request.Request(f"http://{host}:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
            return json.load(answer)
    except (OSError, ValueError) as failure:
        raise CallFailed(f"{service}: {failure}") from failure


def details(product: str) -> dict[str, Any]:
    """The facts about one book."""
    return {
        "id": int(product),
        "author": "William Shakespeare",
        "year": 1611,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
    }


def ratings(product: str) -> dict[str, Any]:
    """The stars that two reviewers gave."""
    return {"id": int(product), "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


def reviews(product: str, version: str, headers: Headers) -> dict[str, Any]:
    """Two reviews, with stars where this version shows them."""
    found: list[dict[str, Any]] = [
        {"reviewer": "Reviewer1", "text": "An extremely entertaining play by Shakespeare."},
        {"reviewer": "Reviewer2", "text": "Absolutely fun and entertaining."},
    ]
    if version in STARS:
        try:
            stars = call("ratings", f"/ratings/{product}", headers)["ratings"]
            for review in found:
                review["rating"] = {"stars": stars[review["reviewer"]], "color": STARS[version]}
        except (CallFailed, KeyError, TypeError) as failure:
            for review in found:
                review["rating"] = {"error": f"ratings: {failure}"}
    return {"id": product, "podname": socket.gethostname(), "version": version, "reviews": found}


def part(service: str, path: str, headers: Headers) -> str:
    """One service's answer as it goes into the page; a failure goes in as well, with the word that checks look for."""
    try:
        return html.escape(json.dumps(call(service, path, headers), indent=1))
    except CallFailed as failure:
        return html.escape(f"error: {failure}")


def productpage(headers: Headers) -> str:
    """The page: the answers of details and of reviews."""
    return (
        f"<!DOCTYPE html>\n<html><head><title>{TITLE}</title></head><body>\n"
        "<h1>The Tempest</h1>\n"  # not the sample's own play, whose title has the word that means a failed call
        f"<h2>Book Details</h2>\n<pre>{part('details', '/details/0', headers)}</pre>\n"
        f"<h2>Book Reviews</h2>\n<pre>{part('reviews', '/reviews/0', headers)}</pre>\n"
        "</body></html>\n"
    )


def answer(role: str, version: str, path: str, headers: Headers) -> tuple[int, str, str]:
    """Status, content type and body for a path, in this role."""
    path = path.partition("?")[0]
    first, _, product = path.strip("/").partition("/")
    if first == "health":
        return 200, "application/json", json.dumps({"status": f"{role} is healthy"})
    if role == "productpage":
        if first in ("", "productpage", "index.html"):
            return 200, "text/html; charset=utf-8", productpage(headers)
    elif first == role and product.isascii() and product.isdigit():
        body = {
            "details": lambda: details(product),
            "ratings": lambda: ratings(product),
            "reviews": lambda: reviews(product, version, headers),
        }[role]()
        return 200, "application/json", json.dumps(body)
    return 404, "application/json", json.dumps({"error": f"{role} has no {path}"})


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the role that this process has."""

    protocol_version = "HTTP/1.1"
    role = "productpage"
    version = "v1"

    def do_GET(self) -> None:
        """Answer with a body."""
        handed_on = {name: self.headers[name] for name in PROPAGATED if name in self.headers}
        status, content_type, text = answer(self.role, self.version, self.path, handed_on)
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-stand-in", "bookinfo")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 (the base class looks for this name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (so named in the base class)
        """Nothing: the sidecar writes the access log."""


class Server(ThreadingHTTPServer):
    """Many requests at once, and connections that wait when a burst comes."""

    daemon_threads = True
    request_queue_size = 128


def main() -> int:
    """Serve until told to stop."""
    role, version = os.environ.get("ROLE", ""), os.environ.get("VERSION", "v1")
    if role not in ("productpage", "details", "reviews", "ratings"):
        print(f"ROLE is {role!r}; it must be productpage, details, reviews or ratings", file=sys.stderr)
        return 64
    Handler.role, Handler.version = role, version
    # As PID 1 of its container it has no default reaction to SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"stand-in for Bookinfo's {role} {version}, port {PORT}", flush=True)
    with Server(("", PORT), Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
