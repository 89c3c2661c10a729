"""Downloads: bounded in time, checked before anything may use them."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshwright import __version__
from meshwright.errors import MeshwrightError
from meshwright.tools.table import Limits

if TYPE_CHECKING:
    import httpx2

__all__ = ["NotGiven", "download", "text"]

_MOST_TEXT = 1_000_000


class NotGiven(Exception):
    """An address does not give its file; `str()` is why. `gone` is True when it answered that there is none."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


def download(url: str, sha256: str, into: Path, limits: Limits) -> None:
    """Puts the file at `url` at `into`, whole and with that sha256, or not at all.

    Raises NotGiven: the host is not to be reached, or does not give that file. Raises MeshwrightError: the download
    was cut, took too long, cannot be written, or has another sha256.
    """
    part = into.with_name(f"{into.name}.part")
    digest = hashlib.sha256()
    try:
        with _answer(url, limits) as response, part.open("wb") as file:
            for piece in _pieces(response, url, limits):
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != sha256:
            raise MeshwrightError(
                f"{url} has the sha256 {digest.hexdigest()}, not the pinned {sha256}; it was not installed",
                hint="Something on the way changed the file, or its publisher did: run again from another network, "
                "and do not install that file by hand",
            )
        part.replace(into)
    finally:
        part.unlink(missing_ok=True)


def text(url: str, limits: Limits) -> str:
    """The small text file at `url` (a publisher's checksums).

    Raises NotGiven as `download` does; MeshwrightError: cut, or not a small text file.
    """
    data = b""
    with _answer(url, limits) as response:
        for piece in _pieces(response, url, limits):
            data += piece
            if len(data) > _MOST_TEXT:
                raise MeshwrightError(f"{url} is not a list of checksums: it has more than {_MOST_TEXT} bytes")
    return data.decode(errors="replace")


@contextmanager
def _answer(url: str, limits: Limits) -> Iterator[httpx2.Response]:
    """An answer with status 200, headers read, body not yet."""
    _reach(url, limits.connect)
    import httpx2  # here, because its import costs 0.15 s and most runs download nothing

    client = httpx2.Client(
        timeout=httpx2.Timeout(limits.stall, connect=limits.connect),
        verify=_tls(),
        follow_redirects=True,
        # A body that is compressed on the way would have another sha256 than the file.
        headers={"User-Agent": f"meshwright/{__version__}", "Accept-Encoding": "identity"},
    )
    with client:
        try:
            response = client.send(client.build_request("GET", url), stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NotGiven(f"{url} gave no answer ({_reason(error)})") from None
        try:
            if response.status_code in (404, 410):
                raise NotGiven(f"{url} answers {response.status_code}: there is no such file", gone=True)
            if response.status_code != 200:
                raise NotGiven(f"{url} answers {response.status_code}")
            yield response
        finally:
            response.close()


@cache
def _tls() -> ssl.SSLContext:
    """Reading the system's certificates takes longer than a small download: once per run is enough."""
    import httpx2

    return httpx2.create_ssl_context()


def _pieces(response: httpx2.Response, url: str, limits: Limits) -> Iterator[bytes]:
    import httpx2

    end = time.monotonic() + limits.total
    try:
        for piece in response.iter_raw():
            yield piece
            if time.monotonic() > end:
                raise MeshwrightError(
                    f"{url} was not downloaded within {limits.total:g} s ({_progress(response)}); nothing was changed",
                    hint="Run again on a faster connection",
                )
    except httpx2.HTTPError as error:
        raise MeshwrightError(
            f"the download of {url} was cut after {_progress(response)} ({_reason(error)}); nothing was changed",
            hint="Run again",
        ) from None


def _reach(url: str, seconds: float) -> None:
    """Finds out within `seconds` whether a connection to the host of `url`, or to the proxy for it, comes about.

    In a thread: the resolver has its own, longer, time-outs and takes none of ours.
    """
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and parts.hostname and not urllib.request.proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    failed: list[str] = [f"no answer within {seconds:g} s"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), seconds).close()
            failed.clear()
        except TimeoutError:
            pass
        except OSError as error:
            failed[:] = [error.strerror or str(error)]

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise NotGiven(f"{host} cannot be reached ({failed[0]})")


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _progress(response: httpx2.Response) -> str:
    length = response.headers.get("content-length", "")
    return f"{response.num_bytes_downloaded} of {length} bytes" if length else f"{response.num_bytes_downloaded} bytes"
