"""One HTTP GET, as a user of the mesh would send it: bounded in time and size, made from the target."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from meshwright.errors import MeshwrightError, Unreachable
from meshwright.target import Target

__all__ = ["Page", "get"]

_LONGEST = 1_000_000


@dataclass(frozen=True)
class Page:
    """An answer, whatever its status. `text` is at most the first million bytes; `seconds` is how long it all took."""

    url: str
    status: int
    text: str
    seconds: float


def get(
    target: Target, url: str, *, host: str = "", headers: Mapping[str, str] | None = None, timeout: float = 10
) -> Page:
    """The answer to a GET of `url` (http or https), asked once and not redirected.

    The connection is made by the target itself, without proxies: it is about the way there. `host` replaces the Host
    header, `headers` are sent too. `timeout` is in seconds, for all of it, the resolver included.

    Raises Unreachable: no connection, no answer in time, or no HTTP.
    """
    start = time.monotonic()
    opened: list[socket.socket] = []
    result: list[Page | MeshwrightError] = []

    def ask() -> None:
        try:
            result.append(_ask(target, url, host, headers or {}, timeout, start, opened))
        except MeshwrightError as error:
            result.append(error)
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            result.append(Unreachable(f"{url} gives no answer: {why}"))

    # In a thread: a resolver has time-outs of its own, and a server that sends a byte at a time never meets one.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    if not result:
        for stream in opened:
            # Ends the thread's wait. Not close: that would give the descriptor to the next connection of this process
            # while the thread still reads from it.
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        raise Unreachable(f"{url} gives no answer within {timeout:g} s")
    [answer] = result
    if isinstance(answer, MeshwrightError):
        raise answer
    return answer


def _ask(
    target: Target,
    url: str,
    host: str,
    further: Mapping[str, str],
    timeout: float,
    start: float,
    opened: list[socket.socket],
) -> Page:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    name, port = parts.hostname or "", parts.port or (443 if secure else 80)
    stream = target.connect(name, port, timeout)
    opened.append(stream)
    stream.settimeout(timeout)
    if secure:
        stream = ssl.create_default_context().wrap_socket(stream, server_hostname=name)
        opened.append(stream)
    connection = http.client.HTTPConnection(name, port)
    connection.sock = stream
    try:
        headers = {"User-Agent": "meshwright", "Connection": "close", "Host": host or parts.netloc, **further}
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", headers=headers)
        response = connection.getresponse()
        body = response.read(_LONGEST)
        if response.length and len(body) < _LONGEST:
            raise http.client.IncompleteRead(body, response.length)
        return Page(url, response.status, body.decode(errors="replace"), time.monotonic() - start)
    finally:
        connection.close()
