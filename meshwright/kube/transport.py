"""HTTP to an API server: one pool of keep-alive connections, made by the target, every call with a deadline."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from meshwright.errors import Unreachable
from meshwright.kube import tls
from meshwright.kube.credentials import Credentials, Pass
from meshwright.kube.kubeconfig import Context
from meshwright.kube.network import Network, proxy
from meshwright.kube.parallel import PARALLEL
from meshwright.kube.upgraded import Upgraded
from meshwright.target import Target

__all__ = ["Answer", "Transport"]

# A connection is used by one call at a time; port-forwards hold theirs while calls go on beside them.
_CONNECTIONS = 4 * PARALLEL
_ENDLESS = 1000
# API servers and the proxies before them close what is idle after a minute or more; older ones are not trusted.
_IDLE = 30
_DIED = (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError)


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case; `stream` is there after an upgrade."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    stream: Upgraded | None = None


class Transport:
    """The connections to the API server of one context. Safe to use from several threads."""

    def __init__(self, context: Context, target: Target, timeout: float) -> None:
        self.timeout = timeout
        self._context = context
        self._credentials = Credentials(context, target)
        self._network = Network(context, target)
        self._pools: dict[tuple[bytes | None, bytes | None, bool], httpcore2.ConnectionPool] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(PARALLEL)
        url = urlsplit(context.server)
        self._scheme, self._netloc, self._base = url.scheme, url.netloc.rpartition("@")[2], url.path
        try:
            self._host, self._port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            raise context.bad(f"its cluster's server is {context.server}", "Its port must be a number") from None
        self._proxy = proxy(context, target, self._scheme, self._host)

    def close(self) -> None:
        """Ends all connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> Answer:
        """Sends one request and reads the whole answer, whatever its status. `path` is quoted, with its query.

        Waits and repeats when the server says that it is too busy (Retry-After) and the time allows it; a read is
        repeated once when its connection had died; refused credentials that can be renewed are, once.

        Raises Unreachable.
        """
        deadline = time.monotonic() + (timeout or self.timeout)
        headers = {"accept": accept, "accept-encoding": "gzip"}
        if body is not None:
            headers["content-type"] = content_type

        def ask(show: Pass) -> Answer:
            with self._slot(deadline, method, path):
                response = self._send(method, path, headers, body, show, deadline)
                return self._answer(response, method, path, deadline)

        return self._persist(ask, method, path, deadline, repeat=method == "GET")

    @contextlib.contextmanager
    def upgrade(
        self, path: str, headers: Mapping[str, str], timeout: float, what: str, *, repeat: bool
    ) -> Iterator[Answer]:
        """Asks for another protocol, by a GET that is repeated as a read is if `repeat`. The answer has the `stream`
        where the server agreed (status 101); it lasts as long as the block. `what` names it in errors.

        Raises Unreachable.
        """
        deadline = time.monotonic() + timeout
        held: list[httpcore2.Response] = []

        def ask(show: Pass) -> Answer:
            response = self._send("GET", path, dict(headers), None, show, deadline)
            if response.status != 101:
                return self._answer(response, "GET", path, deadline)
            held.append(response)
            return Answer(101, _headers(response), b"", Upgraded(response.extensions["network_stream"], what))

        try:
            yield self._persist(ask, "GET", path, deadline, repeat=repeat)
        finally:
            for response in held:
                response.close()  # it cannot go back to HTTP, so this ends the connection

    @contextlib.contextmanager
    def stream(self, path: str, silence: float) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """A GET whose answer has no end that is waited for, such as a log that is followed: its status, and its body in
        pieces as they come. An answer of another status than 200 is whole, and has no pieces.

        Pieces raise Unreachable when the connection dies and when nothing comes for `silence` seconds.
        """
        deadline = time.monotonic() + self.timeout
        held: list[httpcore2.Response] = []

        def ask(show: Pass) -> Answer:
            response = self._send("GET", path, {"accept": "*/*"}, None, show, deadline, silence)
            if response.status != 200:
                return self._answer(response, "GET", path, deadline)
            held.append(response)
            return Answer(200, _headers(response), b"")

        try:
            answer = self._persist(ask, "GET", path, deadline, repeat=True)
            yield answer, self._pieces(held[-1], path) if held else iter(())
        finally:
            for response in held:
                response.close()

    def _pieces(self, response: httpcore2.Response, path: str) -> Iterator[bytes]:
        try:
            yield from response.iter_stream()
        except httpcore2.TimeoutException:
            raise self._late("GET", path) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise self._ended(error, "GET", path) from None

    def _persist(
        self, ask: Callable[[Pass], Answer], method: str, path: str, deadline: float, *, repeat: bool
    ) -> Answer:
        """Asks until there is an answer that will not change by asking again."""
        show = self._credentials.get()
        renewed = False
        while True:
            try:
                answer = ask(show)
            except _DIED as error:
                if repeat:
                    repeat = False
                    continue
                raise self._ended(error, method, path) from None
            if answer.status == 401 and not renewed and (new := self._credentials.renew(show)):
                show, renewed = new, True
                continue
            pause = _pause(answer)
            if pause is None or time.monotonic() + pause >= deadline:
                return answer
            time.sleep(pause)

    @contextlib.contextmanager
    def _slot(self, deadline: float, method: str, path: str) -> Iterator[None]:
        if not self._slots.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise self._late(method, path)
        try:
            yield
        finally:
            self._slots.release()

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        show: Pass,
        deadline: float,
        silence: float | None = None,
    ) -> httpcore2.Response:
        headers = {"host": self._netloc, "user-agent": "meshwright", **headers}
        if show.authorization:
            headers["authorization"] = show.authorization
        if body is not None:
            headers["content-length"] = str(len(body))
        left = max(deadline - time.monotonic(), 0.001)
        extensions: dict[str, Any] = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)}
        if silence is not None:
            extensions["timeout"]["read"] = silence
        if self._context.tls_server_name:
            extensions["sni_hostname"] = self._context.tls_server_name
        target = (self._base + path).encode("ascii")
        url = httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)
        request = httpcore2.Request(method, url, headers=list(headers.items()), content=body, extensions=extensions)
        try:
            return self._pool(show, endless=silence is not None).handle_request(request)
        except httpcore2.TimeoutException:
            raise self._late(method, path) from None
        except httpcore2.ProxyError as error:
            raise Unreachable(
                f"the proxy on the way to the API server at {self._context.server} answers: {error}",
                hint=f"Look at proxy-url in context {self._context.name} and at HTTPS_PROXY and NO_PROXY",
            ) from None

    def _answer(self, response: httpcore2.Response, method: str, path: str, deadline: float) -> Answer:
        chunks = []
        try:
            for chunk in response.iter_stream():
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise self._late(method, path)
        except httpcore2.TimeoutException:
            raise self._late(method, path) from None
        finally:
            response.close()
        headers, body = _headers(response), b"".join(chunks)
        if headers.get("content-encoding") == "gzip":
            try:
                body = zlib.decompress(body, wbits=31)
            except zlib.error as error:
                raise self._ended(error, method, path) from None
        return Answer(response.status, headers, body)

    def _pool(self, show: Pass, *, endless: bool) -> httpcore2.ConnectionPool:
        """The pool whose connections present the certificate of `show`. One that was renewed gets a new pool; the old
        one may still be in use. Answers without an end have pools of their own, where they keep nobody waiting."""
        key = (show.certificate, show.key, endless)
        with self._lock:
            if key not in self._pools:
                secure = tls.client_context(self._context, *key[:2]) if self._scheme == "https" else None
                self._pools[key] = httpcore2.ConnectionPool(
                    ssl_context=secure,
                    proxy=self._proxy,
                    max_connections=_ENDLESS if endless else _CONNECTIONS,
                    max_keepalive_connections=_CONNECTIONS,
                    keepalive_expiry=_IDLE,
                    network_backend=self._network,
                )
            return self._pools[key]

    def _late(self, method: str, path: str) -> Unreachable:
        return Unreachable(
            f"the API server at {self._context.server} did not answer {method} {path.partition('?')[0]} in time"
        )

    def _ended(self, error: Exception, method: str, path: str) -> Unreachable:
        unknown = "" if method == "GET" else "; whether it was done is not known"
        why = str(error).rstrip(".") or type(error).__name__
        return Unreachable(
            f"the API server at {self._context.server} ended {method} {path.partition('?')[0]}: {why}{unknown}"
        )


def _headers(response: httpcore2.Response) -> dict[str, str]:
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}


def _pause(answer: Answer) -> float | None:
    """Seconds that the server asks to wait before the same call again; None when it does not ask.

    429 and 5xx with Retry-After mean that nothing was done (client-go repeats just these). Only seconds are ever sent.
    """
    after = answer.headers.get("retry-after", "")
    if (answer.status == 429 or answer.status >= 500) and after.isdigit():
        return max(float(after), 0.05)
    return 1.0 if answer.status == 429 else None
