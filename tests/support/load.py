"""Requests to Bookinfo's page for as long as something happens, each answer kept with its time.

The page is served with 200 also where a service behind it failed; then it has the word `error` in it. So an answer
counts only when all four hops of it worked.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Load", "fresh_handshakes", "running"]

_TIMEOUT = 15
_BAD = (b"error", b"unavailable")
_PAUSE = 0.2


@dataclass
class Load:
    """`clients` threads that ask `host`:`port` for `path`, one request after the other; with `keep` each has one
    connection. `answers` are (end, seconds, what was wrong or "")."""

    host: str
    port: int
    path: str = "/productpage"
    clients: int = 2
    keep: bool = False
    answers: list[tuple[float, float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(2 * _TIMEOUT)

    def between(self, start: float = 0, end: float = float("inf")) -> Counter[str]:
        """What the answers that came in this time were: "" for those that were good."""
        return Counter(wrong for at, _, wrong in list(self.answers) if start <= at <= end)

    def lost(self) -> list[tuple[float, str]]:
        """Those that were not good, with their time. One that took too long is not among them: a refused handshake is
        answered at once, and a busy machine is slow."""
        return [(at, wrong) for at, _, wrong in list(self.answers) if wrong and "timed out" not in wrong]

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._ended.is_set():
            started = time.time()
            connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT)
            wrong = _one(connection, self.path)
            ended = time.time()
            self.answers.append((ended, ended - started, wrong))
            if wrong or not self.keep:
                connection.close()
                connection = None
            if wrong:
                self._ended.wait(_PAUSE)
        if connection is not None:
            connection.close()


def _one(connection: http.client.HTTPConnection, path: str) -> str:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    if answer.status != 200:
        return f"{answer.status}: {body[:120].decode(errors='replace')}"
    found = next((at for word in _BAD if (at := body.find(word)) >= 0), -1)
    return f"200 with: {body[max(0, found - 40) : found + 120].decode(errors='replace')}" if found >= 0 else ""


@contextmanager
def running(load: Load) -> Iterator[Load]:
    """The load, for as long as the block runs."""
    load.start()
    try:
        yield load
    finally:
        load.stop()


@contextmanager
def fresh_handshakes(session: Any, root: str, hosts: str) -> Iterator[None]:
    """STRICT mTLS in the whole mesh, and to `hosts` a new connection for each request: each hop of each request makes a
    new handshake."""
    named = {"metadata": {"name": "load", "namespace": root}}
    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", **named}
    fresh = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", **named}
    pool = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    try:
        session.apply({**strict, "spec": {"mtls": {"mode": "STRICT"}}}, manager="load")
        session.apply({**fresh, "spec": {"host": hosts, "trafficPolicy": pool}}, manager="load")
        yield
    finally:
        for each in (strict, fresh):
            session.delete(each["apiVersion"], each["kind"], "load", root)
